//! `GET /api/cdn/search/`: what is found, what is not, and that a needle is just characters.

use serde_json::{Value, json};

use crate::harness::{
    Client, Fetch, GOOD_NAMES, RawConnection, TestApp, assert_error, assert_field_error, assert_file,
    assert_folder, encode, merged, names_of, registration,
};

async fn register_all(client: &Client, names: &[&str]) {
    for name in names {
        client.register(&registration(name)).await;
    }
}

/// The names that contain the needle, by search and by the list's filter, sorted.
async fn files_with(client: &Client, needle: &str) -> Vec<String> {
    let (mut files, mut listed) = (client.found(needle).await.0, client.listed(needle).await);
    files.sort();
    listed.sort();
    assert_eq!(files, listed, "search and list differ: {needle:?}");
    files
}

api_test! {
    async fn every_part_of_three_characters_and_more_finds_files_and_folders(app) {
        let ada = app.user("ada@example.com").await;
        let report = ada.register(&registration("yearly-report.pdf")).await;
        let folder = ada.create_folder("Reports 2026", None).await;
        register_all(&ada, &["holiday.jpg"]).await;
        let characters: Vec<char> = "yearly-report.pdf".chars().collect();
        for length in [3, 4, 9, 17] {
            for part in characters.windows(length) {
                let needle: String = part.iter().collect();
                assert_eq!(ada.found(&needle).await.0, ["yearly-report.pdf"], "{needle}");
            }
        }
        let answer = ada.get_json("/api/cdn/search/?q=EPORT").await;
        assert_eq!(answer["query"], "EPORT");
        assert_eq!(answer["results"]["files"][0]["id"], report["id"]);
        assert_eq!(answer["results"]["folders"][0]["id"], folder["id"]);
        assert_file(&answer["results"]["files"][0]);
        assert_folder(&answer["results"]["folders"][0]);
        assert_eq!(ada.found("2026").await, (vec![], vec!["Reports 2026".to_owned()]));
        assert_eq!(ada.found("reporting").await, (vec![], vec![]));
    }
}

api_test! {
    async fn both_names_of_a_file_are_searched_but_not_as_one_text(app) {
        let ada = app.user("ada@example.com").await;
        ada.register(&merged(registration("report.pdf"), json!({"original_filename": "scan-0042.png"}))).await;
        for needle in ["port.p", "can-00", "042.png", ".pdf"] {
            assert_eq!(files_with(&ada, needle).await, ["report.pdf"], "{needle}");
        }
        for needle in ["pdfscan", "pdf scan", "pngreport"] {
            assert_eq!(files_with(&ada, needle).await, [""; 0], "{needle}");
        }
    }
}

api_test! {
    async fn one_and_two_characters_find_too(app) {
        let ada = app.user("ada@example.com").await;
        register_all(&ada, &["ab.txt", "b.txt", "日本.txt", "🎉.gif"]).await;
        ada.create_folder("x b", None).await;
        assert_eq!(ada.found("b").await, (vec!["b.txt".to_owned(), "ab.txt".to_owned()], vec!["x b".to_owned()]));
        for (needle, name) in [("ab", "ab.txt"), ("日", "日本.txt"), ("日本", "日本.txt"), ("🎉", "🎉.gif"), ("A", "ab.txt")] {
            assert_eq!(files_with(&ada, needle).await, [name], "{needle}");
        }
    }
}

api_test! {
    async fn case_is_folded_in_all_of_unicode(app) {
        let ada = app.user("ada@example.com").await;
        let cases: [(&str, &[&str]); 9] = [
            ("Äpfel ÖL Über", &["äpfel", "ÄPFEL ö", "öl ÜB", "ü", "A\u{308}PFEL", "äP"]),
            ("Große Straße", &["STRASSE", "strasse", "straße", "STRAẞE", "GROSSE", "oße s"]),
            ("Ελλάδα ΟΔΟΣ οδός", &["ΕΛΛΆΔΑ", "οδοσ", "οδος", "ΟΔΌΣ", "ς", "άδα"]),
            ("İstanbul", &["İSTANBUL", "i̇stanbul", "stanbul", "İ"]),
            ("Привет МИР", &["ПРИВЕТ", "мир", "вет м"]),
            ("ÉCOLE", &["école", "e\u{301}cole", "É"]),
            ("Ｗｉｄｅ ﬁnal", &["wide", "ＷＩＤＥ", "final", "FINAL"]),
            ("ԱՐՄԵՆ Ꮳ", &["արմեն", "Ꮳ"]),
            ("ǅungla", &["ǆungla", "Ǆungla", "DŽUNGLA"]),
        ];
        for (name, _) in cases {
            ada.register(&registration(&format!("{name}.txt"))).await;
            ada.create_folder(name, None).await;
        }
        for (name, needles) in cases {
            for needle in needles {
                let (files, folders) = ada.found(needle).await;
                assert!(files.contains(&format!("{name}.txt")), "{needle} in {name}: {files:?}");
                assert!(folders.contains(&name.to_owned()), "{needle} in {name}: {folders:?}");
                assert!(files_with(&ada, needle).await.len() <= 2, "{needle}: {files:?}");
            }
        }
    }
}

