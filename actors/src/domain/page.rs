//! Pages of a list (contract, section 1).

/// Which page of a list, and how many rows on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// From 1.
    pub number: u64,
    /// 1 to 100.
    pub size: u64,
}

impl Page {
    pub const DEFAULT_SIZE: u64 = 20;
    pub const MAX_SIZE: u64 = 100;

    /// `None` for a page number that can't be one; the size never fails.
    pub fn parse(number: Option<&str>, size: Option<&str>) -> Option<Self> {
        let number = match number {
            None | Some("") => 1,
            Some(text) => text.parse().ok().filter(|n| (1..=1 << 40).contains(n))?,
        };
        Some(Self { number, size: parse_size(size) })
    }

    pub fn offset(self) -> u64 {
        (self.number - 1) * self.size
    }

    /// Whether this page exists in a list of `count` rows; the first one always does.
    pub fn exists_in(self, count: u64) -> bool {
        self.number == 1 || self.offset() < count
    }

    pub fn has_next(self, count: u64) -> bool {
        self.number * self.size < count
    }
}

fn parse_size(text: Option<&str>) -> u64 {
    let Some(text) = text else { return Page::DEFAULT_SIZE };
    match text.parse::<u64>() {
        Ok(0) => Page::DEFAULT_SIZE,
        Ok(size) => size.min(Page::MAX_SIZE),
        Err(error) if *error.kind() == std::num::IntErrorKind::PosOverflow => Page::MAX_SIZE,
        Err(_) => Page::DEFAULT_SIZE,
    }
}
