//! The model that the server is compared with: folders, files, versions and trash, as plain as can be.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

/// Versions kept of each file in the test.
pub const KEEP: usize = 3;

/// Bytes in the store, or somewhere else.
#[derive(Clone, Debug, PartialEq)]
pub struct Content {
    pub hash: String,
    pub size: u64,
    pub is_stored: bool,
}

#[derive(Clone, Debug)]
pub struct File {
    pub name: String,
    pub folder: String,
    pub content: Content,
    /// By number.
    pub versions: BTreeMap<i64, Content>,
    pub last_version: i64,
    pub is_starred: bool,
    /// The resource whose trashing took it.
    pub trash: Option<String>,
    /// Files are made in this order.
    pub order: usize,
}

#[derive(Clone, Debug)]
pub struct Folder {
    pub name: String,
    pub parent: Option<String>,
    pub trash: Option<String>,
}

/// All of one user, by the server's ids.
#[derive(Default)]
pub struct Tree {
    pub files: BTreeMap<String, File>,
    pub folders: BTreeMap<String, Folder>,
    /// What is in the trash as an item of its own, first deleted first.
    pub items: Vec<String>,
    made: usize,
}

impl Tree {
    pub fn living_files(&self) -> impl Iterator<Item = (&String, &File)> {
        self.files.iter().filter(|(_, file)| file.trash.is_none())
    }

    pub fn living_folders(&self) -> impl Iterator<Item = (&String, &Folder)> {
        self.folders.iter().filter(|(_, folder)| folder.trash.is_none())
    }

    /// The oldest living file with this content.
    pub fn duplicate_of(&self, content: &Content) -> Option<String> {
        let same = self.living_files().filter(|(_, file)| file.content.hash == content.hash);
        same.min_by_key(|(_, file)| file.order).map(|(id, _)| id.clone())
    }

    pub fn is_file_name_taken(&self, folder: &str, name: &str) -> bool {
        self.living_files().any(|(_, file)| file.folder == folder && file.name == name)
    }

    pub fn is_folder_name_taken(&self, parent: &str, name: &str) -> bool {
        self.living_folders()
            .any(|(_, folder)| folder.parent.as_deref() == Some(parent) && folder.name == name)
    }

    /// The name itself or the next free numbered one.
    pub fn free_file_name(&self, folder: &str, name: &str) -> String {
        let (stem, extension) = name.rsplit_once('.').expect("names of the test have an extension");
        let numbered = (1..).map(|n| format!("{stem} ({n}).{extension}"));
        std::iter::once(name.to_owned())
            .chain(numbered)
            .find(|name| !self.is_file_name_taken(folder, name))
            .expect("endless")
    }

    fn free_folder_name(&self, parent: &str, name: &str) -> String {
        let numbered = (1..).map(|n| format!("{name} ({n})"));
        std::iter::once(name.to_owned())
            .chain(numbered)
            .find(|name| !self.is_folder_name_taken(parent, name))
            .expect("endless")
    }

    pub fn insert_file(&mut self, id: &str, folder: &str, name: String, content: Content) {
        self.made += 1;
        let file = File {
            name,
            folder: folder.to_owned(),
            content,
            versions: BTreeMap::new(),
            last_version: 0,
            is_starred: false,
            trash: None,
            order: self.made,
        };
        self.files.insert(id.to_owned(), file);
    }

    pub fn path(&self, folder: &str) -> String {
        let folder = &self.folders[folder];
        match &folder.parent {
            Some(parent) => format!("{}/{}", self.path(parent), folder.name),
            None => folder.name.clone(),
        }
    }

    /// Whether `folder` is `above` or lies below it.
    pub fn is_within(&self, folder: &str, above: &str) -> bool {
        folder == above
            || self.folders[folder].parent.as_ref().is_some_and(|parent| self.is_within(parent, above))
    }

    pub fn trash_file(&mut self, id: &str) {
        self.files.get_mut(id).expect("known").trash = Some(id.to_owned());
        self.items.push(id.to_owned());
    }

    pub fn trash_folder(&mut self, id: &str) {
        // Only what hangs together: a living folder has a living parent.
        let taken: BTreeSet<String> = self
            .living_folders()
            .filter(|(folder, _)| self.is_within(folder, id))
            .map(|(folder, _)| folder.clone())
            .collect();
        for file in
            self.files.values_mut().filter(|file| file.trash.is_none() && taken.contains(&file.folder))
        {
            file.trash = Some(id.to_owned());
        }
        for folder in &taken {
            self.folders.get_mut(folder).expect("known").trash = Some(id.to_owned());
        }
        self.items.push(id.to_owned());
    }

