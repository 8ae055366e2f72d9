//! No test: says, behind all of them, what was left out, and how to have it.

use std::{env, path::Path, process::Command};

fn main() {
    say_if_postgres_was_left_out();
    say_if_tools_were_left_out();
    say_if_fonts_were_left_out();
    say_if_locks_were_left_out();
}

fn say_if_tools_were_left_out() {
    for (tool, package) in [("ffmpeg", "ffmpeg"), ("pdftoppm", "poppler-utils")] {
        let in_path = env::var_os("PATH")
            .is_some_and(|path| env::split_paths(&path).any(|folder| folder.join(tool).exists()));
        if !in_path {
            println!(
                "\nNOT TESTED: what {tool} makes previews of; it was not found. Debian: apt-get install {package}"
            );
        }
    }
}

fn say_if_fonts_were_left_out() {
    if !Path::new("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf").exists() {
        println!(
            "\nNOT TESTED: texts in SVG; there is no font to draw them. Debian: apt-get install fonts-dejavu-core"
        );
    }
}

/// Asks a render process what this kernel lacks.
fn say_if_locks_were_left_out() {
    let mut probe = Command::new(env!("CARGO_BIN_EXE_hackclub-cdn"));
    let Ok(output) = probe.args(["render-worker", "--probe"]).output() else { return };
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        if let Some(lock) = line.strip_prefix("not applied: ") {
            println!("\nNOT TESTED: a lock of the render process that this kernel lacks: {lock}");
        }
    }
}

fn say_if_postgres_was_left_out() {
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
