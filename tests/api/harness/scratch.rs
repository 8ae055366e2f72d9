//! Where the tests' folders are: in memory, if the system has room there. A database that is made for one test and
//! removed after it costs a disk's file system more than all that the test does.

use std::fs;
use std::path::{Path, PathBuf};

/// A file system in memory on Linux.
const MEMORY: &str = "/dev/shm";
const PREFIX: &str = "cdn-tests-";
/// Several times what the tests need at once.
const ROOM: u64 = 2 << 30;

/// The folder of all temporary ones of this run, removed on drop.
pub struct Scratch(PathBuf);

/// `None`: they are where the system has temporary files.
pub fn in_memory() -> Option<Scratch> {
    let memory = Path::new(MEMORY);
    let room = rustix::fs::statvfs(memory).ok()?;
    if room.f_bavail.saturating_mul(room.f_frsize) < ROOM {
        return None;
    }
    remove_left_over(memory);
    let folder = memory.join(format!("{PREFIX}{}", std::process::id()));
    fs::create_dir(&folder).ok()?;
    tempfile::env::override_temp_dir(&folder).ok()?;
    Some(Scratch(folder))
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _gone_already = fs::remove_dir_all(&self.0);
    }
}

/// Memory that a run which was killed still takes.
fn remove_left_over(memory: &Path) {
    for entry in fs::read_dir(memory).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(process) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else { continue };
        if !Path::new("/proc").join(process).exists() {
            let _not_ours = fs::remove_dir_all(entry.path());
        }
    }
}
