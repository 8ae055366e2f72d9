//! The log of a server whose visitors carry a share's token in the page's address.

use crate::support::{client::answer, world::World};
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn the_log_holds_no_token_of_a_share() {
    let world = World::on_sqlite();
    let (server, client) = world.first_start().await;
    let file = client.upload("a.txt", b"shared").await;
    let body = json!({"resource_type": "file", "resource_id": file.id, "is_public": true});
    let share = client.request(Method::POST, "/api/cdn/shares/").json(&body).send().await.expect("an answer");
    let (status, share) = answer(share).await;
    assert_eq!(status, 201, "{share}");
    let token = share["public_token"].as_str().expect("a token");
    let stranger = server.anonymous();
    for path in [format!("/s/{token}"), format!("/s/{token}/download"), format!("/s/{token}/")] {
        assert_eq!(stranger.get(&path).await.status(), 200, "{path}");
    }
    // Refused, which is logged by others.
    let foreign = stranger.request(Method::POST, &format!("/s/{token}"));
    let foreign = foreign.header("Origin", "https://evil.example").header("Cookie", "access_token=x");
    assert_eq!(foreign.send().await.expect("an answer").status(), 403);
    let by_query = format!("/api/cdn/shares/public/?token={token}");
    assert_eq!(stranger.get(&by_query).await.status(), 200);
    let log = server.stderr();
    assert!(log.contains("/s/(token)/download"), "{log}");
    assert!(!log.contains(token), "{log}");
    world.assert_sound(server).await;
}
