//! Collects every problem that validation finds, so that an operator fixes them in one go.

use std::fmt;

use super::error::{ConfigError, Problem};
use super::units::{ByteSize, Span};

#[derive(Default)]
pub(super) struct Checks {
    problems: Vec<Problem>,
}

impl Checks {
    /// Records a problem unless `holds`. `given` must be redacted already; `{:?}` of it is what the operator sees.
    pub(super) fn require(
        &mut self,
        holds: bool,
        key: impl Into<String>,
        given: impl fmt::Debug,
        expected: impl Into<String>,
    ) {
        if !holds {
            self.problems.push(Problem {
                key: key.into(),
                given: format!("{given:?}"),
                expected: expected.into(),
            });
        }
    }

    pub(super) fn above_zero(&mut self, key: &str, value: impl Amount) {
        self.require(!value.is_zero(), key, &value, "more than zero");
    }

    pub(super) fn finish(self) -> Result<(), ConfigError> {
        if self.problems.is_empty() {
            return Ok(());
        }
        Err(ConfigError::Invalid(self.problems))
    }
}

/// Something that can be zero.
pub(super) trait Amount: fmt::Debug {
    fn is_zero(&self) -> bool;
}

impl Amount for u32 {
    fn is_zero(&self) -> bool {
        *self == 0
    }
}

impl Amount for usize {
    fn is_zero(&self) -> bool {
        *self == 0
    }
}

impl Amount for Span {
    fn is_zero(&self) -> bool {
        self.duration().is_zero()
    }
}

impl Amount for ByteSize {
    fn is_zero(&self) -> bool {
        self.bytes() == 0
    }
}
