//! `GET /api/cdn/files/`: pages and order.

use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

use crate::harness::{
    Client, Fetch, PUBLIC_URL, assert_error, assert_file, assert_refused, merged, names_of, registration,
};

/// `count` files named `00000.txt` and so on, made one after the other.
async fn register_in_order(client: &Client, count: u32) {
    for number in 0..count {
        client.register(&registration(&format!("{number:05}.txt"))).await;
    }
}

async fn list(client: &Client, query: &str) -> Value {
    client.get_json(&format!("/api/cdn/files/{query}")).await
}

api_test! {
    async fn a_new_user_has_an_empty_first_page(app) {
        let ada = app.user("ada@example.com").await;
        let empty = json!({"count": 0, "next": null, "previous": null, "results": []});
        for query in ["", "?page=1", "?page_size=5"] {
            assert_eq!(list(&ada, query).await, empty);
        }
        assert_error(&ada.get("/api/cdn/files/?page=2").fetch().await, 404, "Invalid page.");
    }
}

api_test! {
    async fn the_newest_file_comes_first(app) {
        let ada = app.user("ada@example.com").await;
        register_in_order(&ada, 5).await;
        let page = list(&ada, "").await;
        assert_eq!(page["count"], 5);
        page["results"].as_array().unwrap().iter().for_each(assert_file);
        assert_eq!(
            names_of(&page["results"]),
            ["00004.txt", "00003.txt", "00002.txt", "00001.txt", "00000.txt"]
        );
    }
}

api_test! {
    async fn pages_lead_to_each_other_and_cover_the_list(app) {
        let ada = app.user("ada@example.com").await;
        register_in_order(&ada, 25).await;
        let base = format!("{PUBLIC_URL}/api/cdn/files/");

        let first = list(&ada, "").await;
        assert_eq!(first["count"], 25);
        assert_eq!(first["results"].as_array().unwrap().len(), 20);
        assert_eq!(first["next"], format!("{base}?page=2"));
        assert_eq!(first["previous"], Value::Null);

        let second = ada.get_json(&app.local(&first["next"])).await;
        assert_eq!(second["count"], 25);
        assert_eq!(second["results"].as_array().unwrap().len(), 5);
        assert_eq!(second["next"], Value::Null);
        // The first page is the one without a number.
        assert_eq!(second["previous"], base);
        assert_eq!(ada.get_json(&app.local(&second["previous"])).await, first);

        let mut names = names_of(&first["results"]);
        names.extend(names_of(&second["results"]));
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 25);
        assert_error(&ada.get("/api/cdn/files/?page=3").fetch().await, 404, "Invalid page.");
    }
}

api_test! {
    async fn links_keep_the_other_parameters(app) {
        let ada = app.user("ada@example.com").await;
        register_in_order(&ada, 9).await;
        let query = "?page=2&search=.txt&page_size=3&ordering=filename&foo=a%26b%20c&type=documents";
        let page = list(&ada, query).await;
        assert_eq!(names_of(&page["results"]), ["00003.txt", "00004.txt", "00005.txt"]);
        for (link, number) in [(&page["next"], Some("3")), (&page["previous"], None)] {
            let url = url::Url::parse(link.as_str().unwrap()).unwrap();
            assert!(link.as_str().unwrap().starts_with(&format!("{PUBLIC_URL}/api/cdn/files/?")), "{link}");
            let value = |name: &str| {
                url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
            };
            assert_eq!(value("page").as_deref(), number);
            assert_eq!(value("search").as_deref(), Some(".txt"));
            assert_eq!(value("page_size").as_deref(), Some("3"));
            assert_eq!(value("ordering").as_deref(), Some("filename"));
            assert_eq!(value("foo").as_deref(), Some("a&b c"));
            assert_eq!(value("type").as_deref(), Some("documents"));
        }
        let next = ada.get_json(&app.local(&page["next"])).await;
        assert_eq!(names_of(&next["results"]), ["00006.txt", "00007.txt", "00008.txt"]);
        assert_eq!(next["next"], Value::Null);
    }
}

api_test! {
    async fn page_sizes_go_from_1_to_100_and_bad_ones_are_the_default(app) {
        let ada = app.user("ada@example.com").await;
        let bodies = (0..103).map(|number| registration(&format!("{number}.txt")));
        let registered = stream::iter(bodies).map(|body| async move { body }).buffer_unordered(1);
        registered
            .for_each_concurrent(8, |body| {
                let ada = ada.clone();
                async move {
                    ada.register(&body).await;
                }
            })
            .await;
        for (size, expected) in [
            ("1", 1),
            ("7", 7),
            ("100", 100),
            ("101", 100),
            ("100000", 100),
            ("99999999999999999999999", 100),
            ("0", 20),
            ("-1", 20),
            ("x", 20),
            ("", 20),
            ("1.5", 20),
            ("%00", 20),
        ] {
            let page = list(&ada, &format!("?page_size={size}")).await;
            assert_eq!(page["results"].as_array().unwrap().len(), expected, "page_size={size}");
            assert_eq!(page["count"], 103);
        }
        let last = list(&ada, "?page_size=100&page=2").await;
        assert_eq!(last["results"].as_array().unwrap().len(), 3);
    }
}