api_test! {
    async fn the_signs_of_query_languages_are_just_characters(app) {
        let ada = app.user("ada@example.com").await;
        let names = [
            "100%_done.txt", "100x-done.txt", "say \"hi\".txt", "it's ok.txt", "a_b.txt", "aXb.txt", "NEAR(a b).txt",
            "a* OR b.txt", "search_name:x.txt", "-minus +plus.txt", "^caret.txt", "{brace} [x].txt", "a AND NOT b.txt",
        ];
        register_all(&ada, &names).await;
        for name in names {
            assert_eq!(files_with(&ada, name).await, [name], "{name}");
        }
        let hits: [(&str, &[&str]); 12] = [
            ("%", &["100%_done.txt"]),
            ("%_", &["100%_done.txt"]),
            ("%_d", &["100%_done.txt"]),
            ("_", &["100%_done.txt", "a_b.txt", "search_name:x.txt"]),
            ("a_b", &["a_b.txt"]),
            ("\"", &["say \"hi\".txt"]),
            ("\"hi\"", &["say \"hi\".txt"]),
            ("'", &["it's ok.txt"]),
            ("t's", &["it's ok.txt"]),
            ("a*", &["a* OR b.txt"]),
            ("a* OR", &["a* OR b.txt"]),
            ("search_name:", &["search_name:x.txt"]),
        ];
        for (needle, found) in hits {
            assert_eq!(files_with(&ada, needle).await, found, "{needle}");
        }
        for needle in ["%%%", "___", "\"\"\"", "\\", "\\%", "\\\\\\", "a%b", "a?b", "1' OR '1'='1", "'; DROP TABLE files; --", "*", "***"] {
            let expected: &[&str] = if needle == "*" { &["a* OR b.txt"] } else { &[] };
            assert_eq!(files_with(&ada, needle).await, expected, "{needle}");
        }
    }
}

api_test! {
    async fn every_name_that_a_file_can_have_is_found_by_itself(app) {
        let ada = app.user("ada@example.com").await;
        for name in GOOD_NAMES.iter() {
            ada.register(&registration(name)).await;
        }
        for name in GOOD_NAMES.iter() {
            let found = files_with(&ada, name).await;
            assert!(found.contains(name), "{name}: {found:?}");
        }
    }
}

api_test! {
    async fn the_newest_twenty_of_each_kind_come_first(app) {
        let ada = app.user("ada@example.com").await;
        let names: Vec<String> = (0..23).map(|nth| format!("many-{nth:02}")).collect();
        for name in &names {
            ada.register(&registration(name)).await;
            ada.create_folder(name, None).await;
        }
        let newest: Vec<String> = names.iter().rev().take(20).cloned().collect();
        for needle in ["many", "ma", "Y-"] {
            assert_eq!(ada.found(needle).await, (newest.clone(), newest.clone()), "{needle}");
        }
        assert_eq!(ada.found("many-07").await, (vec!["many-07".to_owned()], vec!["many-07".to_owned()]));
    }
}

api_test! {
    async fn nobody_finds_what_belongs_to_others(app) {
        let ada = app.user("ada@example.com").await;
        let grace = app.user("grace@example.com").await;
        grace.register(&registration("secret plan.txt")).await;
        grace.create_folder("secret folder", None).await;
        for needle in ["secret", "se", "plan"] {
            assert_eq!(ada.found(needle).await, (vec![], vec![]), "{needle}");
            assert_eq!(ada.listed(needle).await, [""; 0], "{needle}");
        }
        assert_eq!(grace.found("secret").await.0, ["secret plan.txt"]);
        assert_error(&app.anonymous().get("/api/cdn/search/?q=secret").fetch().await, 401, "Authentication credentials were not provided.");
    }
}

api_test! {
    async fn what_is_in_the_trash_is_not_found_until_it_is_back(app) {
        let ada = app.user("ada@example.com").await;
        let folder = ada.create_folder("needle folder", None).await;
        ada.create_folder("needle below", Some(&folder)).await;
        ada.register_in(&folder, "needle inside.txt").await;
        let file = ada.register(&registration("needle.txt")).await;
        ada.trash_file(&file).await;
        ada.trash_folder(&folder).await;
        for needle in ["needle", "ne", "inside", "below"] {
            assert_eq!(ada.found(needle).await, (vec![], vec![]), "{needle}");
            assert_eq!(ada.listed(needle).await, [""; 0], "{needle}");
        }
        ada.restore(&ada.item_of(&folder).await).await;
        let folders = vec!["needle below".to_owned(), "needle folder".to_owned()];
        assert_eq!(ada.found("needle").await, (vec!["needle inside.txt".to_owned()], folders));
        ada.purge(&ada.item_of(&file).await).await;
        assert_eq!(files_with(&ada, "needle").await, ["needle inside.txt"]);
    }
}

