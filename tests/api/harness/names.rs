//! One list of nasty names for all tests, and one of names that look bad and are fine.

use std::sync::LazyLock;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// No name of a file or folder.
pub static NASTY_NAMES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut names: Vec<String> = [
        "",
        "   ",
        ".",
        "..",
        "a/b.txt",
        "/etc/passwd",
        "../../etc/passwd",
        "..\\..\\boot.ini",
        "a\\b.txt",
        "a\0b.txt",
        "a\nb.txt",
        "a\r\nSet-Cookie: a=b",
        "a\tb.txt",
        "a\u{1b}[31mb.txt",
        "a\u{7f}b.txt",
        "a\u{85}b.txt",
    ]
    .map(str::to_owned)
    .into();
    names.push("x".repeat(256));
    names.push("é".repeat(256));
    names
});

/// Names that a careless server breaks on.
pub static GOOD_NAMES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut names: Vec<String> = [
        "a.txt",
        "Grüße aus Köln.txt",
        "日本語.txt",
        "🎉🎉.txt",
        "العربية.txt",
        "two  spaces.txt",
        "semi;colon=1.txt",
        "quote\".txt",
        "it's.txt",
        "100%.txt",
        "a%2Fb.txt",
        "%00.txt",
        "a&b=c.txt",
        "#hash?query.txt",
        "plus+plus.txt",
        "con",
        "-rf",
        ".hidden",
        "...",
        "no_extension",
        "a.tar.gz",
        "${HOME} $(id) `id`.txt",
        "<img src=x onerror=alert(1)>.txt",
        "'; DROP TABLE files; --",
        "{{7*7}}.txt",
        "colon:name.txt",
        "star*pipe|.txt",
    ]
    .map(str::to_owned)
    .into();
    names.push("x".repeat(255));
    names.push(format!("{}x", "é".repeat(127)));
    names
});

/// What stays as it is in a part of a URL (RFC 3986, 2.3).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A text as one segment of a path or one value of a query.
pub fn encode(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}
