//! The form that the host gets: one file, and the fields that it knows (RFC 7578).

use std::fmt::Write;
use uuid::Uuid;

/// Fields of the form that are passed on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields {
    /// When the host shall forget the file, in the host's own terms.
    pub expires: Option<String>,
    /// Whether the host shall make the URL hard to guess.
    pub secret: Option<String>,
}

impl Fields {
    /// Takes the value of a field that the host knows; others are left out.
    pub fn set(&mut self, name: &str, value: String) {
        match name {
            "expires" => self.expires = Some(value),
            "secret" => self.secret = Some(value),
            _ => {}
        }
    }
}

/// All of a form but the bytes of its file.
#[derive(Debug, Clone)]
pub struct Envelope {
    pub content_type: String,
    pub head: Vec<u8>,
    pub tail: Vec<u8>,
}

impl Envelope {
    pub fn new(fields: &Fields, filename: &str, media_type: &str) -> Self {
        // Not to be guessed, so that no file can hold it.
        let boundary = format!("----cdn-{}", Uuid::new_v4().simple());
        let mut head = String::new();
        for (name, value) in [("expires", &fields.expires), ("secret", &fields.secret)] {
            if let Some(value) = value {
                // Writing to a String can't fail.
                let _ = write!(
                    head,
                    "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
                );
            }
        }
        let filename = escape(filename);
        let _ = write!(
            head,
            "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{filename}\"\r\n\
             Content-Type: {media_type}\r\n\r\n"
        );
        let tail = format!("\r\n--{boundary}--\r\n").into_bytes();
        let content_type = format!("multipart/form-data; boundary={boundary}");
        Self { content_type, head: head.into_bytes(), tail }
    }

    /// Bytes of the form with a file of this size.
    pub fn length(&self, file: u64) -> u64 {
        self.head.len() as u64 + file + self.tail.len() as u64
    }
}

/// As browsers write names in forms (https://html.spec.whatwg.org/#multipart-form-data).
fn escape(filename: &str) -> String {
    filename.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_end_its_header() {
        let envelope = Envelope::new(&Fields::default(), "a\"b\r\nX: y.txt", "text/plain");
        let head = String::from_utf8(envelope.head).unwrap_or_default();
        assert!(
            head.contains("filename=\"a%22b%0D%0AX: y.txt\"\r\nContent-Type: text/plain\r\n\r\n"),
            "{head}"
        );
    }

    #[test]
    fn the_length_is_that_of_all_parts() {
        let mut fields = Fields::default();
        fields.set("expires", "24".to_owned());
        fields.set("unknown", "x".to_owned());
        let envelope = Envelope::new(&fields, "a.txt", "text/plain");
        let whole = [envelope.head.as_slice(), b"12345", &envelope.tail].concat();
        assert_eq!(envelope.length(5), whole.len() as u64);
        let text = String::from_utf8(whole).unwrap_or_default();
        assert!(text.contains("name=\"expires\"\r\n\r\n24\r\n") && !text.contains("unknown"), "{text}");
    }
}
