//! Defaults, file and environment, and the words for mistakes in them.

use super::*;

#[test]
fn the_shipped_file_means_exactly_the_defaults() -> Outcome {
    let config = Config::load(Some(Path::new(SHIPPED)), NO_ENVIRONMENT)?;
    assert_eq!(config, Config::default());
    Ok(())
}

#[test]
fn the_shipped_file_names_every_key() -> Outcome {
    let shipped: Table = fs::read_to_string(SHIPPED)?.parse()?;
    let defaults = Table::try_from(Config::default())?;
    let (mut named, mut known) = (Vec::new(), Vec::new());
    keys_of(&shipped, "", &mut named);
    keys_of(&defaults, "", &mut known);
    assert_eq!(named, known);
    Ok(())
}

#[test]
fn the_shipped_file_explains_every_key_and_section() -> Outcome {
    let text = fs::read_to_string(SHIPPED)?;
    let mut previous = "";
    for line in text.lines() {
        let is_explained = previous.starts_with('#')
            || previous.starts_with("s3_access_key_id")
            || previous.starts_with("[quota.tiers")
            || previous.starts_with("max_file_size");
        assert!(!line.contains(" = ") || line.starts_with('#') || is_explained, "{line}");
        previous = line;
    }
    Ok(())
}

#[test]
fn without_a_file_the_defaults_are_used() -> Outcome {
    assert_eq!(load_environment(&[])?, Config::default());
    Ok(())
}

#[test]
fn a_file_that_is_asked_for_must_exist() {
    let missing = Path::new("no such file.toml");
    let text = text_of(Config::load(Some(missing), NO_ENVIRONMENT));
    assert!(text.starts_with("can't read the configuration file no such file.toml: "), "{text}");
}

#[test]
fn a_file_changes_only_what_it_names() -> Outcome {
    let config = load_text("partial", "[quota.tiers.verified]\nmax_total = \"1 GiB\"\n")?;
    let mut expected = Config::default();
    let verified = expected.quota.tiers.get_mut("verified");
    verified.ok_or("no such tier")?.max_total = ByteSize::from_gib(1);
    assert_eq!(config, expected);
    Ok(())
}

#[test]
fn a_file_may_add_a_tier_beside_the_built_in_ones() -> Outcome {
    let text = "[quota.tiers.gold]\nmax_file_size = 1000\nmax_total = \"1 TiB\"";
    let config = load_text("tier", text)?;
    config.validate()?;
    let names: Vec<&String> = config.quota.tiers.keys().collect();
    assert_eq!(names, ["gold", "unlimited", "unverified", "verified"]);
    let gold = config.quota.tiers.get("gold").ok_or("no such tier")?;
    assert_eq!(gold.max_file_size.bytes(), 1000);
    Ok(())
}

#[test]
fn a_new_tier_needs_both_keys() {
    for text in ["[quota.tiers.gold]\nmax_file_size = 1", "[quota.tiers.gold]\n"] {
        let error = text_of(load_text("incomplete", text));
        assert!(error.starts_with("missing key `quota.tiers.gold.max_"), "{error}");
    }
}

#[test]
fn the_environment_wins_over_the_file() -> Outcome {
    let folder = Folder::with_config("layers", "[server]\nworkers = 3\nmax_connections = 7\n")?;
    let environment = [("CDN__SERVER__WORKERS", "4")];
    let config = layers::load(&folder.0, None, environment)?;
    assert_eq!((config.server.workers, config.server.max_connections), (4, 7));
    Ok(())
}

#[test]
fn the_environment_sets_values_of_every_kind() -> Outcome {
    let config = load_environment(&[
        ("CDN__SERVER__BIND", "[::1]:9000"),
        ("CDN__SERVER__FRONTEND_ORIGINS", "https://a.test, https://b.test:8443,"),
        ("CDN__SERVER__TRUSTED_PROXIES", "10.0.0.0/8,2001:db8::1"),
        ("CDN__SERVER__SHUTDOWN_TIMEOUT", "250ms"),
        ("CDN__STORAGE__S3_ALLOW_HTTP", "true"),
        ("CDN__QUOTA__TIERS__VERIFIED__MAX_TOTAL", "1 GiB"),
        ("CDN__UPLOADS__JSON_LIMIT", "2048"),
        ("CDN__VERSIONS__KEEP", "0"),
        ("CDN__LOG__FORMAT", "json"),
        ("PATH", "/bin"),
        ("CDN_SERVER", "not ours"),
    ])?;
    assert_eq!(config.server.bind.to_string(), "[::1]:9000");
    assert_eq!(config.server.frontend_origins, ["https://a.test", "https://b.test:8443"]);
    let proxies: Vec<String> = config.server.trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(proxies, ["10.0.0.0/8", "2001:db8::1/128"]);
    assert_eq!(config.server.shutdown_timeout, Span::from_millis(250));
    assert!(config.storage.s3_allow_http);
    let verified = config.quota.tiers.get("verified").ok_or("no such tier")?;
    assert_eq!(verified.max_total, ByteSize::from_gib(1));
    assert_eq!(verified.max_file_size, ByteSize::from_mib(100));
    assert_eq!(config.uploads.json_limit, ByteSize::from_kib(2));
    assert_eq!(config.versions.keep, 0);
    assert_eq!(config.log.format, LogFormat::Json);
    Ok(())
}

