//! Bodies to send: bytes, registrations and multipart forms.

use md5::Md5;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Bytes that don't compress and differ for each seed.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let words = std::iter::repeat_with(|| {
        // xorshift64 (Marsaglia, 2003).
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    });
    words.flat_map(u64::to_le_bytes).take(length).collect()
}

/// A whole PNG, different for each seed.
pub fn picture(seed: u32, width: u32, height: u32) -> Vec<u8> {
    let pixel = |x: u32, y: u32| {
        let byte = |value: u32| value.to_le_bytes()[0];
        image::Rgb([byte(x + 37 * seed), byte(y + 91 * seed), byte(x / 2 + y / 3)])
    };
    let mut png = std::io::Cursor::new(Vec::new());
    let picture = image::RgbImage::from_fn(width, height, pixel);
    picture.write_to(&mut png, image::ImageFormat::Png).expect("it fits into memory");
    png.into_inner()
}

/// The head of a PNG of one pixel, followed by noise: enough to be recognised by its first bytes.
pub fn png(seed: u64) -> Vec<u8> {
    let mut bytes =
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89".to_vec();
    bytes.extend(noise(seed, 64));
    bytes
}

pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

pub fn md5_hex(bytes: &[u8]) -> String {
    hex(&Md5::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A valid registration of 1,000 bytes whose hashes nobody has used.
pub fn registration(filename: &str) -> Value {
    let seed = Uuid::new_v4();
    json!({
        "filename": filename,
        "cdn_url": format!("https://files.example/{seed}"),
        "file_size": 1000,
        "mime_type": "text/plain",
        "md5_hash": md5_hex(seed.as_bytes()),
        "sha256_hash": sha256_hex(seed.as_bytes()),
    })
}

/// `base` with the fields of `changes` put over it.
pub fn merged(mut base: Value, changes: Value) -> Value {
    let Value::Object(changes) = changes else { panic!("not an object: {changes}") };
    for (key, value) in changes {
        base[key] = value;
    }
    base
}

/// A multipart form written byte by byte, so that a test decides what is in it (RFC 7578).
pub struct Form {
    body: Vec<u8>,
}

impl Form {
    const BOUNDARY: &str = "----test-boundary-7d81b516112d";

    pub fn new() -> Self {
        Self { body: Vec::new() }
    }

    pub fn field(mut self, name: &str, value: &str) -> Self {
        let part = format!(
            "--{}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n",
            Self::BOUNDARY
        );
        self.body.extend(part.as_bytes());
        self
    }

    pub fn file(mut self, filename: &str, content: &[u8]) -> Self {
        let head = format!(
            "--{}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{filename}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n",
            Self::BOUNDARY
        );
        self.body.extend(head.as_bytes());
        self.body.extend(content);
        self.body.extend(b"\r\n");
        self
    }

    pub fn content_type() -> String {
        format!("multipart/form-data; boundary={}", Self::BOUNDARY)
    }

    /// The body without its closing boundary.
    pub fn unfinished(self) -> Vec<u8> {
        self.body
    }

    pub fn finished(mut self) -> Vec<u8> {
        self.body.extend(format!("--{}--\r\n", Self::BOUNDARY).as_bytes());
        self.body
    }

    /// Puts the form into a request.
    pub fn on(self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        request.header("content-type", Self::content_type()).body(self.finished())
    }
}
