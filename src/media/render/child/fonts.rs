//! Fonts for texts in SVG, opened before the doors close and read only when a text needs them.

use resvg::usvg::fontdb::Database;
use std::{
    fs::File,
    io::{Read, Seek},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock},
};

const FOLDERS: [&str; 3] = ["/usr/share/fonts", "/usr/local/share/fonts", "/usr/share/texmf/fonts"];
/// Plain faces that are common on servers, the better ones first: name of the file, family.
const FACES: [(&str, &str); 8] = [
    ("DejaVuSans.ttf", "DejaVu Sans"),
    ("DejaVuSans-Bold.ttf", "DejaVu Sans"),
    ("DejaVuSerif.ttf", "DejaVu Serif"),
    ("DejaVuSansMono.ttf", "DejaVu Sans Mono"),
    ("LiberationSans-Regular.ttf", "Liberation Sans"),
    ("LiberationSans-Bold.ttf", "Liberation Sans"),
    ("NotoSans-Regular.ttf", "Noto Sans"),
    ("NotoSans-Bold.ttf", "Noto Sans"),
];
const DEEPEST: usize = 4;
/// Of one face, in bytes.
const LARGEST: u64 = 4 << 20;

pub(super) struct Fonts {
    files: Mutex<Vec<(File, &'static str)>>,
    loaded: OnceLock<Arc<Database>>,
}

impl Fonts {
    /// Opens the faces that the system has.
    pub(super) fn open() -> Self {
        let mut found: Vec<(usize, PathBuf)> = Vec::new();
        for folder in FOLDERS {
            collect(Path::new(folder), DEEPEST, &mut found);
        }
        found.sort();
        found.dedup_by_key(|(rank, _)| *rank);
        let files = found.into_iter().filter_map(|(rank, path)| {
            let (_, family) = FACES.get(rank)?;
            Some((File::open(path).ok()?, *family))
        });
        Self { files: Mutex::new(files.collect()), loaded: OnceLock::new() }
    }

    pub(super) fn database(&self) -> Arc<Database> {
        Arc::clone(self.loaded.get_or_init(|| Arc::new(self.load())))
    }

    fn load(&self) -> Database {
        let mut database = Database::new();
        let Ok(mut files) = self.files.lock() else { return database };
        if let Some((_, family)) = files.first() {
            // Whatever a text asks for is better shown in this than not at all.
            for set in [
                Database::set_sans_serif_family::<&str>,
                Database::set_serif_family,
                Database::set_cursive_family,
                Database::set_fantasy_family,
                Database::set_monospace_family,
            ] {
                set(&mut database, family);
            }
        }
        for (file, family) in files.iter_mut() {
            let mut data = Vec::new();
            let is_read = file.rewind().and_then(|()| file.take(LARGEST).read_to_end(&mut data)).is_ok();
            if is_read {
                database.load_font_data(data);
            }
            if family.contains("Serif") {
                database.set_serif_family(*family);
            } else if family.contains("Mono") {
                database.set_monospace_family(*family);
            }
        }
        database
    }

    /// The family for texts that name none, or one that isn't here.
    pub(super) fn fallback(&self) -> Option<&'static str> {
        self.files.lock().ok()?.first().map(|(_, family)| *family)
    }
}

fn collect(folder: &Path, depth: usize, found: &mut Vec<(usize, PathBuf)>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            if depth > 1 {
                collect(&path, depth - 1, found);
            }
        } else if let Some(rank) = FACES.iter().position(|(name, _)| path.ends_with(name)) {
            found.push((rank, path));
        }
    }
}