#[test]
fn the_environment_may_add_a_tier_key_by_key() -> Outcome {
    let config = load_environment(&[
        ("CDN__QUOTA__TIERS__GOLD__MAX_FILE_SIZE", "1 GiB"),
        ("CDN__QUOTA__TIERS__GOLD__MAX_TOTAL", "1 TiB"),
    ])?;
    assert!(config.quota.tiers.contains_key("gold"));
    Ok(())
}

#[test]
fn an_unknown_key_in_the_file_names_the_nearest_known_one() {
    for (text, key, nearest) in [
        ("[server]\nbnid = 1", "server.bnid", "server.bind"),
        ("bind = 1", "bind", "server.bind"),
        ("[sever]\nbind = 1", "sever", "server"),
        ("[server]\nmax_age = 1", "server.max_age", "content.max_age"),
        ("[quota.tier.gold]", "quota.tier", "quota.tiers"),
        ("[quota.tiers.gold]\nmax_totl = 1", "quota.tiers.gold.max_totl", "quota.tiers.gold.max_total"),
    ] {
        assert_eq!(
            text_of(load_text("unknown", text)),
            format!("unknown key `{key}` in config.toml; did you mean `{nearest}`?")
        );
    }
}

#[test]
fn an_unknown_variable_names_the_nearest_known_one() {
    for (name, nearest) in [
        ("CDN__SERVER__BNID", "CDN__SERVER__BIND"),
        ("CDN__BIND", "CDN__SERVER__BIND"),
        ("CDN__SERVER_BIND", "CDN__SERVER__BIND"),
        ("CDN__QUOTA__TIERS__GOLD__MAX_SIZE", "CDN__QUOTA__TIERS__GOLD__MAX_FILE_SIZE"),
    ] {
        assert_eq!(
            text_of(load_environment(&[(name, "1")])),
            format!("unknown key `{name}` in the environment; did you mean `{nearest}`?")
        );
    }
}

#[test]
fn a_bad_value_in_the_file_names_key_value_and_expectation() {
    for (text, problem) in [
        (
            "server.bind = \"localhost\"",
            "`server.bind` is \"localhost\"; expected an IP address and a port such as \"127.0.0.1:8000\" or \
             \"[::]:8000\"",
        ),
        (
            "server.workers = \"many\"",
            "`server.workers` is \"many\"; expected a whole number from 0 to 4294967295",
        ),
        ("versions.keep = -1", "`versions.keep` is -1; expected a whole number from 0 to 4294967295"),
        (
            "versions.keep = 4294967296",
            "`versions.keep` is 4294967296; expected a whole number from 0 to 4294967295",
        ),
        ("storage.s3_allow_http = 1", "`storage.s3_allow_http` is 1; expected true or false"),
        ("server = 5", "`server` is 5; expected a section with keys of its own"),
        ("server.frontend_origins = \"x\"", "`server.frontend_origins` is \"x\"; expected a list of texts"),
        (
            "server.trusted_proxies = [\"10.0.0.0/8\", \"10.0.0.0/33\"]",
            "`server.trusted_proxies` is \"10.0.0.0/33\"; expected a network or an address such as \"10.0.0.0/8\" or \
             \"192.0.2.7\"",
        ),
        ("log.format = \"xml\"", "`log.format` is \"xml\"; expected one of `auto`, `text`, `json`"),
        (
            "uploads.json_limit = -5",
            "`uploads.json_limit` is -5; expected a size such as \"10 MiB\", \"10 MB\" or a whole number of bytes",
        ),
        (
            "trash.retention = 30",
            "`trash.retention` is 30; expected a time of at most 100 years such as \"250ms\", \"30s\", \"15m\", \
             \"1h\" or \"30d\"",
        ),
    ] {
        assert_eq!(text_of(load_text("bad", text)), format!("bad value in config.toml: {problem}"));
    }
}

#[test]
fn a_bad_variable_is_named_as_the_operator_wrote_it() {
    for (name, value, expected) in [
        ("CDN__SERVER__WORKERS", "many", "a whole number from 0 to 4294967295"),
        ("CDN__STORAGE__S3_ALLOW_HTTP", "yes", "true or false"),
        ("CDN__SERVER", "x", "a section with keys of its own"),
        (
            "CDN__QUOTA__TIERS__VERIFIED__MAX_TOTAL",
            "1 G",
            "a size such as \"10 MiB\", \"10 MB\" or a whole number of bytes",
        ),
    ] {
        assert_eq!(
            text_of(load_environment(&[(name, value)])),
            format!("bad value in the environment: `{name}` is \"{value}\"; expected {expected}")
        );
    }
}
