//! What the rules across values refuse, and what values mean once they hold.

use super::*;

#[test]
fn the_defaults_are_valid() -> Outcome {
    Config::default().validate()?;
    Ok(())
}

fn set_up_slack(config: &mut Config) {
    config.slack.client_id = "id".to_owned();
    config.slack.client_secret = "secret".to_owned();
    config.slack.team_id = "T1".to_owned();
}

#[test]
fn validation_names_the_key_of_each_problem() {
    type Change = fn(&mut Config);
    let cases: [(&str, Change); 35] = [
        ("server.public_url", |c| c.server.public_url = "cdn.example.com".into()),
        ("server.public_url", |c| c.server.public_url = "ftp://cdn.example.com".into()),
        ("server.public_url", |c| c.server.public_url = "https://cdn.example.com/?a=b".into()),
        ("server.frontend_origins", |c| c.server.frontend_origins = vec!["*".into()]),
        ("server.frontend_origins", |c| c.server.frontend_origins = vec!["null".into()]),
        ("server.frontend_origins", |c| c.server.frontend_origins = vec!["https://a.test/".into()]),
        ("server.frontend_origins", |c| c.server.frontend_origins = vec!["https://a.test/x".into()]),
        ("server.frontend_origins", |c| c.server.frontend_origins = vec!["https://A.test".into()]),
        ("server.max_connections", |c| c.server.max_connections = 0),
        ("server.keep_alive", |c| c.server.keep_alive = Span::from_secs(0)),
        ("database.url", |c| c.database.url = "mysql://localhost/cdn".into()),
        ("database.url", |c| c.database.url = "sqlite://".into()),
        ("database.max_connections", |c| c.database.max_connections = 0),
        ("storage.url", |c| c.storage.url = "data/blobs".into()),
        ("storage.url", |c| c.storage.url = "s3:///prefix".into()),
        ("storage.s3_endpoint", |c| c.storage.s3_endpoint = "localhost:9000".into()),
        ("storage.s3_allow_http", |c| c.storage.s3_endpoint = "http://localhost:9000".into()),
        ("storage.s3_secret_access_key", |c| c.storage.s3_access_key_id = "AKIA".into()),
        ("storage.s3_timeout", |c| c.storage.s3_timeout = Span::from_secs(0)),
        ("auth.refresh_ttl", |c| c.auth.refresh_ttl = Span::from_mins(15)),
        ("slack.client_secret", |c| {
            set_up_slack(c);
            c.slack.client_secret = String::new();
        }),
        ("slack.team_id", |c| {
            set_up_slack(c);
            c.slack.team_id = String::new();
        }),
        ("slack.token_url", |c| {
            set_up_slack(c);
            c.slack.token_url = "http://slack.example/token".into();
        }),
        ("slack.jwks_url", |c| {
            set_up_slack(c);
            c.slack.jwks_url = String::new();
        }),
        ("slack.frontend_url", |c| c.slack.frontend_url = "https://evil.example".into()),
        ("slack.default_tier", |c| c.slack.default_tier = "platinum".into()),
        ("slack.timeout", |c| c.slack.timeout = Span::from_secs(0)),
        ("limits.network_burst", |c| c.limits.network_burst = 0),
        ("audit.retention", |c| c.audit.retention = Span::from_secs(0)),
        ("audit.max_refusals", |c| c.audit.max_refusals = 0),
        ("quota.default_tier", |c| c.quota.default_tier = "platinum".into()),
        ("quota.tiers.verified.max_total", |c| {
            if let Some(tier) = c.quota.tiers.get_mut("verified") {
                tier.max_total = ByteSize::from_mib(1);
            }
        }),
        ("uploads.stall_timeout", |c| c.uploads.stall_timeout = Span::from_secs(0)),
        ("janitor.dead_after", |c| c.janitor.dead_after = Span::from_secs(10)),
        ("log.level", |c| c.log.level = String::new()),
    ];
    for (key, change) in cases {
        let text = problem_of(change);
        assert!(text.starts_with(&format!("invalid configuration: `{key}` is ")), "{text}");
    }
}

