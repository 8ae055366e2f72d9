//! Imports run one way: `main → startup → http → service → {db, blob, media, net} → actors`.
//!
//! The paths in each source file are read (those of `use` trees and those in the code), `super` and `self`
//! are resolved, and what a part of the house may not know is looked for.

use std::fs;
use std::path::{Path, PathBuf};

/// A part of the server, the modules of this crate it may use besides its own, and external paths it may not.
struct Part {
    name: &'static str,
    may_use: &'static [&'static str],
    never: &'static [&'static str],
}

const PARTS: [Part; 8] = [
    Part { name: "config", may_use: &[], never: &["actix_web", "sqlx", "object_store"] },
    Part {
        name: "db",
        may_use: &["config"],
        never: &[
            "actix_web",
            "actix",
            "object_store",
            "cdn_actors::accounts",
            "cdn_actors::janitor",
            "cdn_actors::runtime",
        ],
    },
    Part {
        name: "blob",
        may_use: &["config"],
        never: &[
            "actix_web",
            "actix",
            "sqlx",
            "cdn_actors::accounts",
            "cdn_actors::janitor",
            "cdn_actors::runtime",
        ],
    },
    Part { name: "media", may_use: &["config"], never: &["actix_web", "actix", "sqlx", "object_store"] },
    Part { name: "net", may_use: &["config"], never: &["actix_web", "sqlx", "object_store"] },
    Part {
        name: "service",
        may_use: &["config", "db", "blob", "media", "net"],
        // `actix_web::rt` is the runtime and has nothing of HTTP in it.
        never: &[
            "actix_web::http",
            "actix_web::web",
            "actix_web::HttpResponse",
            "actix_web::HttpRequest",
            "sqlx",
            "object_store",
        ],
    },
    Part {
        name: "http",
        may_use: &["config", "db", "blob", "media", "service"],
        never: &["sqlx", "object_store", "actix", "cdn_actors::runtime"],
    },
    Part {
        name: "startup",
        may_use: &["config", "db", "blob", "media", "service", "http"],
        never: &["sqlx", "object_store"],
    },
];

/// What the crate of domain and actors may use at all.
const ACTORS_MAY_USE: [&str; 16] = [
    "std",
    "core",
    "alloc",
    "crate",
    "self",
    "super",
    "actix",
    "tokio",
    "serde",
    "thiserror",
    "tracing",
    "chrono",
    "uuid",
    "futures_util",
    "unicode_normalization",
    "serde_json",
];
const ACTORS_NEVER_USE: [&str; 7] =
    ["actix_web", "sqlx", "object_store", "image", "reqwest", "awc", "hackclub_cdn"];
/// The parts of that crate that are no actors, each with what it may use of the others.
const ACTORS_BASE: [(&str, &[&str]); 4] = [
    ("domain", &[]),
    ("ports", &["domain"]),
    ("runtime", &["domain"]),
    ("fakes", &["domain", "ports", "runtime"]),
];

