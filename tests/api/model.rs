//! Long random sequences of calls, compared with the model again and again: lists, counters, quota, bytes.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::{Client, Fetch, Reply, TestApp, encode, id_of, sha256_hex};
use crate::model_chance::{Chance, registered, stored};
use crate::model_tree::{Content, Folder, KEEP, Tree};

const STEPS: usize = 200;
const COMPARE_EVERY: usize = 15;
/// Few names and contents, so that they meet.
const FILE_NAMES: [&str; 4] = ["a.bin", "b.bin", "c.tar.gz", "ä.bin"];
const FOLDER_NAMES: [&str; 3] = ["x", "y", "z"];

struct Run<'a> {
    app: &'a TestApp,
    client: Client,
    tree: Tree,
    chance: Chance,
    root: String,
    log: Vec<String>,
}

impl Run<'_> {
    fn any_file(&mut self) -> Option<String> {
        let files: Vec<String> = self.tree.living_files().map(|(id, _)| id.clone()).collect();
        self.chance.pick(&files)
    }

    fn any_folder(&mut self) -> String {
        let folders: Vec<String> = self.tree.living_folders().map(|(id, _)| id.clone()).collect();
        self.chance.pick(&folders).expect("the root")
    }

    /// The item in the trash of a random thing there: the thing and the item.
    async fn any_item(&mut self) -> Option<(String, Value)> {
        let thing = self.chance.pick(&self.tree.items)?;
        Some((thing.clone(), self.client.item_of(&json!({"id": thing})).await))
    }

    fn file_name(&mut self) -> String {
        self.chance.pick(&FILE_NAMES).expect("some").to_owned()
    }

    async fn step(&mut self) {
        match self.chance.below(20) {
            0..=3 => self.upload().await,
            4 | 5 => self.register().await,
            6 | 7 => self.add_version().await,
            8 => self.use_version().await,
            9 => self.create_folder().await,
            10 | 11 => self.change_file().await,
            12 => self.change_folder().await,
            13 => self.trash_file().await,
            14 => self.trash_folder().await,
            15 | 16 => self.restore().await,
            17 => self.purge().await,
            18 => self.star().await,
            _ => self.bulk_or_empty().await,
        }
    }

    /// A new file, or 409 with the one that has its content.
    fn placed(&mut self, reply: &Reply, folder: &str, name: &str, content: Content) {
        match self.tree.duplicate_of(&content) {
            Some(existing) => assert_eq!(reply.expect_json(409)["existing_file"]["id"], existing.as_str()),
            None => {
                let file = reply.expect_json(201);
                let name = self.tree.free_file_name(folder, name);
                assert_eq!(file["filename"], name.as_str());
                self.tree.insert_file(id_of(&file), folder, name, content);
            }
        }
    }

    async fn upload(&mut self) {
        let (folder, name) = (self.any_folder(), self.file_name());
        let (bytes, content) = stored(self.chance.content());
        self.log.push(format!("upload {name} of {} bytes into {folder}", content.size));
        let path = format!("/api/cdn/uploads/{}?folder_id={folder}", encode(&name));
        let reply = self.client.put(&path).body(bytes).fetch().await;
        self.placed(&reply, &folder, &name, content);
    }

    async fn register(&mut self) {
        let (folder, name) = (self.any_folder(), self.file_name());
        let (mut body, content) = registered(self.chance.content());
        self.log.push(format!("register {name} of {} bytes in {folder}", content.size));
        (body["filename"], body["folder_id"]) = (json!(name), json!(folder));
        let reply = self.client.try_register(&body).await;
        self.placed(&reply, &folder, &name, content);
    }

    async fn add_version(&mut self) {
        let Some(id) = self.any_file() else { return };
        let file = json!({"id": id});
        let seed = self.chance.content();
        let (reply, content) = if self.chance.below(3) == 0 {
            let (body, content) = registered(seed);
            (self.client.post(&format!("/api/cdn/files/{id}/versions/")).json(&body).fetch().await, content)
        } else {
            let (bytes, content) = stored(seed);
            (self.client.try_add_version(&file, bytes).await, content)
        };
        self.log.push(format!("version of {} bytes for {id}", content.size));
        if self.tree.files[&id].content == content {
            assert_eq!(reply.expect_json(409)["existing_file"]["id"], id.as_str());
        } else {
            reply.expect_json(201);
            self.tree.add_version(&id, content);
        }
    }

    async fn use_version(&mut self) {
        let with_versions: Vec<String> = self
            .tree
            .living_files()
            .filter(|(_, file)| !file.versions.is_empty())
            .map(|(id, _)| id.clone())
            .collect();
        let Some(id) = self.chance.pick(&with_versions) else { return };
        let numbers: Vec<i64> = self.tree.files[&id].versions.keys().copied().collect();
        let number = self.chance.pick(&numbers).expect("some");
        let file = json!({"id": id});
        if self.chance.below(2) == 0 {
            self.log.push(format!("restore version {number} of {id}"));
            self.client.post(&Client::version_path(&file, number, "restore")).fetch().await.expect_json(200);
            self.tree.restore_version(&id, number);
        } else {
            self.log.push(format!("delete version {number} of {id}"));
            self.client.remove(&Client::version_path(&file, number, "")).await;
            self.tree.files.get_mut(&id).expect("known").versions.remove(&number);
        }
    }

    async fn create_folder(&mut self) {
        let (parent, name) = (self.any_folder(), self.chance.pick(&FOLDER_NAMES).expect("some"));
        self.log.push(format!("create {name} in {parent}"));
        let reply = self.client.try_create_folder(name, Some(&json!({"id": parent}))).await;
        if self.tree.is_folder_name_taken(&parent, name) {
            reply.expect_status(409);
            return;
        }
        let folder = Folder { name: name.to_owned(), parent: Some(parent), trash: None };
        self.tree.folders.insert(id_of(&reply.expect_json(201)).to_owned(), folder);
    }

    async fn change_file(&mut self) {
        let Some(id) = self.any_file() else { return };
        let (folder, name) = (self.any_folder(), self.file_name());
        self.log.push(format!("move {id} to {folder} as {name}"));
        let reply =
            self.client.patch_file(&json!({"id": id}), json!({"folder": folder, "filename": name})).await;
        let is_same = self.tree.files[&id].folder == folder && self.tree.files[&id].name == name;
        if !is_same && self.tree.is_file_name_taken(&folder, &name) {
            reply.expect_status(409);
            return;
        }
        reply.expect_json(200);
        let file = self.tree.files.get_mut(&id).expect("known");
        (file.folder, file.name) = (folder, name);
    }

    async fn change_folder(&mut self) {
        let (id, parent) = (self.any_folder(), self.any_folder());
        let name = self.chance.pick(&FOLDER_NAMES).expect("some").to_owned();
        self.log.push(format!("move folder {id} to {parent} as {name}"));
        let reply =
            self.client.patch_folder(&json!({"id": id}), json!({"parent": parent, "name": name})).await;
        let folder = &self.tree.folders[&id];
        let is_same = folder.parent.as_ref() == Some(&parent) && folder.name == name;
        if id == self.root || self.tree.is_within(&parent, &id) {
            reply.expect_status(400);
        } else if !is_same && self.tree.is_folder_name_taken(&parent, &name) {
            reply.expect_status(409);
        } else {
            reply.expect_json(200);
            let folder = self.tree.folders.get_mut(&id).expect("known");
            (folder.parent, folder.name) = (Some(parent), name);
        }
    }

    async fn trash_file(&mut self) {
        let Some(id) = self.any_file() else { return };
        self.log.push(format!("trash file {id}"));
        self.client.trash_file(&json!({"id": id})).await;
        self.tree.trash_file(&id);
    }

    async fn trash_folder(&mut self) {
        let id = self.any_folder();
        self.log.push(format!("trash folder {id}"));
        let reply = self.client.delete(&format!("/api/cdn/folders/{id}/")).fetch().await;
        if id == self.root {
            reply.expect_status(400);
            return;
        }
        reply.expect_empty(204);
        self.tree.trash_folder(&id);
    }

    async fn restore(&mut self) {
        let Some((thing, item)) = self.any_item().await else { return };
        self.log.push(format!("restore {thing}"));
        self.client.restore(&item).await;
        self.tree.restore(&thing);
    }

    async fn purge(&mut self) {
        let Some((thing, item)) = self.any_item().await else { return };
        self.log.push(format!("purge {thing}"));
        self.client.purge(&item).await;
        self.tree.purge(&thing);
    }

    async fn star(&mut self) {
        let Some(id) = self.any_file() else { return };
        self.log.push(format!("star {id}"));
        let starred = self.client.toggle_star("files", &json!({"id": id})).await;
        let file = self.tree.files.get_mut(&id).expect("known");
        file.is_starred = !file.is_starred;
        assert_eq!(starred, file.is_starred);
    }

    async fn bulk_or_empty(&mut self) {
        if self.chance.below(4) == 0 {
            self.log.push("empty".to_owned());
            self.client.empty_trash().await;
            self.tree.empty();
            return;
        }
        let action = ["trash", "restore"][self.chance.below(2)];
        for _ in 0..2 {
            let thing = if action == "trash" { self.any_file() } else { self.chance.pick(&self.tree.items) };
            let Some(id) = thing else { return };
            self.log.push(format!("bulk {action} {id} twice"));
            let kind = if self.tree.files.contains_key(&id) { "file" } else { "folder" };
            let thing = json!({"id": id});
            let answer = self.client.bulk(action, &[(kind, &thing), (kind, &thing)]).await;
            assert_eq!(
                (&answer["results"][0]["status"], &answer["results"][1]["status"]),
                (&json!(200), &json!(404))
            );
            if action == "trash" { self.tree.trash_file(&id) } else { self.tree.restore(&id) }
        }
    }

    /// Everything that a user can see, against the model.
    async fn compare(&mut self) {
        let (client, tree) = (&self.client, &self.tree);
        assert_eq!(listed_files(client).await, tree.shown_files());
        assert_eq!(listed_folders(client).await, tree.shown_folders());
        let items: Vec<Value> =
            client.trash_items().await.iter().map(|item| item["resource_id"].clone()).collect();
        assert_eq!(items, tree.items.iter().rev().map(|id| json!(id)).collect::<Vec<_>>());
        let starred = client.get_json("/api/cdn/files/starred/").await;
        let starred: BTreeSet<&str> = starred.as_array().expect("an array").iter().map(id_of).collect();
        let expected = tree.living_files().filter(|(_, file)| file.is_starred).map(|(id, _)| id.as_str());
        assert_eq!(starred, expected.collect());
        let found = client.found(".bin").await.0;
        let newest = tree
            .shown_files()
            .into_iter()
            .filter(|file| file[1].as_str().is_some_and(|name| name.ends_with(".bin")));
        let expected: Vec<String> =
            newest.take(20).map(|file| file[1].as_str().expect("a name").to_owned()).collect();
        // A former original name matches too, so what is found is at least that.
        assert!(
            found.len() == 20 || expected.iter().all(|name| found.contains(name)),
            "{found:?} {expected:?}"
        );
        let stats = client.stats().await;
        assert_eq!(stats["total_files"], tree.living_files().count());
        assert_eq!(stats["total_folders"], tree.living_folders().count());
        assert_eq!(stats["total_size"], tree.living_files().map(|(_, file)| file.content.size).sum::<u64>());
        assert_eq!(stats["storage_used"], tree.used());
        self.app.expect_stored_objects(tree.objects().len()).await;
        let mut sizes: Vec<u64> = self.app.stored_objects().into_values().collect();
        sizes.sort_unstable();
        assert_eq!(sizes, tree.objects());
        assert_eq!(self.app.check().await, [""; 0]);
        self.read_one().await;
    }

    /// A living stored file has its bytes; a trashed one has none.
    async fn read_one(&mut self) {
        let files: Vec<_> = self.tree.files.iter().filter(|(_, file)| file.content.is_stored).collect();
        let Some((id, file)) = self.chance.pick(&files) else { return };
        let reply = self.app.anonymous().get(&format!("/f/{id}/x")).fetch().await;
        if file.trash.is_some() {
            reply.expect_status(404);
        } else {
            reply.expect_status(200);
            assert_eq!(sha256_hex(&reply.body), file.content.hash);
        }
    }
}

