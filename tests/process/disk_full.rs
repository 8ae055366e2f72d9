//! No room left: writes are refused by their own status, reads go on.

use crate::support::{SOON, client::assert_error, eventually, home::Home, random::content, server::Server};
use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// A small file system over a home's `data`, in a mount namespace that ends with the test.
struct SmallDisk {
    holder: Child,
    data: PathBuf,
    enter: Vec<String>,
}

impl SmallDisk {
    /// `None` where mounting is not allowed, which is said on standard error.
    fn over(home: &Home, size: &str) -> Option<Self> {
        let data = home.path().join("data");
        fs::create_dir(&data).expect("a folder");
        let is_root = fs::metadata(&data).expect("the folder").uid() == 0;
        let (unshare, enter): (&[&str], &[&str]) = if is_root {
            (&["--mount"], &["--mount"])
        } else {
            (&["--user", "--map-root-user", "--mount"], &["--user", "--preserve-credentials", "--mount"])
        };
        let script =
            format!("mount -t tmpfs -o size={size} tmpfs '{}' && echo mounted && exec cat", data.display());
        let mut holder = Command::new("unshare")
            .args(unshare)
            .args(["sh", "-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("unshare runs");
        let mut line = String::new();
        BufReader::new(holder.stdout.take().expect("piped")).read_line(&mut line).expect("text");
        if line.trim() != "mounted" {
            let note = "NOT TESTED: a full disk; mounting a small tmpfs is not allowed here (it needs CAP_SYS_ADMIN \
                        or user namespaces)";
            let _unread = writeln!(std::io::stderr(), "{note}");
            holder.wait().expect("it ends");
            return None;
        }
        let mut words = vec!["nsenter".to_owned(), format!("--target={}", holder.id())];
        words.extend(enter.iter().map(|word| (*word).to_owned()));
        // Entering a namespace changes the working folder.
        let script = format!("cd '{}' && exec \"$0\" \"$@\"", home.path().display());
        words.extend(["sh".to_owned(), "-c".to_owned(), script]);
        Some(Self { data: seen_from_outside(holder.id(), &data), holder, enter: words })
    }

    /// Takes all the room that is left.
    fn fill(&self) {
        let mut filler = fs::File::create(self.filler()).expect("a file");
        for size in [64 * 1024, 4096, 512, 1] {
            while filler.write_all(&vec![1; size]).is_ok() {}
        }
    }

    fn free(&self) {
        fs::remove_file(self.filler()).expect("the filler");
    }

    fn filler(&self) -> PathBuf {
        self.data.join("filler")
    }
}

fn seen_from_outside(process: u32, path: &Path) -> PathBuf {
    Path::new(&format!("/proc/{process}/root")).join(path.strip_prefix("/").expect("an absolute path"))
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ended_already = self.holder.kill();
        let _status = self.holder.wait();
    }
}

#[tokio::test]
async fn a_full_disk_gives_507_on_writes_while_reads_go_on() {
    let mut home = Home::new();
    let Some(disk) = SmallDisk::over(&home, "16m") else { return };
    home.wrap(disk.enter.clone());
    let server = Server::start(&home);
    let client = server.sign_in().await;
    let before = client.upload("before.bin", &content(1, 100_000)).await;

    // Larger than what is left, with room for the database.
    let refused = client.put("too-large.bin", content(2, 20_000_000)).await;
    assert_error(&refused, 507, "The server's storage is full.");
    client.assert_has(&before).await;
    client.upload("small.bin", &content(3, 10_000)).await;

    disk.fill();
    for size in [10, 200_000, 5_000_000] {
        let refused = client.put("refused.bin", content(4, size)).await;
        assert_error(&refused, 507, "The server's storage is full.");
    }
    client.assert_has(&before).await;
    let (status, me) = client.get_json("/api/auth/me").await;
    assert_eq!(status, 200, "{me}");
    assert_eq!(client.files().await.len(), 2);
    let folder =
        client.request(reqwest::Method::POST, "/api/cdn/folders/").json(&serde_json::json!({"name": "x"}));
    let refused = crate::support::client::answer(folder.send().await.expect("an answer")).await;
    assert_error(&refused, 507, "The server's storage is full.");

    disk.free();
    eventually("writes work again", SOON, async || {
        client.put("after.bin", content(5, 200_000)).await.0 == 201
    })
    .await;
    assert_eq!(client.files().await.len(), 3);
    server.stop().await;
    // Nothing of the refused is left, neither now nor after a start.
    let server = Server::start(&home);
    client.at(&server).assert_has(&before).await;
    server.stop().await;
    home.assert_check_is_clean();
}
