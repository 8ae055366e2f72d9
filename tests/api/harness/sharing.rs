//! Calls that share: with people, by links, and what visitors of a link do.

use reqwest::RequestBuilder;
use serde_json::{Value, json};

use super::client::Client;
use super::names::encode;
use super::organise::id_of;
use super::reply::{Fetch, Reply};
use super::samples::merged;

pub fn share_path(share: &Value, call: &str) -> String {
    let end = if call.is_empty() { String::new() } else { format!("{call}/") };
    format!("/api/cdn/shares/{}/{end}", id_of(share))
}

/// The path of a public call with a share's token.
pub fn link_path(share: &Value, call: &str, more: &str) -> String {
    let call = if call.is_empty() { String::new() } else { format!("{call}/") };
    let token = share["public_token"].as_str().unwrap_or_else(|| panic!("no token: {share}"));
    format!("/api/cdn/shares/public/{call}?token={}{more}", encode(token))
}

impl Client {
    /// Shares a `file` or `folder`, with more fields.
    pub async fn try_share(&self, kind: &str, thing: &Value, more: Value) -> Reply {
        let body = merged(json!({"resource_type": kind, "resource_id": thing["id"]}), more);
        self.post("/api/cdn/shares/").json(&body).fetch().await
    }

    pub async fn share(&self, kind: &str, thing: &Value, more: Value) -> Value {
        self.try_share(kind, thing, more).await.expect_json(201)
    }

    /// Gives a thing to somebody at a level.
    pub async fn give(&self, kind: &str, thing: &Value, to: &Client, level: &str) -> Value {
        let people = json!([{"user_email": to.email, "permission_level": level}]);
        self.share(kind, thing, json!({"permission_level": level, "shared_users": people})).await
    }

    /// A link to a thing, with more fields.
    pub async fn share_by_link(&self, kind: &str, thing: &Value, more: Value) -> Value {
        self.share(kind, thing, merged(json!({"is_public": true}), more)).await
    }

    pub async fn patch_share(&self, share: &Value, body: Value) -> Reply {
        self.patch(&share_path(share, "")).json(&body).fetch().await
    }

    pub async fn shown_share(&self, share: &Value) -> Value {
        self.get_json(&share_path(share, "")).await
    }

    pub async fn try_add_user(&self, share: &Value, body: Value) -> Reply {
        self.post(&share_path(share, "add_user")).json(&body).fetch().await
    }

    pub async fn try_remove_user(&self, share: &Value, email: &str) -> Reply {
        self.delete(&format!("{}?user_email={}", share_path(share, "remove_user"), encode(email)))
            .fetch()
            .await
    }

    pub async fn remove_user(&self, share: &Value, email: &str) {
        let answer = self.try_remove_user(share, email).await.expect_json(200);
        assert_eq!(answer, json!({"message": "User access has been removed"}));
    }

    /// All that the user shares and was given, newest first.
    pub async fn shares(&self) -> Vec<Value> {
        let page = self.get_json("/api/cdn/shares/?page_size=100").await;
        let shares = page["results"].as_array().expect("an array").clone();
        assert_eq!(page["count"], shares.len(), "{page}");
        shares
    }

    pub async fn try_share_status(&self, kind: &str, thing: &Value) -> Reply {
        let path = format!("/api/cdn/shares/status/?resource_type={kind}&resource_id={}", id_of(thing));
        self.get(&path).fetch().await
    }

    /// What the link opens, with more of the query.
    pub async fn open_link(&self, share: &Value, more: &str) -> Reply {
        self.get(&link_path(share, "", more)).fetch().await
    }

    /// A download by the link that is not sent yet.
    pub fn download_by_link(&self, share: &Value, more: &str) -> RequestBuilder {
        self.get(&link_path(share, "download", more))
    }
}
