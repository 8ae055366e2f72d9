//! Loading, validating and printing, against the `config.toml` that is shipped.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::{Table, Value};

use super::*;

mod loading;
mod redaction;
mod units;
mod validation;

type Outcome = Result<(), Box<dyn Error>>;

const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config.toml");
const NO_ENVIRONMENT: [(&str, &str); 0] = [];

/// A folder of one test's own, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn with_config(name: &str, text: &str) -> std::io::Result<Self> {
        let path = std::env::temp_dir().join(format!("cdn-config-{}-{name}", std::process::id()));
        fs::create_dir_all(&path)?;
        fs::write(path.join("config.toml"), text)?;
        Ok(Self(path))
    }

    fn load(&self) -> Result<Config, ConfigError> {
        layers::load(&self.0, None, NO_ENVIRONMENT)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn load_environment(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
    layers::load(Path::new("no such folder"), None, pairs.iter().map(|(name, value)| (*name, *value)))
}

fn load_text(name: &str, text: &str) -> Result<Config, ConfigError> {
    let folder = Folder::with_config(name, text)
        .map_err(|source| ConfigError::Read { path: PathBuf::from(name), source })?;
    folder.load()
}

/// The error's text, without the folder of the test.
#[track_caller]
fn text_of<T: std::fmt::Debug>(result: Result<T, ConfigError>) -> String {
    match result {
        Ok(value) => panic!("expected an error, not {value:?}"),
        Err(error) => {
            let text = error.to_string();
            match (text.find(" in /"), text.find("/config.toml")) {
                (Some(start), Some(end)) => format!("{} in {}", &text[..start], &text[end + 1..]),
                _ => text,
            }
        }
    }
}

#[track_caller]
fn problem_of(change: impl FnOnce(&mut Config)) -> String {
    let mut config = Config::default();
    change(&mut config);
    text_of(config.validate())
}

fn keys_of(table: &Table, prefix: &str, keys: &mut Vec<String>) {
    for (name, value) in table {
        let key = format!("{prefix}{name}");
        match value {
            Value::Table(inner) => keys_of(inner, &format!("{key}."), keys),
            _ => keys.push(key),
        }
    }
}
