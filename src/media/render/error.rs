//! Why there is no rendition, in one sentence for the file's owner.

use serde::{Deserialize, Serialize};

/// Longer reasons are cut: some decoders quote what they have read.
const LONGEST_REASON: usize = 160;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum RenderError {
    #[error("There is no preview for this type of file.")]
    Unsupported,
    #[error("The file is damaged or not what its name says: {0}.")]
    Broken(String),
    #[error("The file is too large for a preview: {0}.")]
    TooLarge(String),
    #[error("A preview of this type of file needs {0}, which is not installed on the server.")]
    MissingTool(String),
    #[error("Making the preview took too long.")]
    TimedOut,
    #[error("Making the preview failed unexpectedly.")]
    Crashed,
    #[error("Making the preview needs more memory than it is allowed.")]
    OutOfMemory,
    #[error("Previews can't be made at the moment.")]
    Unavailable,
}

impl RenderError {
    /// Whether another attempt would fail in the same way.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Unsupported
            | Self::Broken(_)
            | Self::TooLarge(_)
            | Self::MissingTool(_)
            | Self::OutOfMemory => true,
            Self::TimedOut | Self::Crashed | Self::Unavailable => false,
        }
    }

    /// The file is broken, for a reason that may come from the file itself.
    pub(super) fn broken(reason: impl ToString) -> Self {
        Self::Broken(tidy(&reason.to_string()))
    }

    /// The same error with texts that are fit to be shown, whoever wrote them.
    pub(super) fn tidied(self) -> Self {
        match self {
            Self::Broken(reason) => Self::Broken(tidy(&reason)),
            Self::TooLarge(reason) => Self::TooLarge(tidy(&reason)),
            Self::MissingTool(tool) => Self::MissingTool(tidy(&tool)),
            other => other,
        }
    }
}

/// One line of bounded length, without a stop at its end.
fn tidy(reason: &str) -> String {
    let line: String =
        reason.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_REASON).collect();
    line.trim().trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::RenderError;

    #[test]
    fn a_reason_is_one_line_of_bounded_length() {
        let error = RenderError::broken(format!("bad\nchunk\0 {}", "x".repeat(1000)));
        let text = error.to_string();
        assert!(text.starts_with("The file is damaged or not what its name says: bad chunk  xxx"), "{text}");
        assert!(text.len() < 250 && !text.chars().any(char::is_control), "{text}");
    }

    #[test]
    fn what_the_file_is_to_blame_for_is_permanent_and_what_the_server_is_is_not() {
        assert!(RenderError::broken("x").is_permanent());
        assert!(RenderError::Unsupported.is_permanent());
        assert!(!RenderError::Crashed.is_permanent());
        assert!(!RenderError::TimedOut.is_permanent());
    }
}