/// As [`Tree::shown_files`].
async fn listed_files(client: &Client) -> Vec<Value> {
    let page = client.get_json("/api/cdn/files/?page_size=100").await;
    let files = page["results"].as_array().expect("an array");
    assert_eq!(
        (&page["count"], &page["next"]),
        (&json!(files.len()), &Value::Null),
        "more files than the test expects"
    );
    let show = |file: &Value| {
        let versions = file["versions"].as_array().expect("an array").iter();
        let versions: Vec<Value> =
            versions.map(|version| json!([version["version_number"], version["file_size"]])).collect();
        let path = &file["folder_detail"]["full_path"];
        json!([
            file["id"],
            file["filename"],
            path,
            file["file_size"],
            file["sha256_hash"],
            file["is_starred"],
            versions
        ])
    };
    files.iter().map(show).collect()
}

/// As [`Tree::shown_folders`].
async fn listed_folders(client: &Client) -> BTreeSet<String> {
    let page = client.get_json("/api/cdn/folders/?page_size=100").await;
    let folders = page["results"].as_array().expect("an array");
    assert_eq!(
        (&page["count"], &page["next"]),
        (&json!(folders.len()), &Value::Null),
        "more folders than the test expects"
    );
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let show = |folder: &Value| {
        format!(
            "{} {} {} {}",
            id_of(folder),
            text(&folder["full_path"]),
            folder["children_count"],
            folder["files_count"]
        )
    };
    folders.iter().map(show).collect()
}