#[test]
fn validation_reports_all_problems_at_once() {
    let text = problem_of(|config| {
        config.quota.default_tier = "platinum".into();
        config.janitor.batch = 0;
    });
    assert_eq!(
        text,
        "invalid configuration: `quota.default_tier` is \"platinum\"; expected the name of a tier: unlimited, \
         unverified, verified\n  and `janitor.batch` is 0; expected more than zero"
    );
}

#[test]
fn an_origin_in_another_form_is_answered_with_the_form_that_browsers_send() {
    let text = problem_of(|config| {
        config.server.frontend_origins = vec!["https://Files.example.com:443/".into()];
    });
    assert!(text.ends_with("without path: \"https://files.example.com\""), "{text}");
}

#[test]
fn urls_that_are_in_use_are_valid() -> Outcome {
    for (database, engine) in [
        ("sqlite::memory:", DatabaseEngine::Sqlite),
        ("sqlite:///var/lib/cdn/cdn.db?mode=rwc", DatabaseEngine::Sqlite),
        ("postgres://u:p@db:5432/cdn", DatabaseEngine::Postgres),
        ("postgresql:///cdn?host=/run/postgresql", DatabaseEngine::Postgres),
    ] {
        let mut config = Config::default();
        config.database.url = database.to_owned();
        config.server.public_url = "https://cdn.example.com/".to_owned();
        config.server.frontend_origins = vec!["http://localhost:5173".to_owned()];
        config.validate()?;
        assert_eq!(config.database.engine(), Some(engine));
    }
    Ok(())
}

#[test]
fn a_storage_url_is_a_folder_or_a_bucket_with_a_prefix() {
    let location = |url: &str| {
        let mut config = Config::default();
        config.storage.url = url.to_owned();
        config.storage.location()
    };
    let folder = |path: &str| Some(StorageLocation::Folder(PathBuf::from(path)));
    let bucket = |bucket: &str, prefix: &str| {
        Some(StorageLocation::S3 { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    };
    assert_eq!(location("file://data/blobs"), folder("data/blobs"));
    assert_eq!(location("file:///srv/cdn"), folder("/srv/cdn"));
    assert_eq!(location("s3://files"), bucket("files", ""));
    assert_eq!(location("s3://files/a/b/"), bucket("files", "a/b"));
    assert_eq!(location("s3://key:secret@files/a"), None);
}

#[test]
fn public_links_start_with_the_public_url_or_the_bound_address() -> Outcome {
    let bound = "127.0.0.1:40123".parse()?;
    let mut server = ServerConfig::default();
    assert_eq!(server.base_url(bound), "http://127.0.0.1:40123");
    server.public_url = "https://cdn.example.com/".to_owned();
    assert_eq!(server.base_url(bound), "https://cdn.example.com");
    Ok(())
}

#[test]
fn a_provider_on_this_machine_or_by_tls_is_taken() -> Outcome {
    let mut config = Config::default();
    config.server.public_url = "https://cdn.example.com".to_owned();
    config.server.frontend_origins = vec!["https://files.example.com".to_owned()];
    set_up_slack(&mut config);
    for frontend in
        ["", "https://files.example.com", "https://files.example.com/app/", "https://cdn.example.com"]
    {
        config.slack.frontend_url = frontend.to_owned();
        config.validate()?;
    }
    config.slack.issuer = "http://127.0.0.1:9000".to_owned();
    config.slack.team_id = String::new();
    config.slack.token_url = "http://127.0.0.1:9000/token".to_owned();
    config.slack.jwks_url = "http://localhost:9000/keys".to_owned();
    config.slack.userinfo_url = String::new();
    config.validate()?;
    Ok(())
}
