//! Lays the file and the environment over the defaults, key by key, and remembers where each value came from.
//!
//! The defaults, written as a table, are the list of known keys: there is no second list to keep in step.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_path_to_error::Segment;
use toml::{Table, Value};

use super::Config;
use super::error::{ConfigError, Origin, Problem};
use super::redact;

const DEFAULT_FILE: &str = "config.toml";
const ENVIRONMENT_PREFIX: &str = "CDN__";
const ENVIRONMENT_SEPARATOR: &str = "__";
/// Below this, the operator chooses the next name; every tier has the same keys.
const TIERS: [&str; 2] = ["quota", "tiers"];

/// [`Config::load`] with `folder` in the place of the working directory.
pub(super) fn load<K, V>(
    folder: &Path,
    path: Option<&Path>,
    environment: impl IntoIterator<Item = (K, V)>,
) -> Result<Config, ConfigError>
where
    K: Into<OsString>,
    V: Into<OsString>,
{
    let mut layers = Layers::over_defaults()?;
    if let Some((file, text)) = read_file(folder, path)? {
        layers.add_file(&file, &text)?;
    }
    layers.add_environment(environment)?;
    layers.finish()
}

fn read_file(folder: &Path, path: Option<&Path>) -> Result<Option<(PathBuf, String)>, ConfigError> {
    let file = match path {
        Some(explicit) => explicit.to_owned(),
        None => folder.join(DEFAULT_FILE),
    };
    match fs::read_to_string(&file) {
        Ok(text) => Ok(Some((file, text))),
        Err(error) if path.is_none() && error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ConfigError::Read { path: file, source }),
    }
}

struct Layers {
    defaults: Table,
    merged: Table,
    /// By dotted key; a key that isn't here is a default.
    origins: BTreeMap<String, Origin>,
}

impl Layers {
    fn over_defaults() -> Result<Self, ConfigError> {
        let defaults = Table::try_from(Config::default()).map_err(ConfigError::Render)?;
        Ok(Self { merged: defaults.clone(), defaults, origins: BTreeMap::new() })
    }

    fn add_file(&mut self, file: &Path, text: &str) -> Result<(), ConfigError> {
        let table: Table = text.parse().map_err(|error| syntax_error(file, text, &error))?;
        self.add_table(&mut Vec::new(), table, &Origin::File(file.to_owned()))
    }

    fn add_table(
        &mut self,
        path: &mut Vec<String>,
        table: Table,
        origin: &Origin,
    ) -> Result<(), ConfigError> {
        for (name, value) in table {
            path.push(name);
            match (self.kind_of(path), value) {
                (None, _) => return Err(self.unknown_key(path, origin)),
                (Some(Kind::Section), Value::Table(inner)) => {
                    if lookup(&self.merged, path).is_none() {
                        self.set(path, Value::Table(Table::new()), origin);
                    }
                    self.add_table(path, inner, origin)?;
                }
                (Some(Kind::Section), other) => {
                    return Err(bad_value(path, &other, Kind::Section.expected(), origin));
                }
                (Some(_), leaf) => self.set(path, leaf, origin),
            }
            path.pop();
        }
        Ok(())
    }

    fn add_environment<K, V>(
        &mut self,
        environment: impl IntoIterator<Item = (K, V)>,
    ) -> Result<(), ConfigError>
    where
        K: Into<OsString>,
        V: Into<OsString>,
    {
        // Sorted, so that of several mistakes the same one is named each time.
        let mut variables = BTreeMap::new();
        for (raw_name, value) in environment {
            let Ok(name) = raw_name.into().into_string() else {
                continue;
            };
            if name.starts_with(ENVIRONMENT_PREFIX) {
                variables.insert(name, value.into());
            }
        }
        for (name, value) in variables {
            self.add_variable(&name, value)?;
        }
        Ok(())
    }

    fn add_variable(&mut self, name: &str, raw: OsString) -> Result<(), ConfigError> {
        let origin = Origin::Environment;
        let path: Vec<String> = name
            .strip_prefix(ENVIRONMENT_PREFIX)
            .unwrap_or(name)
            .split(ENVIRONMENT_SEPARATOR)
            .map(str::to_ascii_lowercase)
            .collect();
        let Some(kind) = self.kind_of(&path) else {
            return Err(self.unknown_key(&path, &origin));
        };
        let text = raw.into_string().map_err(|invalid| {
            let lossy = Value::String(invalid.to_string_lossy().into_owned());
            bad_value(&path, &lossy, "UTF-8 text", &origin)
        })?;
        let Some(value) = kind.parse(&text) else {
            let given = Value::String(text);
            return Err(bad_value(&path, &given, kind.expected(), &origin));
        };
        self.set(&path, value, &origin);
        Ok(())
    }

