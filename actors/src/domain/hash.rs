//! Content hashes as lower-case hex.

use super::Invalid;

/// A SHA-256 as 64 lower-case hex digits (FIPS 180-4).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Sha256(String);

/// An MD5 as 32 lower-case hex digits (RFC 1321). What a client says, never a proof of content.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Md5(String);

impl Sha256 {
    /// # Errors
    /// Anything but 64 hex digits, of either case.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        parse_hex(text, 64).map(Self)
    }

    pub fn from_digest(digest: &[u8]) -> Self {
        Self(to_hex(digest))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Md5 {
    /// # Errors
    /// Anything but 32 hex digits, of either case.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        parse_hex(text, 32).map(Self)
    }

    pub fn from_digest(digest: &[u8]) -> Self {
        Self(to_hex(digest))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn parse_hex(text: &str, digits: usize) -> Result<String, Invalid> {
    if text.len() != digits || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Invalid::new(format!("Enter exactly {digits} hexadecimal digits.")));
    }
    Ok(text.to_ascii_lowercase())
}

/// Bytes as lower-case hex digits.
pub fn to_hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
