//! `user`: accounts from the operator's side, with and without a server running.

use crate::support::{client::answer, client::assert_error, home::Home, server::Server};

const PASSWORD: &str = "correct horse 7 battery";
const ADD_ADA: [&str; 6] = ["user", "add", "ada@example.com", "--name", "Ada", "--password-stdin"];

#[tokio::test]
async fn a_user_that_is_added_signs_in_with_the_password_from_standard_input() {
    let home = Home::new();
    let server = Server::start(&home);
    let ended = home.run_with_input(&ADD_ADA, &format!("{PASSWORD}\n"));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.stdout, "user 2: ada@example.com\n", "the password is not repeated");
    let client = server.anonymous().signed_in("ada@example.com", PASSWORD).await;
    let (_, me) = client.get_json("/api/auth/me").await;
    assert_eq!(me["user"]["name"], "Ada", "{me}");
    server.stop().await;
}

#[tokio::test]
async fn a_password_that_is_made_is_printed_and_works() {
    let home = Home::new();
    let added =
        home.run_well(&["user", "add", "ada@example.com", "--name", "Ada", "--admin", "--tier", "unlimited"]);
    let password = added.lines().find_map(|line| line.strip_prefix("password: ")).expect(&added);
    let server = Server::start(&home);
    assert_eq!(server.admin, None, "there is a user already");
    server.anonymous().signed_in("ada@example.com", password).await;
    server.stop().await;
    let list = home.run_well(&["user", "list"]);
    let line = list.lines().find(|line| line.contains("ada@example.com")).expect(&list);
    assert_eq!(
        line.split_whitespace().collect::<Vec<_>>(),
        ["1", "ada@example.com", "Ada", "unlimited", "admin"]
    );
}

#[test]
fn what_is_wrong_with_a_new_user_is_said_and_ends_with_1() {
    let home = Home::new();
    assert_eq!(home.run_with_input(&ADD_ADA, PASSWORD).code, Some(0));
    let again =
        home.run_with_input(&["user", "add", "ADA@example.com", "--name", "A", "--password-stdin"], PASSWORD);
    assert_eq!(again.code, Some(1), "{again:?}");
    assert!(again.stderr.contains("error: A user with this email address already exists."), "{again:?}");
    for (password, message) in [
        ("short", "This password is too short."),
        ("1234567890", "This password is entirely numeric."),
        ("password123", "This password is too common."),
        ("", "This password is too short."),
    ] {
        let ended = home
            .run_with_input(&["user", "add", "bob@example.com", "--name", "B", "--password-stdin"], password);
        assert_eq!(ended.code, Some(1), "{password:?}: {ended:?}");
        assert!(ended.stderr.contains(message), "{password:?}: {ended:?}");
    }
    for (arguments, message) in [
        (&["user", "add", "not-an-address", "--name", "B"][..], "Enter a valid email address."),
        (&["user", "add", "bob@example.com", "--name", "B", "--tier", "gold"], "There is no tier \"gold\""),
        (&["user", "set-tier", "ada@example.com", "gold"], "There is no tier \"gold\""),
        (&["user", "set-tier", "bob@example.com", "unlimited"], "there is no such user"),
        (&["user", "disable", "bob@example.com"], "there is no such user"),
        (&["user", "passwd", "bob@example.com"], "there is no such user"),
    ] {
        let ended = home.run(arguments);
        assert_eq!(ended.code, Some(1), "{arguments:?}: {ended:?}");
        assert!(ended.stderr.contains(message), "{arguments:?}: {ended:?}");
    }
    assert_eq!(home.run_well(&["user", "list"]).lines().count(), 2, "none of them was made");
}

#[tokio::test]
async fn disabling_a_user_ends_their_sessions_at_once_while_the_server_runs() {
    let home = Home::new();
    assert_eq!(home.run_with_input(&ADD_ADA, PASSWORD).code, Some(0));
    let server = Server::start(&home);
    let client = server.anonymous().signed_in("ada@example.com", PASSWORD).await;
    assert_eq!(client.get("/api/auth/me").await.status(), 200);
    home.run_well(&["user", "disable", "ada@example.com"]);
    let refused = client.get_json("/api/auth/me").await;
    assert_error(&refused, 401, "Authentication credentials were not provided.");
    let (status, body) = answer(server.anonymous().sign_in("ada@example.com", PASSWORD).await).await;
    assert!(status == 401 || status == 403, "{status} {body}");
    assert!(home.run_well(&["user", "list"]).contains("disabled"));
    home.run_well(&["user", "enable", "ada@example.com"]);
    assert_eq!(client.get("/api/auth/me").await.status(), 401, "the old session stays over");
    server.anonymous().signed_in("ada@example.com", PASSWORD).await;
    server.stop().await;
}

#[tokio::test]
async fn a_new_password_ends_all_sessions_and_only_the_new_one_signs_in() {
    let home = Home::new();
    assert_eq!(home.run_with_input(&ADD_ADA, PASSWORD).code, Some(0));
    let server = Server::start(&home);
    let client = server.anonymous().signed_in("ada@example.com", PASSWORD).await;
    let changed = home
        .run_with_input(&["user", "passwd", "ada@example.com", "--password-stdin"], "another battery 9\n");
    assert_eq!((changed.code, changed.stdout.as_str()), (Some(0), ""), "{changed:?}");
    assert_eq!(client.get("/api/auth/me").await.status(), 401);
    assert_eq!(server.anonymous().sign_in("ada@example.com", PASSWORD).await.status(), 401);
    server.anonymous().signed_in("ada@example.com", "another battery 9").await;
    let weak = home.run_with_input(&["user", "passwd", "ada@example.com", "--password-stdin"], "12345678\n");
    assert_eq!(weak.code, Some(1), "{weak:?}");
    assert!(weak.stderr.contains("This password is entirely numeric."), "{weak:?}");
    let made = home.run_well(&["user", "passwd", "ada@example.com"]);
    let made = made.trim_end().strip_prefix("password: ").expect(&made);
    server.anonymous().signed_in("ada@example.com", made).await;
    server.stop().await;
}

#[tokio::test]
async fn a_new_tier_holds_from_the_next_upload_on() {
    let home = Home::new()
        .with("quota.tiers.tiny.max_file_size", "1 KiB")
        .with("quota.tiers.tiny.max_total", "1 KiB");
    assert_eq!(home.run_with_input(&ADD_ADA, PASSWORD).code, Some(0));
    let server = Server::start(&home);
    let client = server.anonymous().signed_in("ada@example.com", PASSWORD).await;
    home.run_well(&["user", "set-tier", "ada@example.com", "tiny"]);
    assert_error(&client.put("a.bin", vec![1; 1025]).await, 413, "File too large");
    client.upload("b.bin", &[1; 1024]).await;
    assert_error(&client.put("c.bin", vec![2; 1]).await, 402, "Storage quota exceeded");
    home.run_well(&["user", "set-tier", "ada@example.com", "verified"]);
    client.upload("a.bin", &[1; 1025]).await;
    server.stop().await;
}
