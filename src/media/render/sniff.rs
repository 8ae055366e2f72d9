//! What a file is, by its first bytes; names and declared types only where the bytes leave it open.

/// As much of the file as the answer may need: an SVG may begin with comments.
pub(super) const HEAD: usize = 4096;

pub(super) const IMAGE_TYPES: [&str; 16] = [
    "image/jpeg",
    "image/jpg",
    "image/pjpeg",
    "image/png",
    "image/apng",
    "image/gif",
    "image/webp",
    "image/bmp",
    "image/x-ms-bmp",
    "image/tiff",
    "image/x-icon",
    "image/vnd.microsoft.icon",
    "image/qoi",
    "image/x-qoi",
    "image/avif",
    "image/svg+xml",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Jpeg,
    Png,
    Gif,
    WebP,
    Bmp,
    Tiff,
    Ico,
    Qoi,
    Svg,
    Avif,
    Pdf,
    Video,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "jpeg",
            Self::Png => "png",
            Self::Gif => "gif",
            Self::WebP => "webp",
            Self::Bmp => "bmp",
            Self::Tiff => "tiff",
            Self::Ico => "ico",
            Self::Qoi => "qoi",
            Self::Svg => "svg",
            Self::Avif => "avif",
            Self::Pdf => "pdf",
            Self::Video => "video",
        }
    }

    pub(super) fn of(head: &[u8], media_type: &str) -> Option<Self> {
        Self::of_image(head)
            .or_else(|| head.starts_with(b"%PDF-").then_some(Self::Pdf))
            .or_else(|| is_svg(head).then_some(Self::Svg))
            .or_else(|| is_video(head, media_type).then_some(Self::Video))
    }

    fn of_image(head: &[u8]) -> Option<Self> {
        Some(match head {
            [0xff, 0xd8, 0xff, ..] => Self::Jpeg,
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Self::Png,
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Self::Gif,
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Self::WebP,
            [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => Self::Tiff,
            [b'q', b'o', b'i', b'f', ..] => Self::Qoi,
            // Two letters are little to go by: the reserved fields must be zero, too.
            [b'B', b'M', _, _, _, _, 0, 0, 0, 0, ..] => Self::Bmp,
            [0, 0, 1, 0, count, ..] if *count > 0 => Self::Ico,
            [_, _, _, _, b'f', b't', b'y', b'p', b'a', b'v', b'i', b'f' | b's', ..] => Self::Avif,
            _ => return None,
        })
    }
}

fn is_svg(head: &[u8]) -> bool {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        // A character may be cut at the end of the head.
        Err(error) => match std::str::from_utf8(head.get(..error.valid_up_to()).unwrap_or_default()) {
            Ok(text) if error.error_len().is_none() => text,
            _ => return false,
        },
    };
    let text = text.trim_start_matches('\u{feff}').trim_start();
    text.starts_with('<') && text.match_indices("<svg").any(|(at, _)| is_tag_end(text, at + "<svg".len()))
}

fn is_tag_end(text: &str, at: usize) -> bool {
    text.get(at..).and_then(|rest| rest.chars().next()).is_none_or(|c| c.is_whitespace() || "/>".contains(c))
}

fn is_video(head: &[u8], media_type: &str) -> bool {
    match infer::get(head) {
        Some(kind) => kind.mime_type().starts_with("video/"),
        // Raw streams have no magic number.
        None => media_type.starts_with("video/"),
    }
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn the_bytes_decide_over_the_declared_type() {
        assert_eq!(Kind::of(b"GIF89a\x01\0\x01\0", "video/mp4"), Some(Kind::Gif));
        assert_eq!(Kind::of(b"%PDF-1.7\n", "image/png"), Some(Kind::Pdf));
        assert_eq!(Kind::of(b"just words", "image/png"), None);
    }

    #[test]
    fn svg_is_found_behind_declarations_and_only_where_there_is_one() {
        let svg = b"\xef\xbb\xbf<?xml version='1.0'?><!-- a --><svg xmlns='x'>";
        assert_eq!(Kind::of(svg, ""), Some(Kind::Svg));
        assert_eq!(Kind::of(b"<svgfoo>", "image/svg+xml"), None);
        assert_eq!(Kind::of(b"about <svg>", "image/svg+xml"), None);
    }

    #[test]
    fn avif_and_film_share_a_container() {
        assert_eq!(Kind::of(b"\0\0\0\x1cftypavif\0\0\0\0", ""), Some(Kind::Avif));
        assert_eq!(Kind::of(b"\0\0\0\x1cftypisom\0\0\0\0", ""), Some(Kind::Video));
        assert_eq!(Kind::of(b"\x47\x40\x11\x10raw", "video/mp2t"), Some(Kind::Video));
    }
}
