//! What a file is, told from its first bytes and its name; and what it looks like.

pub mod render;

use cdn_actors::domain::kind::{essence, is_media_type};

/// The type of what nothing is known about (RFC 2046, 4.5.1).
pub const OCTET_STREAM: &str = "application/octet-stream";

/// The media type of stored bytes: the bytes decide; where they leave it open the name does, then the client.
pub fn media_type_of(head: &[u8], filename: &str, declared: Option<&str>) -> String {
    let by_name = media_type_of_name(filename);
    if let Some(sniffed) = infer::get(head).map(|kind| kind.mime_type()) {
        return match by_name {
            // A container says less than the name: office documents and packages are ZIPs, SVG is XML.
            Some(by_name) if is_container(sniffed) && !by_name.starts_with("image/") => by_name,
            Some(by_name) if sniffed == "text/xml" && by_name.ends_with("+xml") => by_name,
            _ => sniffed.to_owned(),
        };
    }
    // What claims to be a picture, film or sound and shows no sign of it is not served as one.
    let unproven = |media_type: &str| {
        let top = essence(media_type);
        (top.starts_with("image/") && top != "image/svg+xml" && is_text(head)) || top == "application/zip"
    };
    by_name
        .or_else(|| declared.filter(|text| is_media_type(text)).map(essence))
        .filter(|media_type| !unproven(media_type))
        .unwrap_or_else(|| if is_text(head) { "text/plain".into() } else { OCTET_STREAM.into() })
}

/// The media type a name suggests.
pub fn media_type_of_name(filename: &str) -> Option<String> {
    mime_guess::from_path(filename).first_raw().map(str::to_owned)
}

fn is_container(media_type: &str) -> bool {
    matches!(
        media_type,
        "application/zip" | "application/x-ole-storage" | "application/gzip" | "video/x-matroska"
    )
}

/// UTF-8 without control characters other than white space; a character cut at the end is fine.
fn is_text(head: &[u8]) -> bool {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            let (valid, _) = head.split_at(error.valid_up_to());
            std::str::from_utf8(valid).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !text.is_empty() && !text.chars().any(|c| c.is_control() && !c.is_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01";

    #[test]
    fn the_bytes_decide_over_name_and_client() {
        assert_eq!(media_type_of(PNG, "page.html", Some("text/html")), "image/png");
    }

    #[test]
    fn text_that_claims_to_be_a_picture_is_text() {
        assert_eq!(media_type_of(b"just words", "a.png", Some("image/png")), "text/plain");
    }

    #[test]
    fn names_tell_what_bytes_leave_open() {
        assert_eq!(
            media_type_of(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "a.svg", None),
            "image/svg+xml"
        );
        assert_eq!(media_type_of(b"a,b\n", "a.csv", None), "text/csv");
        assert_eq!(media_type_of(b"PK\x03\x04", "app.jar", None), "application/java-archive");
        assert_eq!(media_type_of(b"\0\x01\x02", "noname", None), OCTET_STREAM);
        assert_eq!(media_type_of(b"hello", "noname", Some("text/markdown")), "text/markdown");
    }
}