api_test! {
    async fn page_numbers_that_lead_nowhere_are_refused(app) {
        let ada = app.user("ada@example.com").await;
        register_in_order(&ada, 3).await;
        for number in ["2", "1000000", "4294967296", "9223372036854775807"] {
            let reply = ada.get(&format!("/api/cdn/files/?page={number}")).fetch().await;
            assert_error(&reply, 404, "Invalid page.");
        }
        for number in ["0", "-1", "x", "1.5", "99999999999999999999999", "%00"] {
            let reply = ada.get(&format!("/api/cdn/files/?page={number}")).fetch().await;
            assert!(matches!(reply.status, 400 | 404), "page={number}: {} {}", reply.status, reply.text());
            assert_refused(&reply, reply.status);
        }
    }
}

api_test! {
    async fn files_can_be_ordered_by_four_fields_in_both_directions(app) {
        let ada = app.user("ada@example.com").await;
        let mut files = Vec::new();
        for (name, size) in [("b.txt", 30), ("a.txt", 20), ("c.txt", 10)] {
            files.push(ada.register(&merged(registration(name), json!({"file_size": size}))).await);
        }
        // The last one made is the first one accessed again.
        for file in [&files[2], &files[0], &files[1]] {
            ada.get_json(&format!("/api/cdn/files/{}/download/", file["id"].as_str().unwrap())).await;
            app.flush().await;
        }
        for (ordering, expected) in [
            ("created_at", ["b.txt", "a.txt", "c.txt"]),
            ("filename", ["a.txt", "b.txt", "c.txt"]),
            ("file_size", ["c.txt", "a.txt", "b.txt"]),
            ("last_accessed", ["c.txt", "b.txt", "a.txt"]),
        ] {
            let page = list(&ada, &format!("?ordering={ordering}")).await;
            assert_eq!(names_of(&page["results"]), expected, "{ordering}");
            let mut reversed = expected;
            reversed.reverse();
            let page = list(&ada, &format!("?ordering=-{ordering}")).await;
            assert_eq!(names_of(&page["results"]), reversed, "-{ordering}");
        }
    }
}

api_test! {
    async fn equal_values_keep_one_order_over_all_pages(app) {
        let ada = app.user("ada@example.com").await;
        register_in_order(&ada, 12).await;
        for ordering in ["file_size", "-file_size"] {
            let mut names = Vec::new();
            for page in 1..=4 {
                let page = list(&ada, &format!("?ordering={ordering}&page_size=3&page={page}")).await;
                names.extend(names_of(&page["results"]));
            }
            names.sort();
            names.dedup();
            assert_eq!(names.len(), 12, "{ordering}");
        }
    }
}

api_test! {
    async fn known_parameters_with_bad_values_are_400(app) {
        let ada = app.user("ada@example.com").await;
        for query in [
            "ordering=owner",
            "ordering=password_hash",
            "ordering=--filename",
            "ordering=filename;DROP TABLE files",
            "ordering=filename,id",
            "ordering=FILENAME",
            "type=pictures",
            "type=images'--",
            "type=IMAGES",
        ] {
            let reply = ada.get(&format!("/api/cdn/files/?{}", query.replace(' ', "%20"))).fetch().await;
            assert_eq!(reply.status, 400, "{query}: {}", reply.text());
            assert_refused(&reply, 400);
        }
    }
}

api_test! {
    async fn unknown_parameters_are_ignored(app) {
        let ada = app.user("ada@example.com").await;
        register_in_order(&ada, 1).await;
        assert_eq!(list(&ada, "?foo=bar&foo=baz&=&%20&owner=5&id[]=1").await["count"], 1);
    }
}

api_test! {
    async fn lists_show_only_what_is_the_callers_and_alive(app) {
        let ada = app.user("ada@example.com").await;
        let grace = app.user("grace@example.com").await;
        grace.register(&registration("hers.txt")).await;
        let gone = ada.register(&registration("gone.txt")).await;
        ada.register(&registration("kept.txt")).await;
        ada.trash_file(&gone).await;
        let page = list(&ada, "").await;
        assert_eq!(
            (page["count"].clone(), names_of(&page["results"])),
            (json!(1), vec!["kept.txt".to_owned()])
        );
    }
}
