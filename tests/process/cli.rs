//! The command line beside the server: help, configuration, OpenAPI, check.

use crate::support::{database::Database, home::Home, server::Server, world::World};
use serde_json::Value;
use std::{collections::BTreeSet, fs};

#[test]
fn help_of_every_command_ends_with_0() {
    let home = Home::new();
    let commands: [&[&str]; 13] = [
        &[],
        &["serve"],
        &["user"],
        &["user", "add"],
        &["user", "list"],
        &["user", "passwd"],
        &["user", "set-tier"],
        &["user", "disable"],
        &["user", "enable"],
        &["check"],
        &["janitor"],
        &["openapi"],
        &["config"],
    ];
    for command in commands {
        let arguments = [command, &["--help"]].concat();
        let help = home.run_well(&arguments);
        assert!(help.contains("Usage: hackclub-cdn"), "{arguments:?}: {help}");
    }
    let help = home.run_well(&["--help"]);
    for command in
        ["serve", "user", "check", "janitor", "openapi", "config", "--config <FILE>", "CDN__SERVER__BIND"]
    {
        assert!(help.contains(command), "{command}: {help}");
    }
    assert!(home.run_well(&["--version"]).starts_with("hackclub-cdn "));
    assert!(!home.path().join("data").exists(), "help needs no database");
}

#[test]
fn bad_arguments_end_with_2() {
    let home = Home::new();
    let lines: [&[&str]; 6] = [
        &["srve"],
        &["--no-such-flag"],
        &["user"],
        &["user", "add", "ada@example.com"],
        &["check", "--fix"],
        &["user", "disable"],
    ];
    for line in lines {
        let ended = home.run(line);
        assert_eq!(ended.code, Some(2), "{line:?}: {ended:?}");
        assert!(ended.stderr.contains("Usage:"), "{line:?}: {ended:?}");
    }
    assert!(home.run(&["srve"]).stderr.contains("'serve'"), "the nearest command is named");
    assert!(!home.path().join("data").exists());
}

#[test]
fn config_prints_what_is_in_force_without_secrets() {
    let mut home = Home::new()
        .with("database.url", "postgres://cdn:database-secret@db.example/cdn")
        .with("storage.url", "s3://bucket/prefix")
        .with("storage.s3_access_key_id", "key-id")
        .with("storage.s3_secret_access_key", "s3-secret")
        .with("uploads.stall_timeout", "7s");
    fs::write(home.path().join("config.toml"), "[uploads]\nstall_timeout = \"9s\"\nmax_concurrent = 11\n")
        .unwrap();
    let text = home.run_well(&["config"]);
    assert!(!text.contains("database-secret") && !text.contains("s3-secret"), "{text}");
    assert!(text.contains("***"), "{text}");
    let config: toml::Table = text.parse().expect("TOML");
    assert_eq!(config["uploads"]["stall_timeout"].as_str(), Some("7s"), "the environment wins over the file");
    assert_eq!(config["uploads"]["max_concurrent"].as_integer(), Some(11), "the file wins over the default");
    assert_eq!(config["quota"]["tiers"]["verified"]["max_file_size"].as_str(), Some("100 MiB"));
    home.set("uploads.stall_timeout", "soon");
    let ended = home.run(&["config"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("CDN__UPLOADS__STALL_TIMEOUT"), "{ended:?}");
}

#[test]
fn an_unknown_key_ends_the_start_and_the_nearest_is_named() {
    let home = Home::new();
    fs::write(home.path().join("other.toml"), "[uploads]\nstall_timout = \"9s\"\n").unwrap();
    for command in ["serve", "config", "check"] {
        let ended = home.run(&[command, "--config", "other.toml"]);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.contains("unknown key `uploads.stall_timout` in other.toml"), "{ended:?}");
        assert!(ended.stderr.contains("did you mean `uploads.stall_timeout`?"), "{ended:?}");
    }
    let ended = Home::new().with("server.bnd", "127.0.0.1:0").run(&["serve"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("did you mean `CDN__SERVER__BIND`?"), "{ended:?}");
    let ended = home.run(&["config", "--config", "absent.toml"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("absent.toml"), "{ended:?}");
}

#[tokio::test]
async fn openapi_prints_the_document_that_the_server_serves() {
    let home = Home::new();
    let printed: Value = serde_json::from_str(&home.run_well(&["openapi"])).expect("JSON");
    assert!(!home.path().join("data").exists(), "the document needs no database");
    assert!(
        printed["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")),
        "{}",
        printed["openapi"]
    );
    let server = Server::start(&home);
    let (status, served) = server.anonymous().get_json("/api/openapi.json").await;
    assert_eq!(status, 200);
    let operations = |document: &Value| -> BTreeSet<String> {
        let paths = document["paths"].as_object().expect("paths");
        let of_path = |(path, item): (&String, &Value)| -> Vec<String> {
            item.as_object().expect("an item").keys().map(|method| format!("{method} {path}")).collect()
        };
        paths.iter().flat_map(of_path).collect()
    };
    assert_eq!(operations(&printed), operations(&served));
    assert!(operations(&served).contains("put /api/cdn/uploads/{filename}"), "{:?}", operations(&served));
    assert_eq!(served["servers"][0]["url"], server.url.as_str());
    server.stop().await;
}

#[tokio::test]
async fn check_is_clean_on_a_new_folder_and_while_the_server_runs() {
    let world = World::on_sqlite();
    world.home.assert_check_is_clean();
    let (server, client) = world.first_start().await;
    client.upload("a.txt", b"one stored object").await;
    let ended = world.home.run(&["check"]);
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (Some(0), "1 stored objects checked, 0 problems, 0 repaired\n")
    );
    server.stop().await;
}