api_test! {
    async fn changed_names_are_found_at_once_and_former_ones_no_more(app) {
        let ada = app.user("ada@example.com").await;
        let file = ada.register(&registration("before.txt")).await;
        let folder = ada.create_folder("earlier", None).await;
        ada.patch_file(&file, json!({"filename": "after.txt"})).await.expect_json(200);
        // The original name is a name too.
        assert_eq!(files_with(&ada, "before").await, ["after.txt"]);
        ada.patch_file(&file, json!({"original_filename": "source.txt"})).await.expect_json(200);
        ada.patch_folder(&folder, json!({"name": "later"})).await.expect_json(200);
        assert_eq!(ada.found("before").await.0, [""; 0]);
        assert_eq!(ada.found("earlier").await.1, [""; 0]);
        assert_eq!(files_with(&ada, "after").await, ["after.txt"]);
        assert_eq!(files_with(&ada, "source").await, ["after.txt"]);
        assert_eq!(ada.found("later").await.1, ["later"]);
        ada.patch_file(&file, json!({"folder": folder["id"]})).await.expect_json(200);
        let answer = ada.get_json("/api/cdn/search/?q=after").await;
        assert_eq!(answer["results"]["files"][0]["folder"], folder["id"]);
        assert_eq!(answer["results"]["files"][0]["folder_detail"]["full_path"], "Root/later");
        // Restored under a free name, it is found by that one.
        ada.trash_file(&file).await;
        ada.register_in(&folder, "after.txt").await;
        ada.restore(&ada.item_of(&file).await).await;
        assert_eq!(files_with(&ada, "after (1)").await, ["after (1).txt"]);
    }
}

api_test! {
    async fn no_query_is_400(app) {
        let ada = app.user("ada@example.com").await;
        for query in ["", "?q=", "?q", "?q=%20%20", "?query=abc", "?q=+"] {
            let reply = ada.get(&format!("/api/cdn/search/{query}")).fetch().await;
            assert_error(&reply, 400, "Search query required");
        }
        ada.get("/api/cdn/search?q=abc").fetch().await.expect_json(200);
    }
}

/// The answer to a query that goes over the wire as it stands.
async fn search_raw(app: &TestApp, client: &Client, query: &[u8]) -> Value {
    let mut connection = RawConnection::open(app).await;
    connection.send(b"GET /api/cdn/search/?q=").await;
    connection.send(query).await;
    let head = format!(
        " HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\r\n",
        client.session.access
    );
    connection.send(head).await;
    assert_eq!(connection.read_status().await, 200, "{}", String::from_utf8_lossy(query));
    serde_json::from_str(&connection.read_until_closed().await).expect("JSON")
}

api_test! {
    // Browsers encode spaces, quotes and all beyond ASCII by themselves; the rest arrives like this.
    async fn a_query_that_nobody_encoded_is_taken_as_it_is(app) {
        let ada = app.user("ada@example.com").await;
        register_all(&ada, &["100% sure.txt", "Grüße.txt", "a=b {c}|d.txt", "!$'()*,;:@[]^`~?.txt"]).await;
        for (query, name) in [
            ("100%", "100% sure.txt"),
            ("100%+s", "100% sure.txt"),
            ("0%%20sure", "100% sure.txt"),
            ("gr%C3%BC", "Grüße.txt"),
            ("%Zr%C3%BC", ""),
            ("!$'()*,;:@[]^`~?", "!$'()*,;:@[]^`~?.txt"),
            ("a=b", "a=b {c}|d.txt"),
            ("{c}|d", "a=b {c}|d.txt"),
        ] {
            let answer = search_raw(app, &ada, query.as_bytes()).await;
            let found = names_of(&answer["results"]["files"]);
            assert_eq!(found.first().map_or("", String::as_str), name, "{query}");
        }
    }
}

api_test! {
    async fn an_odd_needle_finds_nothing_and_breaks_nothing(app) {
        let ada = app.user("ada@example.com").await;
        register_all(&ada, &["plain.txt"]).await;
        ada.create_folder("plain", None).await;
        let long = ["x".repeat(6_000), "ß".repeat(2_000), "%".repeat(6_000), "\"".repeat(6_000), "pla".repeat(2_000)];
        let mut needles: Vec<String> = long.iter().map(|needle| encode(needle)).collect();
        needles.extend(["%01", "pl%01ain", "%FF%FE", "pl%0Aain", "txt%0Aplain", "%F0%9F", "%E2%80%AE", "%EF%BF%BD"].map(str::to_owned));
        for needle in needles {
            let answer = ada.get_json(&format!("/api/cdn/search/?q={needle}")).await;
            assert_eq!(answer["results"], json!({"files": [], "folders": []}), "{needle}");
            let page = ada.get_json(&format!("/api/cdn/files/?search={needle}")).await;
            assert_eq!((&page["count"], &page["results"]), (&json!(0), &json!([])), "{needle}");
        }
        for needle in ["%00", "pl%00ain", "a%00"] {
            assert_field_error(&ada.get(&format!("/api/cdn/search/?q={needle}")).fetch().await, "q");
            assert_field_error(&ada.get(&format!("/api/cdn/files/?search={needle}")).fetch().await, "search");
        }
    }
}
