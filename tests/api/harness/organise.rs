//! Calls that organise what is stored: trash, versions, stars, search, many at once.

use cdn_actors::domain::filename::Filename;
use cdn_actors::domain::ids::{FileId, FolderId, UserId};
use hackclub_cdn::db::files::{ContentAt, FileSpec};
use hackclub_cdn::db::{DbError, Tx};
use serde_json::{Value, json};
use uuid::Uuid;

use super::TestApp;
use super::client::Client;
use super::names::encode;
use super::reply::{Fetch, Reply};
use super::samples::{merged, registration, sha256_hex};
use super::shapes::names_of;

#[track_caller]
pub fn id_of(thing: &Value) -> &str {
    thing["id"].as_str().unwrap_or_else(|| panic!("no id: {thing}"))
}

impl Client {
    /// PUT of a raw body into a folder that must succeed.
    pub async fn upload_to(
        &self,
        folder: &Value,
        content: impl Into<reqwest::Body>,
        filename: &str,
    ) -> Value {
        let path = format!("/api/cdn/uploads/{}?folder_id={}", encode(filename), id_of(folder));
        self.put(&path).body(content).fetch().await.expect_json(201)
    }

    /// A registration of 1,000 bytes in a folder that must succeed.
    pub async fn register_in(&self, folder: &Value, filename: &str) -> Value {
        self.register(&merged(registration(filename), json!({"folder_id": folder["id"]}))).await
    }

    /// All items of the trash, last deleted first.
    pub async fn trash_items(&self) -> Vec<Value> {
        let page = self.get_json("/api/cdn/trash/?page_size=100").await;
        let items = page["results"].as_array().expect("an array").clone();
        assert_eq!(page["count"], items.len(), "{page}");
        items
    }

    /// The item that took this thing into the trash.
    pub async fn item_of(&self, thing: &Value) -> Value {
        let items = self.trash_items().await;
        let item = items.iter().find(|item| item["resource_id"] == thing["id"]);
        item.unwrap_or_else(|| panic!("not in the trash: {thing}")).clone()
    }

    pub async fn try_restore(&self, item: &Value) -> Reply {
        self.post(&format!("/api/cdn/trash/{}/restore/", id_of(item))).fetch().await
    }

    pub async fn restore(&self, item: &Value) {
        let answer = self.try_restore(item).await.expect_json(200);
        assert_eq!(answer, json!({"message": "Item restored successfully"}));
    }

    pub async fn try_purge(&self, item: &Value) -> Reply {
        self.delete(&format!("/api/cdn/trash/{}/", id_of(item))).fetch().await
    }

    pub async fn purge(&self, item: &Value) {
        self.try_purge(item).await.expect_empty(204);
    }

    pub async fn empty_trash(&self) {
        let answer = self.post("/api/cdn/trash/empty/").fetch().await.expect_json(200);
        assert_eq!(answer, json!({"message": "Trash emptied successfully"}));
    }

    /// Toggles the star of a thing of `files` or `folders`; what it is now.
    pub async fn toggle_star(&self, collection: &str, thing: &Value) -> bool {
        let answer = self
            .post(&format!("/api/cdn/{collection}/{}/star/", id_of(thing)))
            .fetch()
            .await
            .expect_json(200);
        let starred = answer["starred"].as_bool().expect("a truth value");
        assert_eq!(answer, json!({"starred": starred}));
        starred
    }

    /// Names of the files and of the folders that a search finds, in its order.
    pub async fn found(&self, needle: &str) -> (Vec<String>, Vec<String>) {
        let answer = self.get_json(&format!("/api/cdn/search/?q={}", encode(needle))).await;
        (names_of(&answer["results"]["files"]), names_of(&answer["results"]["folders"]))
    }

    /// Names of the files that the list's filter finds, in its order.
    pub async fn listed(&self, needle: &str) -> Vec<String> {
        let page = self.get_json(&format!("/api/cdn/files/?page_size=100&search={}", encode(needle))).await;
        let names = names_of(&page["results"]);
        assert_eq!(page["count"], names.len(), "{needle}");
        names
    }

    /// The dashboard's `stats`.
    pub async fn stats(&self) -> Value {
        self.get_json("/api/cdn/dashboard/").await["stats"].clone()
    }

    /// A bulk request over things of `file` or `folder`.
    pub async fn bulk(&self, action: &str, items: &[(&str, &Value)]) -> Value {
        let items: Vec<_> =
            items.iter().map(|(kind, thing)| json!({"type": kind, "id": thing["id"]})).collect();
        self.try_bulk(&json!({"action": action, "items": items})).await.expect_json(200)
    }

    pub async fn try_bulk(&self, body: &Value) -> Reply {
        self.post("/api/cdn/bulk/").json(body).fetch().await
    }

    pub async fn versions(&self, file: &Value) -> Value {
        self.get_json(&format!("/api/cdn/files/{}/versions/", id_of(file))).await
    }

    pub async fn try_add_version(&self, file: &Value, content: impl Into<reqwest::Body>) -> Reply {
        self.post(&format!("/api/cdn/files/{}/versions/", id_of(file))).body(content).fetch().await
    }

    /// New bytes for a file that must be taken.
    pub async fn add_version(&self, file: &Value, content: impl Into<reqwest::Body>) -> Value {
        self.try_add_version(file, content).await.expect_json(201)
    }

    /// A call on one version: `download`, `restore`, or with "" the version itself.
    pub fn version_path(file: &Value, number: impl std::fmt::Display, call: &str) -> String {
        let end = if call.is_empty() { String::new() } else { format!("{call}/") };
        format!("/api/cdn/files/{}/versions/{number}/{end}", id_of(file))
    }
}

impl TestApp {
    /// Writes all views and downloads that are still buffered.
    pub async fn flush(&self) {
        self.services.accounts.flush_all().await.expect("the database is there");
    }

    /// Registers files of 1 byte that don't count against the quota, by one transaction for all.
    pub async fn seed_files(&self, client: &Client, folder: &Value, names: Vec<String>) {
        let folder = FolderId(Uuid::parse_str(id_of(folder)).expect("a UUID"));
        let (owner, now) = (UserId(client.id), self.services.clock.now());
        let work = async move |tx: &mut Tx| {
            for (nth, name) in (1..).zip(&names) {
                let filename = Filename::parse(name).expect("a good name");
                let id = FileId::new();
                let spec = FileSpec {
                    id,
                    owner,
                    folder,
                    original_filename: filename.clone(),
                    filename,
                    mime_type: "text/plain".to_owned(),
                    size: 1,
                    md5: "0".repeat(32),
                    sha256: sha256_hex(id.get().as_bytes()),
                    content: ContentAt::Registered {
                        cdn_url: "https://files.example/1".to_owned(),
                        charged: 0,
                    },
                    content_by: owner,
                    now: now + chrono::TimeDelta::microseconds(nth),
                };
                tx.insert_file(&spec).await?;
            }
            Ok(())
        };
        self.services.db.write::<_, _, DbError>(work).await.expect("the files are new");
    }
}