    /// The nearest living folder at or above this one.
    fn home(&self, folder: &str) -> String {
        let found = &self.folders[folder];
        match (&found.trash, &found.parent) {
            (Some(_), Some(parent)) => self.home(parent),
            _ => folder.to_owned(),
        }
    }

    pub fn restore(&mut self, id: &str) {
        self.items.retain(|item| item != id);
        if let Some(file) = self.files.get(id) {
            let home = self.home(&file.folder);
            let name = self.free_file_name(&home, &file.name);
            let file = self.files.get_mut(id).expect("known");
            (file.folder, file.name, file.trash) = (home, name, None);
            return;
        }
        let folder = &self.folders[id];
        let home = self.home(folder.parent.as_ref().expect("no root in the trash"));
        let name = self.free_folder_name(&home, &folder.name);
        let folder = self.folders.get_mut(id).expect("known");
        (folder.parent, folder.name) = (Some(home), name);
        let is_its = |trash: &Option<String>| trash.as_deref() == Some(id);
        self.folders
            .values_mut()
            .filter(|folder| is_its(&folder.trash))
            .for_each(|folder| folder.trash = None);
        self.files.values_mut().filter(|file| is_its(&file.trash)).for_each(|file| file.trash = None);
    }

    pub fn purge(&mut self, id: &str) {
        self.items.retain(|item| item != id);
        if self.folders.contains_key(id) {
            let home = self.home(id);
            let is_its = |trash: &Option<String>| trash.as_deref() == Some(id);
            let gone: BTreeSet<String> = self
                .folders
                .iter()
                .filter(|(_, folder)| is_its(&folder.trash))
                .map(|(id, _)| id.clone())
                .collect();
            self.folders.retain(|id, _| !gone.contains(id));
            for folder in self.folders.values_mut() {
                if folder.parent.as_ref().is_some_and(|parent| gone.contains(parent)) {
                    folder.parent = Some(home.clone());
                }
            }
            for file in self.files.values_mut().filter(|file| gone.contains(&file.folder)) {
                file.folder.clone_from(&home);
            }
        }
        self.files.retain(|_, file| file.trash.as_deref() != Some(id));
    }

    pub fn empty(&mut self) {
        for id in self.items.clone() {
            self.purge(&id);
        }
    }

    pub fn add_version(&mut self, id: &str, content: Content) {
        let file = self.files.get_mut(id).expect("known");
        file.last_version += 1;
        let former = std::mem::replace(&mut file.content, content);
        file.versions.insert(file.last_version, former);
        while file.versions.len() > KEEP {
            file.versions.pop_first();
        }
    }

    pub fn restore_version(&mut self, id: &str, number: i64) {
        let file = self.files.get_mut(id).expect("known");
        let former = file.versions.remove(&number).expect("known");
        file.last_version += 1;
        let present = std::mem::replace(&mut file.content, former);
        file.versions.insert(file.last_version, present);
    }

    /// Everything that is kept, former contents and trash included.
    fn contents(&self) -> impl Iterator<Item = &Content> {
        self.files.values().flat_map(|file| std::iter::once(&file.content).chain(file.versions.values()))
    }

    /// Sizes of the objects in the store, sorted.
    pub fn objects(&self) -> Vec<u64> {
        let stored: BTreeMap<&str, u64> = self
            .contents()
            .filter(|content| content.is_stored)
            .map(|content| (content.hash.as_str(), content.size))
            .collect();
        let mut sizes: Vec<u64> = stored.into_values().collect();
        sizes.sort_unstable();
        sizes
    }

    pub fn used(&self) -> u64 {
        let registered: u64 =
            self.contents().filter(|content| !content.is_stored).map(|content| content.size).sum();
        registered + self.objects().iter().sum::<u64>()
    }

    /// What the lists show of each living file, newest first.
    pub fn shown_files(&self) -> Vec<Value> {
        let mut files: Vec<(&String, &File)> = self.living_files().collect();
        files.sort_by_key(|(_, file)| std::cmp::Reverse(file.order));
        let show = |(id, file): (&String, &File)| {
            let versions: Vec<Value> =
                file.versions.iter().rev().map(|(n, content)| json!([n, content.size])).collect();
            json!([
                id,
                file.name,
                self.path(&file.folder),
                file.content.size,
                file.content.hash,
                file.is_starred,
                versions
            ])
        };
        files.into_iter().map(show).collect()
    }

    /// What the lists show of each living folder, by path: id, path, folders and files directly in it.
    pub fn shown_folders(&self) -> BTreeSet<String> {
        let show = |(id, _): (&String, &Folder)| {
            let children =
                self.living_folders().filter(|(_, folder)| folder.parent.as_ref() == Some(id)).count();
            let files = self.living_files().filter(|(_, file)| file.folder == *id).count();
            format!("{id} {} {children} {files}", self.path(id))
        };
        self.living_folders().map(show).collect()
    }
}
