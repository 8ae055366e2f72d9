//! `/api/cdn/folders/`: make, list, look into.

use serde_json::{Value, json};

use crate::harness::{
    Client, Fetch, NASTY_NAMES, PUBLIC_URL, assert_error, assert_field_error, assert_folder, assert_refused,
    names_of, registration,
};

const NAME_TAKEN: &str = "A folder with this name already exists in the specified location.";
const UNKNOWN_ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

async fn create(client: &Client, body: Value) -> crate::harness::Reply {
    client.post("/api/cdn/folders/").json(&body).fetch().await
}

api_test! {
    async fn the_root_is_made_on_first_use_and_stays(app) {
        let ada = app.user("ada@example.com").await;
        let first = ada.get_json("/api/cdn/folders/root/").await;
        assert_eq!(first["folders"], json!([]));
        assert_eq!(first["files"], json!([]));
        let root = &first["root_folder"];
        assert_folder(root);
        assert_eq!(root["is_root"], true);
        assert_eq!(root["parent"], Value::Null);
        assert_eq!(root["owner"], ada.id);
        assert_eq!(root["owner_detail"]["email"], "ada@example.com");
        assert_eq!(root["owner_detail"]["full_name"], "User ada@example.com");
        assert_eq!(root["full_path"], root["name"]);
        assert_eq!(root["name"], "Root");
        assert_eq!(ada.root().await["id"], root["id"]);
        let grace = app.user("grace@example.com").await;
        assert_ne!(grace.root().await["id"], root["id"]);
    }
}

api_test! {
    async fn the_root_shows_what_is_directly_in_it(app) {
        let ada = app.user("ada@example.com").await;
        let photos = ada.create_folder("Photos", None).await;
        ada.create_folder("2026", Some(&photos)).await;
        ada.register(&registration("b.txt")).await;
        ada.register(&registration("a.txt")).await;
        let root = ada.get_json("/api/cdn/folders/root/").await;
        assert_eq!(names_of(&root["folders"]), ["Photos"]);
        assert_eq!(names_of(&root["files"]), ["a.txt", "b.txt"]);
        assert_eq!(root["root_folder"]["children_count"], 1);
        assert_eq!(root["root_folder"]["files_count"], 2);
    }
}

api_test! {
    async fn a_new_folder_lies_in_the_root_unless_told_otherwise(app) {
        let ada = app.user("ada@example.com").await;
        let bodies = [json!({"name": "a"}), json!({"name": "b", "parent": null})];
        for body in bodies {
            let folder = create(&ada, body.clone()).await.expect_json(201);
            assert_folder(&folder);
            assert_eq!(folder["name"], body["name"]);
            assert_eq!(folder["parent"], ada.root().await["id"]);
            assert_eq!(folder["is_root"], false);
            assert_eq!(folder["children_count"], 0);
            assert_eq!(folder["files_count"], 0);
            assert_eq!(folder["created_at"], folder["updated_at"]);
        }
    }
}

api_test! {
    async fn paths_join_the_names_from_the_root(app) {
        let ada = app.user("ada@example.com").await;
        let photos = ada.create_folder("Photos", None).await;
        let year = ada.create_folder("2026", Some(&photos)).await;
        assert_eq!(photos["full_path"], "Root/Photos");
        assert_eq!(year["full_path"], "Root/Photos/2026");
        assert_eq!(year["parent"], photos["id"]);
        let seen = ada.folder(&year["id"]).await.expect_json(200);
        assert_eq!(seen["full_path"], "Root/Photos/2026");
    }
}

api_test! {
    async fn nasty_folder_names_are_refused(app) {
        let ada = app.user("ada@example.com").await;
        for name in NASTY_NAMES.iter() {
            // The limit of folders is in characters.
            let reply = ada.try_create_folder(name, None).await;
            assert_field_error(&reply, "name");
        }
        assert_eq!(ada.get_json("/api/cdn/folders/root/").await["folders"], json!([]));
    }
}

