//! Sizes and times as people write them: `"10 MiB"`, `"30s"`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{self, Deserialize, Deserializer, Unexpected, Visitor};
use serde::ser::{Serialize, Serializer};

const SIZE_EXPECTED: &str = "a size such as \"10 MiB\", \"10 MB\" or a whole number of bytes";
const SPAN_EXPECTED: &str =
    "a time of at most 100 years such as \"250ms\", \"30s\", \"15m\", \"1h\" or \"30d\"";

/// Binary (1024) and decimal (1000) units by exact number of bytes. Bare `K`, `M`, `G` are refused as ambiguous.
const SIZE_UNITS: [(&str, u64); 11] = [
    ("PiB", 1 << 50),
    ("PB", 1_000_000_000_000_000),
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("KB", 1_000),
    ("B", 1),
];

/// Units by milliseconds, the largest first.
const SPAN_UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// 100 years: far under what overflows a clock that a span is added to.
const LONGEST_MILLIS: u64 = 36_500 * 86_400_000;

/// A text that is neither a size nor a time; says which was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not {expected}")]
pub struct ParseUnitError {
    given: String,
    expected: &'static str,
}

/// A number of bytes, written `"10 MiB"`, `"10MB"`, `"512 KiB"` or as a plain integer. Case doesn't matter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(u64);

impl ByteSize {
    #[must_use]
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    #[must_use]
    pub const fn from_kib(kib: u32) -> Self {
        Self((kib as u64) << 10)
    }

    #[must_use]
    pub const fn from_mib(mib: u32) -> Self {
        Self((mib as u64) << 20)
    }

    #[must_use]
    pub const fn from_gib(gib: u32) -> Self {
        Self((gib as u64) << 30)
    }

    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl From<ByteSize> for u64 {
    fn from(size: ByteSize) -> Self {
        size.0
    }
}

impl FromStr for ByteSize {
    type Err = ParseUnitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        scale(text, &SIZE_UNITS, Some(1))
            .map(Self)
            .ok_or_else(|| ParseUnitError { given: text.to_owned(), expected: SIZE_EXPECTED })
    }
}

/// The shortest text that is exact; of two as short, the larger unit.
impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0 B");
        }
        let mut shortest: Option<String> = None;
        for (unit, factor) in SIZE_UNITS {
            if !self.0.is_multiple_of(factor) {
                continue;
            }
            let text = format!("{} {unit}", self.0 / factor);
            if shortest.as_ref().is_none_or(|best| text.len() < best.len()) {
                shortest = Some(text);
            }
        }
        f.write_str(&shortest.unwrap_or_default())
    }
}

impl fmt::Debug for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SizeVisitor;

        impl Visitor<'_> for SizeVisitor {
            type Value = ByteSize;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(SIZE_EXPECTED)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ByteSize, E> {
                text.parse().map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
            }

            fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<ByteSize, E> {
                Ok(ByteSize(bytes))
            }

            fn visit_i64<E: de::Error>(self, bytes: i64) -> Result<ByteSize, E> {
                u64::try_from(bytes)
                    .map(ByteSize)
                    .map_err(|_| E::invalid_value(Unexpected::Signed(bytes), &self))
            }
        }

        deserializer.deserialize_any(SizeVisitor)
    }
}

/// A length of time in whole milliseconds, written `"30s"`, `"15m"`, `"1h"`, `"30d"` or `"250ms"`. At most 100 years.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(Duration);

impl Span {
    #[must_use]
    pub const fn from_millis(millis: u32) -> Self {
        Self(Duration::from_millis(millis as u64))
    }

    #[must_use]
    pub const fn from_secs(secs: u32) -> Self {
        Self(Duration::from_secs(secs as u64))
    }

    #[must_use]
    pub const fn from_mins(mins: u16) -> Self {
        Self(Duration::from_secs(mins as u64 * 60))
    }

    #[must_use]
    pub const fn from_hours(hours: u16) -> Self {
        Self(Duration::from_secs(hours as u64 * 3_600))
    }

    #[must_use]
    pub const fn from_days(days: u8) -> Self {
        Self(Duration::from_secs(days as u64 * 86_400))
    }

    #[must_use]
    pub const fn duration(self) -> Duration {
        self.0
    }
}

impl From<Span> for Duration {
    fn from(span: Span) -> Self {
        span.0
    }
}

impl FromStr for Span {
    type Err = ParseUnitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        scale(text, &SPAN_UNITS, None)
            .filter(|millis| *millis <= LONGEST_MILLIS)
            .map(|millis| Self(Duration::from_millis(millis)))
            .ok_or_else(|| ParseUnitError { given: text.to_owned(), expected: SPAN_EXPECTED })
    }
}

/// The largest unit that is exact, which is also the shortest.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        if millis == 0 {
            return f.write_str("0s");
        }
        for (unit, unit_millis) in SPAN_UNITS {
            let factor = u128::from(unit_millis);
            if millis.is_multiple_of(factor) {
                return write!(f, "{}{unit}", millis / factor);
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SpanVisitor;

        impl Visitor<'_> for SpanVisitor {
            type Value = Span;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(SPAN_EXPECTED)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Span, E> {
                text.parse().map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
            }
        }

        deserializer.deserialize_str(SpanVisitor)
    }
}

/// `<digits> <unit>` times the unit's factor; `None` for any other form, an unknown unit, or more than 64 bits.
fn scale(text: &str, units: &[(&str, u64)], without_unit: Option<u64>) -> Option<u64> {
    let trimmed = text.trim();
    let digits_end = trimmed.find(|c: char| !c.is_ascii_digit()).unwrap_or(trimmed.len());
    let (digits, unit_text) = trimmed.split_at_checked(digits_end)?;
    let unit_name = unit_text.trim_start();
    let factor = if unit_name.is_empty() {
        without_unit?
    } else {
        units.iter().find(|(unit, _)| unit.eq_ignore_ascii_case(unit_name))?.1
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}