plain_test! {
    fn each_part_of_the_server_uses_only_what_lies_below_it() {
        let modules = top_modules(&root().join("src"));
        let mut wrong = Vec::new();
        for part in &PARTS {
            for source in sources_of(&root().join("src"), part.name) {
                for path in source.paths() {
                    let inside =
                        path.strip_prefix("crate::").map(|rest| rest.split("::").next().unwrap_or_default());
                    let is_above = inside.is_some_and(|module| {
                        modules.iter().any(|known| known == module)
                            && module != part.name
                            && !part.may_use.contains(&module)
                    });
                    if is_above || part.never.iter().any(|never| starts_with(&path, never)) {
                        wrong.push(format!("{}: {path}", source.file.display()));
                    }
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

plain_test! {
    fn routes_reach_the_database_and_the_actors_through_services_only() {
        let mut wrong = Vec::new();
        for source in sources_of(&root().join("src/http"), "routes") {
            let forbidden = [
                "crate::blob",
                "crate::media",
                "cdn_actors::accounts",
                "cdn_actors::janitor",
                "cdn_actors::runtime",
            ];
            wrong.extend(
                source
                    .paths()
                    .into_iter()
                    .filter(|path| forbidden.iter().any(|never| starts_with(path, never))),
            );
            // Rows may be shown; statements may not be written.
            if source.code.contains(".q(")
                || source.code.contains(".q_built(")
                || source.code.contains("SELECT ")
            {
                wrong.push(format!("{}: SQL", source.file.display()));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

plain_test! {
    fn the_actors_know_no_http_no_sql_and_no_store() {
        let folder = root().join("actors/src");
        let files: Vec<_> =
            top_modules(&folder).iter().flat_map(|module| sources_of(&folder, module)).collect();
        assert!(files.len() > 10, "{} files", files.len());
        let mut wrong = Vec::new();
        for source in files {
            for path in source.paths() {
                let is_forbidden = ACTORS_NEVER_USE.iter().any(|never| starts_with(&path, never));
                if is_forbidden {
                    wrong.push(format!("{}: {path}", source.file.display()));
                }
            }
            let foreign =
                source.used_crates().into_iter().filter(|name| !ACTORS_MAY_USE.contains(&name.as_str()));
            wrong.extend(foreign.map(|name| format!("{}: {name}", source.file.display())));
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

plain_test! {
    fn no_actor_knows_another() {
        let folder = root().join("actors/src");
        let modules = top_modules(&folder);
        let base: Vec<_> = ACTORS_BASE.iter().map(|(name, _)| *name).collect();
        let mut wrong = Vec::new();
        for module in &modules {
            let may_use = ACTORS_BASE
                .iter()
                .find(|(name, _)| name == module)
                .map_or(base.as_slice(), |(_, may_use)| may_use);
            for source in sources_of(&folder, module) {
                for path in source.paths() {
                    let Some(inside) = path.strip_prefix("crate::") else { continue };
                    let used = inside.split("::").next().unwrap_or_default();
                    let is_fake_of_an_actor = module == "fakes";
                    if modules.iter().any(|known| known == used)
                        && used != module
                        && !may_use.contains(&used)
                        && !is_fake_of_an_actor
                    {
                        wrong.push(format!("{}: {path}", source.file.display()));
                    }
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

plain_test! {
    fn paths_are_read_as_rust_reads_them() {
        let code = "
            use crate::{db::{Db, files::{self, FileRow as Row}}, http}; // use crate::comment::X;
            use super::{super::config, sibling::Y};
            fn f() { let x = sqlx::query(\"crate::text::Z\"); }
        ";
        let source = Source {
            file: PathBuf::new(),
            module: vec!["service".into(), "files".into()],
            code: without_comments(code),
        };
        let paths = source.paths();
        for expected in [
            "crate::db::Db",
            "crate::db::files::FileRow",
            "crate::http",
            "crate::config",
            "crate::service::sibling::Y",
            "sqlx::query",
        ] {
            assert!(paths.iter().any(|path| path == expected), "{expected} is not in {paths:?}");
        }
        assert!(!paths.iter().any(|path| path.contains("comment") || path.contains("text")), "{paths:?}");
    }
}

struct Source {
    file: PathBuf,
    /// The module that the file is, below the crate's root.
    module: Vec<String>,
    code: String,
}

impl Source {
    /// All paths in the file that name another module or crate.
    fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        for tree in use_trees(&self.code) {
            flatten(&tree, "", &mut paths);
        }
        let is_path_character = |c: char| c.is_alphanumeric() || matches!(c, '_' | ':');
        let words = self.code.split(|c: char| !is_path_character(c)).filter(|word| word.contains("::"));
        paths.extend(words.map(|word| word.trim_matches(':').to_owned()));
        paths.iter().map(|path| self.resolve(path)).collect()
    }

    /// The crates that the file's `use` trees start with.
    fn used_crates(&self) -> Vec<String> {
        let first = |tree: &String| tree.split([':', '{', ';', ' ']).next().unwrap_or_default().to_owned();
        let is_own_module = |name: &String| self.code.contains(&format!("mod {name};"));
        use_trees(&self.code).iter().map(first).filter(|name| !is_own_module(name)).collect()
    }

    fn resolve(&self, path: &str) -> String {
        let mut base = self.module.clone();
        let mut rest = path;
        let mut is_relative = false;
        while let Some((first, tail)) = rest.split_once("::") {
            match first {
                "self" => {}
                "super" => {
                    base.pop();
                }
                // A module of this file, which needs no `self`.
                module if !is_relative && self.code.contains(&format!("mod {module};")) => {
                    is_relative = true;
                    break;
                }
                _ => break,
            }
            (rest, is_relative) = (tail, true);
        }
        if !is_relative {
            return path.to_owned();
        }
        base.insert(0, "crate".to_owned());
        base.push(rest.to_owned());
        base.join("::")
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn starts_with(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// The names of the folders and files directly in a crate's source folder.
fn top_modules(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a source folder").map(|entry| entry.expect("an entry").path());
    let names = entries.map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned());
    names.filter(|name| !matches!(name.as_str(), "lib" | "main")).collect()
}

/// The files of one module, in a folder or a file of its name; none when it is not there yet.
fn sources_of(folder: &Path, module: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    let file = folder.join(format!("{module}.rs"));
    if file.is_file() {
        sources.push(read(&file));
    }
    collect(&folder.join(module), &mut sources);
    sources
}

fn collect(folder: &Path, into: &mut Vec<Source>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.expect("an entry").path()) {
        if path.is_dir() {
            collect(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(read(&path));
        }
    }
}

fn read(file: &Path) -> Source {
    let code = without_comments(&fs::read_to_string(file).expect("a source file"));
    let below = file.strip_prefix(root()).expect("a file of this repository").with_extension("");
    let names = below.components().map(|part| part.as_os_str().to_string_lossy().into_owned());
    let module = names.skip_while(|name| name != "src").skip(1).filter(|name| name != "mod").collect();
    Source { file: file.to_owned(), module, code }
}

/// Code without line comments and without the contents of one-line texts.
fn without_comments(code: &str) -> String {
    let mut kept = String::new();
    for line in code.lines() {
        let mut is_text = false;
        let mut previous = ' ';
        for (at, character) in line.char_indices() {
            if !is_text && line[at..].starts_with("//") {
                break;
            }
            if character == '"' && previous != '\\' && previous != '\'' {
                is_text = !is_text;
            }
            if !is_text {
                kept.push(character);
            }
            previous = character;
        }
        kept.push('\n');
    }
    kept
}

/// What stands between each `use` and its semicolon.
fn use_trees(code: &str) -> Vec<String> {
    let statements = code.split("use ").skip(1).zip(code.split("use "));
    let starts_a_statement = |before: &str| {
        before.trim_end_matches([' ', '\t']).ends_with(['\n', ';', '{', '}', ')'])
            || before.trim().is_empty()
            || before.ends_with("pub ")
    };
    let trees = statements
        .filter(|(_, before)| starts_a_statement(before))
        .filter_map(|(after, _)| after.split_once(';'));
    trees.map(|(tree, _)| tree.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// `a::{b, c::{self, d as e}}` → `a::b`, `a::c`, `a::c::d`.
fn flatten(tree: &str, prefix: &str, into: &mut Vec<String>) {
    let tree = tree.trim();
    let Some((head, rest)) = tree.split_once('{') else {
        let name = tree.split(" as ").next().unwrap_or_default().trim();
        if !name.is_empty() {
            into.push(format!("{prefix}{name}").trim_end_matches("::self").to_owned());
        }
        return;
    };
    let prefix = format!("{prefix}{}", head.trim());
    let (mut depth, mut start) = (0, 0);
    let inner = rest.strip_suffix('}').unwrap_or(rest);
    for (at, character) in inner.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                flatten(&inner[start..at], &prefix, into);
                start = at + 1;
            }
            _ => {}
        }
    }
    flatten(&inner[start..], &prefix, into);
}