api_test! {
    async fn folder_names_may_have_255_characters_of_any_script(app) {
        let ada = app.user("ada@example.com").await;
        for name in ["x".repeat(255), "é".repeat(255), "日本語 🎉".to_owned(), "100%_\"';--".to_owned()]
        {
            let folder = ada.create_folder(&name, None).await;
            assert_eq!(folder["name"], name);
            assert_eq!(folder["full_path"], format!("Root/{name}"));
        }
    }
}

api_test! {
    async fn a_folder_without_a_usable_name_is_400(app) {
        let ada = app.user("ada@example.com").await;
        for body in [json!({}), json!({"name": null}), json!({"name": 5}), json!({"name": ["a"]})] {
            assert_field_error(&create(&ada, body).await, "name");
        }
        let reply = create(&ada, json!({"parent": null})).await;
        let body = assert_field_error(&reply, "name");
        assert_eq!(body["details"]["name"][0], "This field is required.");
    }
}

api_test! {
    async fn a_parent_that_is_not_the_callers_is_404(app) {
        let ada = app.user("ada@example.com").await;
        let grace = app.user("grace@example.com").await;
        let hers = grace.create_folder("hers", None).await;
        let trashed = ada.create_folder("trashed", None).await;
        ada.trash_folder(&trashed).await;
        for parent in [&hers["id"], &trashed["id"], &json!(UNKNOWN_ID), &json!("no-uuid")] {
            let reply = create(&ada, json!({"name": "a", "parent": parent})).await;
            assert_eq!(reply.status, 404, "{parent}: {}", reply.text());
            assert_error(&reply, 404, "Not found.");
        }
        assert_refused(&create(&ada, json!({"name": "a", "parent": 5})).await, 400);
        assert_eq!(grace.contents(&hers).await["folders"], json!([]));
    }
}

api_test! {
    async fn a_taken_folder_name_is_409(app) {
        let ada = app.user("ada@example.com").await;
        let photos = ada.create_folder("Photos", None).await;
        assert_error(&ada.try_create_folder("Photos", None).await, 409, NAME_TAKEN);
        assert_error(&ada.try_create_folder("  Photos ", None).await, 409, NAME_TAKEN);
        // Elsewhere, by somebody else and after the first is gone it is free.
        ada.create_folder("Photos", Some(&photos)).await;
        app.user("grace@example.com").await.create_folder("Photos", None).await;
        ada.trash_folder(&photos).await;
        ada.create_folder("Photos", None).await;
    }
}

api_test! {
    async fn names_that_only_look_different_are_the_same(app) {
        let ada = app.user("ada@example.com").await;
        let folder = ada.create_folder("Cafe\u{301}", None).await;
        assert_eq!(folder["name"], "Caf\u{e9}");
        assert_error(&ada.try_create_folder("Caf\u{e9}", None).await, 409, NAME_TAKEN);
    }
}

api_test! {
    async fn contents_are_by_name_and_without_what_is_trashed(app) {
        let ada = app.user("ada@example.com").await;
        let top = ada.create_folder("top", None).await;
        for name in ["b", "c", "a", "gone"] {
            ada.create_folder(name, Some(&top)).await;
            let mut file = registration(&format!("{name}.txt"));
            file["folder_id"] = top["id"].clone();
            ada.register(&file).await;
        }
        let before = ada.contents(&top).await;
        let gone = |list: &Value| {
            list.as_array()
                .unwrap()
                .iter()
                .find(|item| item["name"] == "gone" || item["filename"] == "gone.txt")
                .cloned()
                .unwrap()
        };
        ada.trash_folder(&gone(&before["folders"])).await;
        ada.trash_file(&gone(&before["files"])).await;

        let contents = ada.contents(&top).await;
        assert_eq!(names_of(&contents["folders"]), ["a", "b", "c"]);
        assert_eq!(names_of(&contents["files"]), ["a.txt", "b.txt", "c.txt"]);
        contents["folders"].as_array().unwrap().iter().for_each(assert_folder);
        contents["files"].as_array().unwrap().iter().for_each(crate::harness::assert_file);
        let top = ada.folder(&top["id"]).await.expect_json(200);
        assert_eq!(top["children_count"], 3);
        assert_eq!(top["files_count"], 3);
    }
}