    fn finish(self) -> Result<Config, ConfigError> {
        self.check_tiers_complete()?;
        let merged = Value::Table(self.merged.clone());
        serde_path_to_error::deserialize(merged).map_err(|error| self.explain(&error))
    }

    /// A value that the types refuse, by the key it stands at.
    fn explain(&self, error: &serde_path_to_error::Error<toml::de::Error>) -> ConfigError {
        let mut path = Vec::new();
        let mut item = None;
        for segment in error.path() {
            match segment {
                Segment::Map { key } => path.push(key.clone()),
                Segment::Seq { index } => item = Some(*index),
                Segment::Enum { .. } | Segment::Unknown => {}
            }
        }
        let mut given = lookup(&self.merged, &path);
        if let Some(index) = item {
            given = given.and_then(|list| list.get(index));
        }
        let message = error.inner().message();
        let expected = match self.kind_of(&path) {
            Some(kind) if item.is_none() && !matches!(kind, Kind::Text) => kind.expected(),
            // Only the type of a text knows its form; serde's words for it end in "…, expected …".
            _ => message.split_once("expected ").map_or(message, |(_, expected)| expected),
        };
        let nothing = Value::String(String::new());
        let origin = self.origin_of(&path);
        bad_value(&path, given.unwrap_or(&nothing), expected, &origin)
    }

    fn check_tiers_complete(&self) -> Result<(), ConfigError> {
        let tiers = TIERS.map(str::to_owned);
        let Some(Value::Table(tiers_given)) = lookup(&self.merged, &tiers) else {
            return Ok(());
        };
        for (name, tier) in tiers_given {
            let key = [&tiers[..], std::slice::from_ref(name)].concat();
            let Some(Value::Table(shape)) = template(&self.defaults, &key) else {
                continue;
            };
            for field in shape.keys() {
                if tier.get(field).is_none() {
                    return Err(ConfigError::MissingKey { key: format!("{}.{field}", key.join(".")) });
                }
            }
        }
        Ok(())
    }

    fn kind_of(&self, path: &[String]) -> Option<Kind> {
        template(&self.defaults, path).map(Kind::of)
    }

    fn origin_of(&self, path: &[String]) -> Origin {
        self.origins.get(&path.join(".")).cloned().unwrap_or(Origin::Defaults)
    }

    fn set(&mut self, path: &[String], value: Value, origin: &Origin) {
        let Some((name, sections)) = path.split_last() else {
            return;
        };
        let mut table = &mut self.merged;
        for section in sections {
            let entry = table.entry(section.clone()).or_insert_with(|| Value::Table(Table::new()));
            // A known key's parents are sections in the defaults, and a section is only ever merged with a table.
            let Value::Table(inner) = entry else {
                return;
            };
            table = inner;
        }
        table.insert(name.clone(), value);
        self.origins.insert(path.join("."), origin.clone());
    }

    fn unknown_key(&self, path: &[String], origin: &Origin) -> ConfigError {
        let mut known = Vec::new();
        collect_keys(&self.merged, &mut Vec::new(), &mut known);
        // A misspelt key of a tier not seen before.
        if let Some((_, tier)) = path.split_last()
            && let Some(Value::Table(fields)) = template(&self.defaults, tier)
        {
            collect_keys(fields, &mut tier.to_vec(), &mut known);
        }
        let given = path.join(".");
        let nearest =
            known.into_iter().min_by_key(|candidate| distance(&given, candidate)).unwrap_or_default();
        ConfigError::UnknownKey {
            key: spelling(&given, origin),
            origin: origin.clone(),
            nearest: spelling(&nearest, origin),
        }
    }
}

/// The type of a key's value, as its default shows it. Sizes and times are text here.
#[derive(Clone, Copy)]
enum Kind {
    Section,
    Boolean,
    Integer,
    List,
    Numbers,
    Text,
}

impl Kind {
    fn of(default: &Value) -> Self {
        match default {
            Value::Table(_) => Self::Section,
            Value::Boolean(_) => Self::Boolean,
            Value::Integer(_) => Self::Integer,
            Value::Array(items) if items.first().is_some_and(Value::is_integer) => Self::Numbers,
            Value::Array(_) => Self::List,
            Value::String(_) | Value::Float(_) | Value::Datetime(_) => Self::Text,
        }
    }