/// Tells what has been done when a step fails.
struct Told<'a>(Run<'a>, u64);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {}, the last steps:\n  {}", self.1, self.0.log.join("\n  "));
        }
    }
}

async fn run(app: &TestApp, seed: u64) {
    let client = app.user("ada@example.com").await;
    let root = id_of(&client.root().await).to_owned();
    let mut tree = Tree::default();
    tree.folders.insert(root.clone(), Folder { name: "Root".to_owned(), parent: None, trash: None });
    let mut told = Told(Run { app, client, tree, chance: Chance(seed), root, log: Vec::new() }, seed);
    for step in 1..=STEPS {
        told.0.step().await;
        if step % COMPARE_EVERY == 0 {
            told.0.compare().await;
        }
    }
    told.0.client.empty_trash().await;
    told.0.tree.empty();
    told.0.compare().await;
}

api_test! {
    with |config| { config.versions.keep = u32::try_from(KEEP).unwrap(); }
    async fn the_server_agrees_with_the_model_first(app) {
        run(app, 4242).await;
    }
}

api_test! {
    with |config| { config.versions.keep = u32::try_from(KEEP).unwrap(); }
    async fn the_server_agrees_with_the_model_second(app) {
        run(app, 20_260_102).await;
    }
}

api_test! {
    with |config| { config.versions.keep = u32::try_from(KEEP).unwrap(); }
    async fn the_server_agrees_with_the_model_third(app) {
        run(app, 987_654_321_987).await;
    }
}
