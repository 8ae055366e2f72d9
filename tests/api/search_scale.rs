//! Search where nearly everything matches: the owner's rows are read instead of the index.

use crate::harness::{names_of, registration};

/// More matches than the index is asked for.
const MANY: usize = 2_100;

api_test! {
    async fn a_needle_with_thousands_of_matches_gives_the_newest_and_the_right_count(app) {
        let ada = app.user("ada@example.com").await;
        let grace = app.user("grace@example.com").await;
        grace.register(&registration("common but hers.txt")).await;
        app.seed_files(&ada, &ada.root().await, (0..MANY).map(|nth| format!("common {nth:04}.txt")).collect()).await;
        ada.register(&registration("Common and rare.txt")).await;
        let mut newest = vec!["Common and rare.txt".to_owned()];
        newest.extend((MANY - 19..MANY).rev().map(|nth| format!("common {nth:04}.txt")));
        assert_eq!(ada.found("common").await.0, newest);
        assert_eq!(ada.found("COMMON ").await.0, newest);
        assert_eq!(ada.found("rare").await.0, ["Common and rare.txt"]);
        assert_eq!(ada.found("common 0777").await.0, ["common 0777.txt"]);
        assert_eq!(grace.found("common").await.0, ["common but hers.txt"]);
        for (needle, count) in [("common", MANY + 1), ("mmon%200", 1000), ("common%2000", 100), ("rare", 1)] {
            let page = ada.get_json(&format!("/api/cdn/files/?search={needle}")).await;
            assert_eq!(page["count"], count, "{needle}");
        }
        let last = ada.get_json("/api/cdn/files/?search=common&page_size=100&page=22").await;
        assert_eq!(names_of(&last["results"]), ["common 0000.txt"]);
        let ordered = ada.get_json("/api/cdn/files/?search=common&ordering=filename&page_size=2&page=2").await;
        assert_eq!(names_of(&ordered["results"]), ["common 0001.txt", "common 0002.txt"]);
    }
}

api_test! {
    async fn what_thousands_share_with_a_needle_in_its_signs_is_told_apart(app) {
        let ada = app.user("ada@example.com").await;
        app.seed_files(&ada, &ada.root().await, (0..MANY).map(|nth| format!("100x done {nth:04}.txt")).collect()).await;
        ada.register(&registration("100% done.txt")).await;
        assert_eq!(ada.found("100% done").await.0, ["100% done.txt"]);
        assert_eq!(ada.found("100_ done").await.0, [""; 0]);
        assert_eq!(ada.found("0% d").await.0, ["100% done.txt"]);
        assert_eq!(ada.get_json("/api/cdn/files/?search=done").await["count"], MANY + 1);
        assert_eq!(ada.get_json("/api/cdn/files/?search=%25").await["count"], 1);
    }
}