#[tokio::test]
async fn check_finds_an_object_that_is_gone_and_one_that_is_cut() {
    let world = World::on_sqlite();
    let (server, client) = world.first_start().await;
    client.upload("a.txt", b"this one will be gone").await;
    client.upload("b.txt", b"this one will be cut").await;
    server.stop().await;
    let mut stored = world.home.stored_files();
    stored.sort_by_key(|path| fs::metadata(path).expect("a file").len());
    fs::write(&stored[0], b"cut").unwrap();
    fs::remove_file(&stored[1]).unwrap();
    for arguments in [&["check"][..], &["check", "--repair"], &["check"]] {
        let ended = world.home.run(arguments);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stdout.contains(" has no object\n"), "{ended:?}");
        assert!(ended.stdout.contains(" has 20 bytes, its object 3\n"), "{ended:?}");
        assert!(ended.stdout.ends_with("1 stored objects checked, 2 problems, 0 repaired\n"), "{ended:?}");
    }
}

#[tokio::test]
async fn check_finds_wrong_counters_and_repair_puts_them_right() {
    let world = World::on_sqlite();
    let (server, client) = world.first_start().await;
    let stored = client.upload("a.txt", b"a file of 21 bytes ok").await;
    server.stop().await;
    let wrong = [
        (
            "UPDATE accounts SET storage_used = storage_used + 7",
            "storage used of user 1: kept 28, counted 21",
        ),
        ("UPDATE accounts SET storage_reserved = 5", "storage reserved of user 1: kept 5, counted 0"),
        ("UPDATE accounts SET files_count = 3", "count of files of user 1: kept 3, counted 1"),
        ("UPDATE accounts SET folders_count = folders_count + 4", "count of folders of user 1: kept "),
        (
            "UPDATE media_type_totals SET total_size = 1",
            "totals of a media type of user 1: kept 1, counted 1",
        ),
        ("UPDATE folders SET files_count = 9", "wrong count of files in folder "),
        ("UPDATE folders SET children_count = 9", "wrong count of folders in folder "),
        ("UPDATE blobs SET ref_count = 2", "wrong count of references to blob "),
    ];
    for (change, problem) in wrong {
        let mut database = Database::sqlite(&world.home).await;
        database.execute(change).await;
        database.close().await;
        let ended = world.home.run(&["check"]);
        assert_eq!(ended.code, Some(1), "{change}: {ended:?}");
        assert!(ended.stdout.starts_with(problem), "{change}: {ended:?}");
        assert!(
            ended.stdout.ends_with("1 stored objects checked, 1 problems, 0 repaired\n"),
            "{change}: {ended:?}"
        );
        let ended = world.home.run(&["check", "--repair"]);
        assert_eq!(ended.code, Some(0), "{change}: {ended:?}");
        assert!(ended.stdout.ends_with("1 problems, 1 repaired\n"), "{change}: {ended:?}");
        world.home.assert_check_is_clean();
    }
    let server = Server::start(&world.home);
    client.at(&server).assert_has(&stored).await;
    server.stop().await;
}

#[tokio::test]
async fn check_finds_an_object_that_no_row_names_and_repair_removes_it() {
    let world = World::on_sqlite();
    let (server, client) = world.first_start().await;
    let stored = client.upload("a.txt", b"stays where it is").await;
    server.stop().await;
    let stray = world.home.blobs().join("4f/01920000-0000-7000-8000-00000000004f");
    fs::create_dir_all(stray.parent().unwrap()).unwrap();
    fs::write(&stray, b"nobody's").unwrap();
    let ended = world.home.run(&["check"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.contains("object 01920000-0000-7000-8000-00000000004f has no row\n"), "{ended:?}");
    assert!(stray.exists(), "a check without --repair changes nothing");
    let ended = world.home.run(&["check", "--repair"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!stray.exists());
    world.home.assert_check_is_clean();
    let server = Server::start(&world.home);
    client.at(&server).assert_has(&stored).await;
    server.stop().await;
}
