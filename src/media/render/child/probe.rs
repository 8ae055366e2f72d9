//! For operators and tests: locks itself in as a render process does, and tries what must not be possible.

use super::sandbox;
use std::{fs::File, io, net::TcpStream, net::UdpSocket, process::Command};

/// What was tried, and what came of it: `refused`, or `POSSIBLE`. The locks that the system lacks come first.
#[must_use]
pub fn probe(address_space: u64) -> Vec<String> {
    let not_applied = sandbox::enter_for_decoding(address_space);
    report(not_applied)
}

/// The same with Landlock alone, which must hold where the filter is not there.
#[must_use]
pub fn probe_without_filter() -> Vec<String> {
    report(sandbox::deny_files().err().into_iter().map(|error| format!("file access: {error}")).collect())
}

fn report(not_applied: Vec<String>) -> Vec<String> {
    let mut lines: Vec<_> = not_applied.into_iter().map(|lock| format!("not applied: {lock}")).collect();
    let attempts: [(&str, io::Result<()>); 6] = [
        ("read a file", File::open("/etc/passwd").map(drop)),
        ("write a file", File::create(std::env::temp_dir().join("hackclub-cdn-probe")).map(drop)),
        ("list a folder", std::fs::read_dir("/").map(drop)),
        ("open a TCP connection", TcpStream::connect("127.0.0.1:9").map(drop)),
        ("open a UDP socket", UdpSocket::bind("127.0.0.1:0").map(drop)),
        ("run a program", Command::new("/bin/true").spawn().map(drop)),
    ];
    lines.extend(attempts.into_iter().map(|(attempt, outcome)| match outcome {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => format!("refused: {attempt}"),
        Err(error) => format!("failed otherwise: {attempt}: {error}"),
        Ok(()) => format!("POSSIBLE: {attempt}"),
    }));
    lines
}
