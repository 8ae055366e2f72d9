//! `…/star/` of files and folders, and the list of starred files.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::{Client, Fetch, assert_error, assert_file, id_of, names_of, registration};

const UNKNOWN_ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

async fn starred(client: &Client) -> Value {
    client.get_json("/api/cdn/files/starred/").await
}

api_test! {
    async fn a_star_is_toggled_and_shown_on_the_file(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.register(&registration("a.txt")).await;
        assert_eq!(file["is_starred"], false);
        assert!(ada.toggle_star("files", &file).await);
        let shown = ada.file(&file["id"]).await.expect_json(200);
        assert_eq!(shown["is_starred"], true);
        assert_eq!(ada.get_json("/api/cdn/files/").await["results"][0]["is_starred"], true);
        assert_eq!(ada.contents(&ada.root().await).await["files"][0]["is_starred"], true);
        assert_eq!(shown["updated_at"], file["updated_at"], "a star changes nothing of the file");
        assert!(!ada.toggle_star("files", &file).await);
        assert_eq!(ada.file(&file["id"]).await.expect_json(200)["is_starred"], false);
        assert_eq!(starred(&ada).await, json!([]));
    }
}

api_test! {
    async fn the_last_starred_file_comes_first(app) {
        let ada = app.user("ada@example.com").await;
        let mut files = Vec::new();
        for name in ["a.txt", "b.txt", "c.txt", "never.txt"] {
            files.push(ada.register(&registration(name)).await);
        }
        for nth in [1, 0, 2] {
            ada.toggle_star("files", &files[nth]).await;
        }
        let list = starred(&ada).await;
        assert_eq!(names_of(&list), ["c.txt", "a.txt", "b.txt"]);
        for file in list.as_array().unwrap() {
            assert_file(file);
            assert_eq!(file["is_starred"], true);
        }
        // Starred anew, it is the last one.
        ada.toggle_star("files", &files[1]).await;
        ada.toggle_star("files", &files[1]).await;
        assert_eq!(names_of(&starred(&ada).await), ["b.txt", "c.txt", "a.txt"]);
    }
}

api_test! {
    async fn folders_have_stars_of_their_own(app) {
        let ada = app.user("ada@example.com").await;
        let folder = ada.create_folder("folder", None).await;
        assert!(ada.toggle_star("folders", &folder).await);
        assert!(!ada.toggle_star("folders", &folder).await);
        assert!(ada.toggle_star("folders", &folder).await);
        // The list is of files.
        assert_eq!(starred(&ada).await, json!([]));
        let file = ada.register(&registration("a.txt")).await;
        assert_error(&ada.post(&format!("/api/cdn/folders/{}/star/", id_of(&file))).fetch().await, 404, "Not found.");
        assert_error(&ada.post(&format!("/api/cdn/files/{}/star/", id_of(&folder))).fetch().await, 404, "Not found.");
    }
}

api_test! {
    async fn what_is_not_the_callers_has_no_star(app) {
        let ada = app.user("ada@example.com").await;
        let grace = app.user("grace@example.com").await;
        let file = grace.register(&registration("hers.txt")).await;
        let folder = grace.create_folder("hers", None).await;
        grace.toggle_star("files", &file).await;
        for path in [
            format!("files/{}", id_of(&file)),
            format!("folders/{}", id_of(&folder)),
            format!("files/{UNKNOWN_ID}"),
            format!("folders/{UNKNOWN_ID}"),
            "files/no-uuid".to_owned(),
        ] {
            assert_error(&ada.post(&format!("/api/cdn/{path}/star/")).fetch().await, 404, "Not found.");
            let reply = app.anonymous().post(&format!("/api/cdn/{path}/star/")).fetch().await;
            assert_error(&reply, 401, "Authentication credentials were not provided.");
        }
        assert_eq!(starred(&ada).await, json!([]));
        assert_eq!(names_of(&starred(&grace).await), ["hers.txt"]);
        assert_error(&app.anonymous().get("/api/cdn/files/starred/").fetch().await, 401, "Authentication credentials were not provided.");
    }
}

api_test! {
    async fn a_star_waits_in_the_trash_with_its_file(app) {
        let ada = app.user("ada@example.com").await;
        let folder = ada.create_folder("folder", None).await;
        let inside = ada.register_in(&folder, "inside.txt").await;
        let file = ada.register(&registration("a.txt")).await;
        ada.toggle_star("files", &inside).await;
        ada.toggle_star("files", &file).await;
        ada.toggle_star("folders", &folder).await;
        ada.trash_file(&file).await;
        ada.trash_folder(&folder).await;
        assert_eq!(starred(&ada).await, json!([]));
        for path in [format!("files/{}", id_of(&file)), format!("files/{}", id_of(&inside)), format!("folders/{}", id_of(&folder))] {
            assert_error(&ada.post(&format!("/api/cdn/{path}/star/")).fetch().await, 404, "Not found.");
        }
        ada.restore(&ada.item_of(&file).await).await;
        ada.restore(&ada.item_of(&folder).await).await;
        assert_eq!(names_of(&starred(&ada).await), ["a.txt", "inside.txt"]);
        assert!(!ada.toggle_star("folders", &folder).await, "the folder's star came back too");
        ada.trash_file(&file).await;
        ada.purge(&ada.item_of(&file).await).await;
        assert_eq!(names_of(&starred(&ada).await), ["inside.txt"]);
    }
}

api_test! {
    async fn parallel_toggles_take_turns(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.register(&registration("a.txt")).await;
        let folder = ada.create_folder("folder", None).await;
        for (collection, thing) in [("files", &file), ("folders", &folder)] {
            let answers = join_all((0..10).map(|_| ada.toggle_star(collection, thing))).await;
            assert_eq!(answers.iter().filter(|starred| **starred).count(), 5, "{collection}: {answers:?}");
            assert!(ada.toggle_star(collection, thing).await, "{collection}: an even number of toggles changes nothing");
        }
        assert_eq!(names_of(&starred(&ada).await), ["a.txt"]);
    }
}
