//! Which database engines this run tests, and what it says about one that is missing.

use std::fmt;

use super::postgres;

const VARIABLE: &str = "CDN_TEST_ENGINES";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        })
    }
}

pub struct Engines {
    pub present: Vec<Engine>,
    /// Printed after everything else.
    pub note: Option<String>,
}

impl Engines {
    /// The engines named in `CDN_TEST_ENGINES`; without it SQLite, and Postgres if its binaries are found.
    ///
    /// # Errors
    /// A named engine is unknown or not on this machine.
    pub fn from_environment() -> Result<Self, String> {
        match std::env::var(VARIABLE) {
            Ok(list) if !list.trim().is_empty() => Self::named(&list),
            _ => Ok(Self::found()),
        }
    }

    fn named(list: &str) -> Result<Self, String> {
        let mut present = Vec::new();
        for name in list.split(',').map(str::trim) {
            let engine = match name {
                "sqlite" => Engine::Sqlite,
                "postgres" if postgres::binaries().is_some() => Engine::Postgres,
                "postgres" => return Err(format!("{VARIABLE} asks for postgres, but {}", postgres::MISSING)),
                other => {
                    return Err(format!("{VARIABLE}: unknown engine `{other}` (known: sqlite, postgres)"));
                }
            };
            if !present.contains(&engine) {
                present.push(engine);
            }
        }
        Ok(Self { present, note: None })
    }

    fn found() -> Self {
        if postgres::binaries().is_some() {
            return Self { present: vec![Engine::Sqlite, Engine::Postgres], note: None };
        }
        let note = format!(
            "\nNOT TESTED: Postgres; {}\nSet {VARIABLE}=sqlite,postgres to make this an error.",
            postgres::MISSING
        );
        Self { present: vec![Engine::Sqlite], note: Some(note) }
    }
}
