//! Shares of what is in the trash: out of sight until it comes back, and gone with it for good.

use serde_json::{Value, json};

use crate::harness::{Fetch, assert_error, registration, share_path};

const NOTHING: [Value; 0] = [];

api_test! {
    async fn a_share_goes_out_of_sight_with_its_file_and_comes_back_with_it(app) {
        let (ada, bob) = (app.user("ada@example.com").await, app.user("bob@example.com").await);
        let file = ada.register(&registration("a.txt")).await;
        let share = ada.share_by_link("file", &file, json!({"shared_users": [{"user_email": bob.email}]})).await;
        ada.trash_file(&file).await;
        assert_eq!((ada.shares().await, bob.shares().await), (NOTHING.into(), NOTHING.into()));
        assert_error(&app.anonymous().open_link(&share, "").await, 404, "Invalid token");
        assert_error(&app.anonymous().download_by_link(&share, "").fetch().await, 404, "Invalid token");
        assert_error(&bob.file(&file["id"]).await, 404, "Not found.");
        for call in ["", "shared_users", "access_logs"] {
            assert_error(&ada.get(&share_path(&share, call)).fetch().await, 404, "Not found.");
        }
        assert_error(&ada.patch_share(&share, json!({"is_public": false})).await, 404, "Not found.");
        assert_error(&ada.try_share_status("file", &file).await, 404, "Not found.");
        ada.restore(&ada.item_of(&file).await).await;
        assert_eq!((ada.shares().await.len(), bob.shares().await.len()), (1, 1));
        app.anonymous().open_link(&share, "").await.expect_json(200);
        bob.file(&file["id"]).await.expect_json(200);
    }
}

api_test! {
    async fn a_trashed_folder_hides_the_shares_of_all_that_is_in_it(app) {
        let (ada, bob) = (app.user("ada@example.com").await, app.user("bob@example.com").await);
        let top = ada.create_folder("top", None).await;
        let low = ada.create_folder("low", Some(&top)).await;
        let file = ada.register_in(&low, "a.txt").await;
        let links = [ada.share_by_link("folder", &low, json!({})).await, ada.share_by_link("file", &file, json!({})).await];
        ada.give("folder", &low, &bob, "edit").await;
        ada.trash_folder(&top).await;
        assert_eq!((ada.shares().await, bob.shares().await), (NOTHING.into(), NOTHING.into()));
        for link in &links {
            assert_error(&app.anonymous().open_link(link, "").await, 404, "Invalid token");
        }
        assert_eq!(bob.get_json("/api/cdn/folders/").await["count"], 0);
        assert_eq!(bob.found("low").await, (vec![], vec![]));
        ada.restore(&ada.item_of(&top).await).await;
        assert_eq!((ada.shares().await.len(), bob.shares().await.len()), (3, 1));
        for link in &links {
            app.anonymous().open_link(link, "").await.expect_json(200);
        }
    }
}

api_test! {
    async fn a_share_goes_for_good_with_its_thing(app) {
        let (ada, bob) = (app.user("ada@example.com").await, app.user("bob@example.com").await);
        let folder = ada.create_folder("folder", None).await;
        let inside = ada.register_in(&folder, "inside.txt").await;
        let file = ada.register(&registration("a.txt")).await;
        for (kind, thing) in [("folder", &folder), ("file", &inside), ("file", &file)] {
            let share = ada.share_by_link(kind, thing, json!({"shared_users": [{"user_email": bob.email}]})).await;
            app.anonymous().open_link(&share, "").await.expect_json(200);
        }
        ada.trash_folder(&folder).await;
        ada.trash_file(&file).await;
        ada.purge(&ada.item_of(&file).await).await;
        ada.empty_trash().await;
        for table in ["shares", "share_grants", "share_access_logs"] {
            let sql: &'static str = match table {
                "shares" => "SELECT COUNT(*) FROM shares",
                "share_grants" => "SELECT COUNT(*) FROM share_grants",
                _ => "SELECT COUNT(*) FROM share_access_logs",
            };
            let (count,): (i64,) = app.services.db.q(sql).one().await.unwrap();
            assert_eq!(count, 0, "{table}");
        }
        assert_eq!((ada.shares().await, bob.shares().await), (NOTHING.into(), NOTHING.into()));
    }
}
