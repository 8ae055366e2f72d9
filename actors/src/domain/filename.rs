//! Names of files and folders: what may be one, and which one is free next.

use super::Invalid;
use unicode_normalization::UnicodeNormalization;

/// Longest file name in bytes of UTF-8, as most file systems have it.
pub const MAX_FILENAME_BYTES: usize = 255;
/// Longest folder name in characters (contract, section 4).
pub const MAX_FOLDER_NAME_CHARS: usize = 255;

/// A file's name: NFC, no path in it, at most 255 bytes. Never used as a path on disk.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Filename(String);

impl Filename {
    /// # Errors
    /// An empty name, `.` or `..`, `/` or `\`, control characters, over 255 bytes.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let name = normalize(text)?;
        if name.contains('\\') {
            return Err(Invalid::new("A name can't contain a slash or backslash."));
        }
        if name.len() > MAX_FILENAME_BYTES {
            return Err(Invalid::new("Ensure this name has no more than 255 bytes."));
        }
        Ok(Self(name))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The lower-case extension with its dot, or "" (contract, section 3).
    pub fn extension(&self) -> String {
        extension_of(&self.0).to_lowercase()
    }

    /// `a.jpg` → `a (n).jpg`, shortened where it would pass the limit.
    pub fn numbered(&self, n: u64) -> Self {
        let extension = extension_of(&self.0);
        let suffix = format!(" ({n}){extension}");
        let mut stem = &self.0[..self.0.len() - extension.len()];
        while stem.len() + suffix.len() > MAX_FILENAME_BYTES {
            let Some((last, _)) = stem.char_indices().next_back() else { break };
            stem = &stem[..last];
        }
        Self(format!("{stem}{suffix}"))
    }
}

/// A folder's name, by the contract's rules in section 4.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FolderName(String);

impl FolderName {
    /// # Errors
    /// An empty name, `.` or `..`, `/` or `\`, control characters, over 255 characters.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let name = normalize(text)?;
        if name.contains('\\') {
            return Err(Invalid::new("A name can't contain a slash or backslash."));
        }
        if name.chars().count() > MAX_FOLDER_NAME_CHARS {
            return Err(Invalid::new("Ensure this field has no more than 255 characters."));
        }
        Ok(Self(name))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `Photos` → `Photos (n)`, for a folder that comes back onto a taken name.
    pub fn numbered(&self, n: u64) -> Self {
        let suffix = format!(" ({n})");
        let room = MAX_FOLDER_NAME_CHARS - suffix.chars().count();
        let stem: String = self.0.chars().take(room).collect();
        Self(format!("{stem}{suffix}"))
    }
}

fn normalize(text: &str) -> Result<String, Invalid> {
    let name: String = text.trim().nfc().collect();
    if name.is_empty() {
        return Err(Invalid::new("This field may not be blank."));
    }
    if name == "." || name == ".." {
        return Err(Invalid::new("\".\" and \"..\" are not names."));
    }
    if name.contains('/') {
        return Err(Invalid::new("A name can't contain a slash or backslash."));
    }
    if name.chars().any(is_unsafe_character) {
        return Err(Invalid::new("A name can't contain control characters."));
    }
    Ok(name)
}

/// Control characters, and the bidirectional overrides that make `exe.jpg` out of `gpj.exe`
/// (Unicode Technical Report 36, section 2.6).
fn is_unsafe_character(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
}

/// The part from the last dot on; a leading dot starts a hidden file, not an extension.
fn extension_of(name: &str) -> &str {
    match name.rfind('.') {
        Some(at) if at > 0 && at + 1 < name.len() => &name[at..],
        _ => "",
    }
}

/// A name folded for search and comparison without case, in all of Unicode.
///
/// By way of the capitals, where what folding joins is one: ß and SS, σ and ς. It is the standard's full
/// folding (Unicode 5.18) but for ı, which becomes i.
pub fn fold_case(text: &str) -> String {
    let small = text.nfkc().flat_map(char::to_lowercase);
    small.flat_map(char::to_uppercase).flat_map(char::to_lowercase).nfc().collect()
}

/// Which numbers to look up next, while searching for the first free numbered name.
///
/// The first probe asks 1 to 32 and, for names taken thousands of times, powers of two; each further
/// one narrows the bracket 32-fold. So a free name costs one look-up in the usual case and at most
/// six in any, instead of one for each taken name.
#[derive(Debug, Clone, Default)]
pub struct FreeNumberSearch {
    taken_up_to: u64,
    free_at: Option<u64>,
}

const PROBES: u64 = 32;

impl FreeNumberSearch {
    /// The numbers to look up now, ascending.
    pub fn probe(&self) -> Vec<u64> {
        match self.free_at {
            None => (1..=PROBES).chain((6..40).map(|power| 1 << power)).collect(),
            Some(free_at) => {
                let gap = free_at - self.taken_up_to;
                let step = gap.div_ceil(PROBES + 1).max(1);
                (1..=PROBES).map(|i| self.taken_up_to + i * step).take_while(|n| *n < free_at).collect()
            }
        }
    }

    /// Takes what was found taken among the probed numbers; gives the free number once it is certain.
    pub fn narrow(&mut self, probed: &[u64], is_taken: impl Fn(u64) -> bool) -> Option<u64> {
        for &n in probed {
            if is_taken(n) {
                self.taken_up_to = n;
            } else {
                self.free_at = Some(n);
                break;
            }
        }
        match self.free_at {
            Some(free_at) if free_at == self.taken_up_to + 1 => Some(free_at),
            // 2^39 copies of one name are not reachable by any quota; a fresh number ends it.
            None => Some(self.taken_up_to + 1),
            Some(_) => None,
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_paths_or_invisible_are_refused() {
        for name in ["", "  ", ".", "..", "a/b", "a\\b", "a\0b", "a\nb", "gpj\u{202e}.exe", &"x".repeat(256)]
        {
            assert!(Filename::parse(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn names_are_composed() {
        assert_eq!(Filename::parse("e\u{301}.txt").unwrap().as_str(), "\u{e9}.txt");
    }

    #[test]
    fn numbered_names_keep_their_extension_and_the_limit() {
        assert_eq!(Filename::parse("a.jpg").unwrap().numbered(1).as_str(), "a (1).jpg");
        assert_eq!(Filename::parse(".env").unwrap().numbered(2).as_str(), ".env (2)");
        let long = Filename::parse(&format!("{}.jpg", "é".repeat(125))).unwrap();
        let numbered = long.numbered(12);
        assert!(numbered.as_str().len() <= MAX_FILENAME_BYTES && numbered.as_str().ends_with(" (12).jpg"));
    }

    #[test]
    fn the_free_number_is_found_in_few_probes_however_many_are_taken() {
        for taken in [0u64, 1, 31, 32, 33, 1000, 200_000, 1 << 33] {
            let mut search = FreeNumberSearch::default();
            let mut probes = 0;
            let free = loop {
                probes += 1;
                let probe = search.probe();
                if let Some(free) = search.narrow(&probe, |n| n <= taken) {
                    break free;
                }
            };
            assert_eq!(free, taken + 1);
            assert!(probes <= 8, "{probes} probes for {taken}");
        }
    }
}
