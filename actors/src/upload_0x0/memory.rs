//! What is remembered of ended uploads: counts, and the latest failures.

use super::Report;
use crate::ports::AttemptError;
use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, VecDeque};

/// Failures that are kept to be shown.
const KEPT: usize = 20;

/// How an upload ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    Answered,
    ConnectionError,
    Timeout,
    BadAnswer,
    /// The sender's bytes ended early, or could not be kept.
    NoSource,
    Failed,
    /// Whoever asked went away.
    Gone,
}

impl Ending {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::ConnectionError => "connection_error",
            Self::Timeout => "timeout",
            Self::BadAnswer => "bad_answer",
            Self::NoSource => "no_source",
            Self::Failed => "failed",
            Self::Gone => "client_gone",
        }
    }

    /// `None`: whoever asked is gone.
    pub fn of(report: Option<&Report>) -> Self {
        match report.map(|report| &report.outcome) {
            None => Self::Gone,
            Some(Ok(_)) => Self::Answered,
            Some(Err(error)) => match error {
                AttemptError::Connection(_) => Self::ConnectionError,
                AttemptError::Timeout(_) => Self::Timeout,
                AttemptError::Answer(_) => Self::BadAnswer,
                AttemptError::Source(_) => Self::NoSource,
                AttemptError::Failed(_) => Self::Failed,
            },
        }
    }
}

/// An upload that the host did not answer. Names neither the user nor the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub at: DateTime<Utc>,
    pub ending: Ending,
    pub attempts: u32,
}

#[derive(Default)]
pub(super) struct Memory {
    pub ended: BTreeMap<Ending, u64>,
    /// Newest first.
    pub failures: VecDeque<Failure>,
}

impl Memory {
    pub fn note(&mut self, report: Option<&Report>, at: DateTime<Utc>) {
        let ending = Ending::of(report);
        *self.ended.entry(ending).or_default() += 1;
        // What goes wrong at the sender's end says nothing about the host.
        if let Some(report) = report
            && !matches!(ending, Ending::Answered | Ending::NoSource)
        {
            tracing::warn!(ending = ending.as_str(), attempts = report.attempts, outcome = ?report.outcome, "no answer from the upload host");
            self.failures.truncate(KEPT - 1);
            self.failures.push_front(Failure { at, ending, attempts: report.attempts });
        }
    }
}
