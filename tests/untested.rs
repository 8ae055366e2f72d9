//! No test: says, behind all of them, that PostgreSQL was left out where it was, and how to have it.

use std::{env, path::Path};

fn main() {
    let is_asked_for = env::var_os("CDN_TEST_ENGINES").is_some();
    let in_path = env::var_os("PATH")
        .is_some_and(|path| env::split_paths(&path).any(|folder| folder.join("initdb").exists()));
    let is_packaged = Path::new("/usr/lib/postgresql").read_dir().is_ok_and(|mut versions| {
        versions.any(|version| version.is_ok_and(|v| v.path().join("bin/initdb").exists()))
    });
    if !is_asked_for && !in_path && !is_packaged {
        println!("\nNOT TESTED: PostgreSQL, whose binaries were not found; the tests ran on SQLite only.");
        println!(
            "Debian: apt-get install postgresql. CDN_TEST_ENGINES=sqlite,postgres makes a missing engine an error."
        );
    }
}