    fn expected(self) -> &'static str {
        match self {
            Self::Section => "a section with keys of its own",
            Self::Boolean => "true or false",
            Self::Integer => "a whole number from 0 to 4294967295",
            Self::List => "a list of texts",
            Self::Numbers => "a list of whole numbers",
            Self::Text => "a text",
        }
    }

    /// A variable's text as a value of this kind; lists are separated by commas.
    fn parse(self, text: &str) -> Option<Value> {
        match self {
            Self::Section => None,
            Self::Boolean => text.trim().parse().ok().map(Value::Boolean),
            Self::Integer => text.trim().parse().ok().map(Value::Integer),
            Self::Text => Some(Value::String(text.to_owned())),
            Self::Numbers => {
                let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                let numbers = items.map(|item| item.parse().map(Value::Integer));
                numbers.collect::<Result<_, _>>().ok().map(Value::Array)
            }
            Self::List => {
                let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                Some(Value::Array(items.map(|item| Value::String(item.to_owned())).collect()))
            }
        }
    }
}

fn lookup<'t>(table: &'t Table, path: &[String]) -> Option<&'t Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(table.get(first)?, |value, name| value.get(name))
}

/// The default of a key, which also shows its type; a tier that isn't built in has the shape of one that is.
fn template<'t>(defaults: &'t Table, path: &[String]) -> Option<&'t Value> {
    if let Some(found) = lookup(defaults, path) {
        return Some(found);
    }
    let [quota, tiers, name, rest @ ..] = path else {
        return None;
    };
    if [quota, tiers] != TIERS || name.is_empty() {
        return None;
    }
    let any_tier = defaults.get(quota)?.get(tiers)?.as_table()?.values().next();
    rest.iter().try_fold(any_tier?, |value, field| value.get(field))
}

fn collect_keys(table: &Table, path: &mut Vec<String>, keys: &mut Vec<String>) {
    for (name, value) in table {
        path.push(name.clone());
        keys.push(path.join("."));
        if let Value::Table(inner) = value {
            collect_keys(inner, path, keys);
        }
        path.pop();
    }
}

/// How far one key is from the other: four for each edit. The right name in the wrong section, give or take a letter,
/// is as far as two edits; a name that lacks words in the right section is a little farther than one.
fn distance(given: &str, candidate: &str) -> usize {
    let (section, name) = given.rsplit_once('.').unwrap_or(("", given));
    let (other_section, other_name) = candidate.rsplit_once('.').unwrap_or(("", candidate));
    let edits = strsim::damerau_levenshtein(given, candidate);
    let moved = match strsim::damerau_levenshtein(name, other_name) {
        edits @ 0..=1 => edits + 2,
        _ => usize::MAX / 4,
    };
    let is_shortened = section == other_section
        && name.split('_').all(|word| other_name.split('_').any(|other| other == word));
    let shortened = if is_shortened { 5 } else { usize::MAX };
    (4 * edits.min(moved)).min(shortened)
}

/// A key as its source spells it.
fn spelling(key: &str, origin: &Origin) -> String {
    match origin {
        Origin::Environment => {
            let name = key.replace('.', ENVIRONMENT_SEPARATOR).to_ascii_uppercase();
            format!("{ENVIRONMENT_PREFIX}{name}")
        }
        Origin::Defaults | Origin::File(_) => key.to_owned(),
    }
}

fn bad_value(path: &[String], given: &Value, expected: &str, origin: &Origin) -> ConfigError {
    let key = path.join(".");
    let shown = match (key.as_str(), given) {
        ("storage.s3_secret_access_key" | "slack.client_secret" | "slack", _) => redact::HIDDEN.to_owned(),
        (_, Value::String(text)) => format!("{:?}", redact::url(text)),
        ("database.url" | "database" | "storage", _) => redact::HIDDEN.to_owned(),
        (_, other) => other.to_string(),
    };
    ConfigError::BadValue {
        problem: Problem { key: spelling(&key, origin), given: shown, expected: expected.to_owned() },
        origin: origin.clone(),
    }
}

fn syntax_error(file: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    let offset = error.span().map_or(0, |span| span.start);
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let column = before.get(line_start..).map_or(0, |line| line.chars().count());
    ConfigError::Syntax {
        path: file.to_owned(),
        line: before.matches('\n').count() + 1,
        column: column + 1,
        message: error.message().to_owned(),
    }
}