api_test! {
    async fn counts_are_of_what_lies_directly_inside_at_any_size(app) {
        let ada = app.user("ada@example.com").await;
        let top = ada.create_folder("top", None).await;
        let below = ada.create_folder("below", Some(&top)).await;
        for number in 0..30 {
            ada.create_folder(&format!("folder {number}"), Some(&top)).await;
            let mut file = registration(&format!("{number}.txt"));
            file["folder_id"] = top["id"].clone();
            ada.register(&file).await;
            let mut file = registration(&format!("{number}.txt"));
            file["folder_id"] = below["id"].clone();
            ada.register(&file).await;
        }
        let top = ada.folder(&top["id"]).await.expect_json(200);
        assert_eq!((&top["children_count"], &top["files_count"]), (&json!(31), &json!(30)));
        let contents = ada.contents(&top).await;
        assert_eq!(contents["folders"].as_array().unwrap().len(), 31);
        assert_eq!(contents["files"].as_array().unwrap().len(), 30);
        assert_eq!(contents["files"][0]["folder_detail"]["files_count"], 30);
    }
}

api_test! {
    async fn the_list_is_by_name_in_pages(app) {
        let ada = app.user("ada@example.com").await;
        for number in (0..12).rev() {
            ada.create_folder(&format!("folder {number:02}"), None).await;
        }
        let mut names = Vec::new();
        let mut path = "/api/cdn/folders/?page_size=5&other=x%20y".to_owned();
        let mut count = None;
        loop {
            let page = ada.get_json(&path).await;
            assert_eq!(*count.get_or_insert(page["count"].clone()), page["count"]);
            page["results"].as_array().unwrap().iter().for_each(assert_folder);
            names.extend(names_of(&page["results"]));
            let Some(next) = page["next"].as_str() else { break };
            assert!(next.starts_with(&format!("{PUBLIC_URL}/api/cdn/folders/?")), "{next}");
            assert!(next.contains("page_size=5") && next.contains("other=x"), "{next}");
            path = app.local(&page["next"]);
        }
        assert_eq!(count, Some(json!(names.len())));
        assert!(names.is_sorted(), "{names:?}");
        assert_eq!(names.iter().filter(|name| name.starts_with("folder ")).count(), 12);
    }
}

api_test! {
    async fn the_list_of_a_new_user_is_a_page(app) {
        let ada = app.user("ada@example.com").await;
        let page = ada.get_json("/api/cdn/folders/").await;
        assert_eq!(page["count"], page["results"].as_array().unwrap().len());
        assert_eq!((&page["next"], &page["previous"]), (&Value::Null, &Value::Null));
        assert_error(&ada.get("/api/cdn/folders/?page=2").fetch().await, 404, "Invalid page.");
    }
}

api_test! {
    async fn lists_show_only_the_callers_folders(app) {
        let ada = app.user("ada@example.com").await;
        let grace = app.user("grace@example.com").await;
        grace.create_folder("hers", None).await;
        let page = ada.get_json("/api/cdn/folders/").await;
        assert!(!names_of(&page["results"]).contains(&"hers".to_owned()), "{page}");
    }
}

api_test! {
    async fn folders_of_others_answer_as_if_they_were_not_there(app) {
        let ada = app.user("ada@example.com").await;
        let grace = app.user("grace@example.com").await;
        let hers = grace.create_folder("hers", None).await;
        let root = grace.root().await;
        for id in [&hers["id"], &root["id"], &json!(UNKNOWN_ID), &json!("no-uuid"), &json!("0")] {
            let path = format!("/api/cdn/folders/{}/", id.as_str().unwrap());
            for method in ["GET", "PUT", "PATCH", "DELETE"] {
                let request = ada.request(method.parse().unwrap(), &path).json(&json!({"name": "mine"}));
                assert_error(&request.fetch().await, 404, "Not found.");
            }
            assert_error(&ada.get(&format!("{path}contents/")).fetch().await, 404, "Not found.");
        }
        assert_eq!(grace.folder(&hers["id"]).await.expect_json(200)["name"], "hers");
    }
}
