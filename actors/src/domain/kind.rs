//! Kinds of files: what a list can be filtered by, and which types may act in a browser.

use serde::{Deserialize, Serialize};

/// The `type` filter of the file list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileKind {
    Images,
    Videos,
    Audio,
    Documents,
    Archives,
    Others,
}

impl FileKind {
    pub const ALL: [Self; 6] =
        [Self::Images, Self::Videos, Self::Audio, Self::Documents, Self::Archives, Self::Others];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Images => "images",
            Self::Videos => "videos",
            Self::Audio => "audio",
            Self::Documents => "documents",
            Self::Archives => "archives",
            Self::Others => "others",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// The kind of a media type (without parameters).
    pub fn of_media_type(media_type: &str) -> Self {
        let essence = essence(media_type);
        let top = essence.split('/').next().unwrap_or_default();
        match top {
            "image" => return Self::Images,
            "video" => return Self::Videos,
            "audio" => return Self::Audio,
            "text" => return Self::Documents,
            _ => {}
        }
        const DOCUMENTS: [&str; 8] = [
            "application/pdf",
            "application/msword",
            "application/rtf",
            "application/epub+zip",
            "application/json",
            "application/xml",
            "application/vnd.ms-excel",
            "application/vnd.ms-powerpoint",
        ];
        const ARCHIVES: [&str; 14] = [
            "application/zip",
            "application/x-zip-compressed",
            "application/gzip",
            "application/x-gzip",
            "application/x-tar",
            "application/x-bzip2",
            "application/x-bzip",
            "application/x-xz",
            "application/zstd",
            "application/x-7z-compressed",
            "application/vnd.rar",
            "application/x-rar-compressed",
            "application/x-compress",
            "application/x-lzip",
        ];
        if DOCUMENTS.contains(&essence.as_str())
            || essence.starts_with("application/vnd.openxmlformats-officedocument")
            || essence.starts_with("application/vnd.oasis.opendocument")
        {
            return Self::Documents;
        }
        if ARCHIVES.contains(&essence.as_str()) { Self::Archives } else { Self::Others }
    }
}

/// Whether a browser that opens this type may run script or load other things from it: HTML, SVG, every
/// XML (RFC 7303), and anything that isn't known to be passive. PDF is: viewers run its script apart from
/// the page's origin, and a sandboxed page shows no PDF at all.
pub fn is_active_type(media_type: &str) -> bool {
    let essence = essence(media_type);
    if essence.ends_with("+xml") || essence.ends_with("/xml") {
        return true;
    }
    let passive_top = ["image/", "video/", "audio/", "font/"];
    if passive_top.iter().any(|top| essence.starts_with(top)) {
        return false;
    }
    !matches!(
        essence.as_str(),
        "text/plain"
            | "text/csv"
            | "text/markdown"
            | "application/json"
            | "application/pdf"
            | "application/octet-stream"
            | "application/zip"
            | "application/gzip"
    )
}

/// A media type without parameters, lower case (RFC 9110, 8.3.1).
pub fn essence(media_type: &str) -> String {
    media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Whether the text has the form of a media type (RFC 6838, 4.2), parameters allowed.
pub fn is_media_type(text: &str) -> bool {
    let essence = essence(text);
    let is_name = |name: &str| {
        !name.is_empty()
            && name.len() <= 127
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
    };
    text.len() <= 255
        && text.bytes().all(|b| (b' '..=b'~').contains(&b))
        && essence.split_once('/').is_some_and(|(top, sub)| is_name(top) && is_name(sub))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_xml_and_html_is_active_and_pictures_are_not() {
        for active in
            ["text/html", "image/svg+xml", "text/xml", "application/xhtml+xml", "Text/HTML; charset=utf-8"]
        {
            assert!(is_active_type(active), "{active}");
        }
        for passive in ["image/png", "video/mp4", "text/plain", "audio/mpeg"] {
            assert!(!is_active_type(passive), "{passive}");
        }
    }

    #[test]
    fn media_types_have_two_parts() {
        assert!(is_media_type("text/plain; charset=utf-8"));
        for bad in ["", "text", "text/", "/plain", "text/pl ain", "text/pla\nin"] {
            assert!(!is_media_type(bad), "{bad}");
        }
    }
}
