//! What is printed, logged or quoted, and never holds a secret.

use super::*;

#[test]
fn a_syntax_error_tells_its_place_and_not_the_line() {
    let text = "[storage]\nurl = \"file://x\"\ns3_secret_access_key = \"hunter2\n";
    let Err(error) = load_text("syntax", text) else {
        panic!("expected an error");
    };
    assert!(matches!(error, ConfigError::Syntax { line: 3, .. }), "{error:?}");
    assert!(!error.to_string().contains("hunter2"), "{error}");
}

#[test]
fn what_is_printed_loads_again() -> Outcome {
    let printed = Config::default().redacted_toml()?;
    assert_eq!(load_text("printed", &printed)?, Config::default());
    Ok(())
}

#[test]
fn no_secret_is_printed_logged_or_quoted_in_an_error() -> Outcome {
    for url in [
        "postgres://cdn:hunter2@db/cdn",
        "postgres://cdn:hunter2%40home@db/cdn",
        "postgres://cdn:hun/hunter2@db/cdn",
        "postgres://db/cdn?user=cdn&password=hunter2",
        "postgres://cdn:hunter2@db:notaport/cdn",
        "cdn:hunter2@db",
    ] {
        let mut config = Config::default();
        config.database.url = url.to_owned();
        config.storage.s3_secret_access_key = "hunter2".to_owned();
        config.slack.client_secret = "hunter2".to_owned();
        let printed = config.redacted_toml()?;
        assert!(printed.contains("***"), "{printed}");
        let error = config.validate().map_or_else(|error| error.to_string(), |()| String::new());
        for text in [printed, format!("{config:?}"), error] {
            assert!(!text.contains("hunter2"), "{text}");
        }
    }
    Ok(())
}

#[test]
fn a_secret_of_the_wrong_type_is_not_quoted() {
    for text in [
        "storage.s3_secret_access_key = 12345",
        "slack.client_secret = 12345",
        "slack = \"12345\"",
        "database.url = [\"postgres://u:12345@h/d\"]",
        "database = \"postgres://u:12345@h/d\"",
    ] {
        let error = text_of(load_text("secret", text));
        assert!(error.contains("***") && !error.contains("12345"), "{error}");
    }
}

#[test]
fn the_rest_of_a_database_url_stays_readable() -> Outcome {
    let mut config = Config::default();
    config.database.url = "postgres://cdn:hunter2@db:5432/cdn".to_owned();
    assert!(config.redacted_toml()?.contains("url = \"postgres://cdn:***@db:5432/cdn\""));
    Ok(())
}
