//! The locks hold: what the process tries from inside is refused. Locks that the kernel lacks are not tested, and
//! `tests/untested.rs` says so.

use crate::support::BINARY;
use std::process::Command;

const ATTEMPTS: [&str; 6] = [
    "read a file",
    "write a file",
    "list a folder",
    "open a TCP connection",
    "open a UDP socket",
    "run a program",
];

fn probe(arguments: &[&str]) -> Vec<String> {
    let output = Command::new(BINARY).args(["render-worker", "--probe"]).args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn a_render_process_opens_no_file_no_socket_and_starts_no_program() {
    let lines = probe(&[]);
    if lines.iter().any(|line| line.starts_with("not applied: system calls")) {
        return;
    }
    let refused: Vec<_> = lines.iter().filter_map(|line| line.strip_prefix("refused: ")).collect();
    assert_eq!(refused, ATTEMPTS, "{lines:?}");
}

#[test]
fn landlock_alone_keeps_files_and_tcp_away() {
    let lines = probe(&["--without-filter"]);
    if lines.iter().any(|line| line.starts_with("not applied: file access")) {
        return;
    }
    for attempt in ["read a file", "write a file", "list a folder", "open a TCP connection", "run a program"]
    {
        assert!(lines.contains(&format!("refused: {attempt}")), "{attempt}: {lines:?}");
    }
}

/// Runs a shell as if it were ffmpeg, and says what it printed.
fn as_tool(script: &str) -> String {
    let output = Command::new(BINARY)
        .args(["render-worker", "--address-space", "1073741824", "--tool", "/bin/sh", "--", "-c", script])
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn a_tool_reads_the_system_and_nothing_of_anybody_s() {
    assert_eq!(as_tool("echo runs"), "runs");
    assert_eq!(as_tool("read line < /etc/passwd && echo POSSIBLE || echo refused"), "refused");
    assert_eq!(as_tool("echo x > /tmp/hackclub-cdn-tool && echo POSSIBLE || echo refused"), "refused");
    assert_eq!(as_tool("cat /proc/1/environ > /dev/null 2>&1 && echo POSSIBLE || echo refused"), "refused");
    assert_eq!(as_tool("ls /root /home > /dev/null 2>&1 && echo POSSIBLE || echo refused"), "refused");
}
