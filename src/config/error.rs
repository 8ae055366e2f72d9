//! What can be wrong with a configuration, in words for the operator who wrote it. No text here holds a secret.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Defaults,
    File(PathBuf),
    Environment,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Defaults => f.write_str("the defaults"),
            Self::File(path) => path.display().fmt(f),
            Self::Environment => f.write_str("the environment"),
        }
    }
}

/// One value that can't be used: its key, what was given (secrets as `***`), and what is expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub key: String,
    pub given: String,
    pub expected: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is {}; expected {}", self.key, self.given, self.expected)
    }
}

/// Why a configuration can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("can't read the configuration file {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// Line and column count from 1. The line itself is left out: it may hold a secret.
    #[error("{} is not valid TOML at line {line}, column {column}: {message}", path.display())]
    Syntax { path: PathBuf, line: usize, column: usize, message: String },
    #[error("unknown key `{key}` in {origin}; did you mean `{nearest}`?")]
    UnknownKey { key: String, origin: Origin, nearest: String },
    #[error("bad value in {origin}: {problem}")]
    BadValue { problem: Problem, origin: Origin },
    #[error("missing key `{key}`: a tier that isn't built in needs all of its keys")]
    MissingKey { key: String },
    #[error("invalid configuration: {}", join(.0))]
    Invalid(Vec<Problem>),
    #[error("can't write the configuration as TOML: {0}")]
    Render(toml::ser::Error),
}

fn join(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(Problem::to_string).collect();
    lines.join("\n  and ")
}
