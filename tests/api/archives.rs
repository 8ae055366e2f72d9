//! `/api/cdn/folders/{id}/zip/`: what is in the archive, under which names, and when it breaks off.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use serde_json::{Value, json};
use zip::ZipArchive;

use crate::harness::{
    Client, Fetch, RawConnection, Reply, TestApp, assert_error, eventually, id_of, merged, noise,
    registration, status_of,
};

fn path_of(folder: &Value) -> String {
    format!("/api/cdn/folders/{}/zip/", id_of(folder))
}

async fn download(client: &Client, folder: &Value) -> Reply {
    let reply = client.get(&path_of(folder)).fetch().await;
    reply.expect_status(200);
    assert_eq!(reply.header("content-type"), "application/zip");
    reply
}

/// Every entry with its content, folders with none, as an ordinary program reads the archive.
fn entries(reply: &Reply) -> BTreeMap<String, Vec<u8>> {
    let mut archive = ZipArchive::new(Cursor::new(&reply.body)).expect("a ZIP archive");
    (0..archive.len())
        .map(|at| {
            let mut entry = archive.by_index(at).expect("an entry");
            let name = entry.name().expect("UTF-8").into_owned();
            assert!(entry.enclosed_name().is_some(), "{name} leads out");
            let mut content = Vec::new();
            // Verifies the checksum, too.
            entry.read_to_end(&mut content).expect("the whole entry");
            (name, content)
        })
        .collect()
}

/// Objects of the blob store that this process, the server's too, has open.
fn open_objects(app: &TestApp) -> usize {
    let objects = app.stored_objects();
    let open = std::fs::read_dir("/proc/self/fd").expect("Linux").flatten();
    let targets = open.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    targets.filter(|target| objects.contains_key(target.to_str().unwrap_or_default())).count()
}

fn names(reply: &Reply) -> Vec<String> {
    entries(reply).into_keys().collect()
}

api_test! {
    async fn an_archive_holds_the_folder_and_all_below_it(app) {
        let ada = app.user("ada@example.com").await;
        let top = ada.create_folder("Fotos äöü 🎉", None).await;
        let below = ada.create_folder("2026", Some(&top)).await;
        ada.create_folder("empty", Some(&below)).await;
        let (first, large) = (noise(1, 10), noise(2, 700_000));
        ada.upload_to(&top, first.clone(), "erstes.bin").await;
        ada.upload_to(&below, large.clone(), "大きい.bin").await;
        ada.upload(noise(3, 10), "elsewhere.bin").await;
        let reply = download(&ada, &top).await;
        assert_eq!(
            entries(&reply),
            BTreeMap::from([
                ("Fotos äöü 🎉/".to_owned(), Vec::new()),
                ("Fotos äöü 🎉/erstes.bin".to_owned(), first),
                ("Fotos äöü 🎉/2026/".to_owned(), Vec::new()),
                ("Fotos äöü 🎉/2026/大きい.bin".to_owned(), large),
                ("Fotos äöü 🎉/2026/empty/".to_owned(), Vec::new()),
            ])
        );
        let disposition = reply.header("content-disposition");
        assert!(disposition.starts_with("attachment; "), "{disposition}");
        assert!(disposition.contains("filename*=UTF-8''Fotos%20%C3%A4"), "{disposition}");
        assert_eq!(reply.header("accept-ranges"), "none");
        assert_eq!(reply.header("cache-control"), "no-store");
        let whole = download(&ada, &ada.root().await).await;
        assert!(names(&whole).contains(&"Root/elsewhere.bin".to_owned()));
    }
}

api_test! {
    async fn names_are_unique_and_such_as_every_system_takes(app) {
        let ada = app.user("ada@example.com").await;
        let top = ada.create_folder("a: b?", None).await;
        for (seed, name) in (1..).zip(["same.txt", "SAME.TXT", "what?.txt", "what*.txt", "CON.txt"]) {
            ada.upload_to(&top, noise(seed, 10), name).await;
        }
        ada.create_folder("Same.txt", Some(&top)).await;
        assert_eq!(
            names(&download(&ada, &top).await),
            [
                "a_ b_/",
                "a_ b_/SAME.TXT",
                "a_ b_/Same.txt (2)/",
                "a_ b_/_CON.txt",
                "a_ b_/same (1).txt",
                "a_ b_/what_ (1).txt",
                "a_ b_/what_.txt",
            ]
        );
    }
}

api_test! {
    async fn a_registered_file_is_a_link(app) {
        let ada = app.user("ada@example.com").await;
        let top = ada.create_folder("links", None).await;
        let file = ada.register_in(&top, "photo.jpg").await;
        let url = file["cdn_url"].as_str().unwrap();
        assert_eq!(
            entries(&download(&ada, &top).await)["links/photo.jpg.url"],
            format!("[InternetShortcut]\r\nURL={url}\r\n").into_bytes()
        );
    }
}

api_test! {
    async fn what_is_in_the_trash_is_not_in_the_archive(app) {
        let ada = app.user("ada@example.com").await;
        let top = ada.create_folder("top", None).await;
        let (kept, gone) = (ada.create_folder("kept", Some(&top)).await, ada.create_folder("gone", Some(&top)).await);
        ada.upload_to(&gone, noise(1, 10), "in gone.bin").await;
        let file = ada.upload_to(&kept, noise(2, 10), "trashed.bin").await;
        ada.upload_to(&kept, noise(3, 10), "kept.bin").await;
        ada.trash_file(&file).await;
        ada.trash_folder(&gone).await;
        assert_eq!(names(&download(&ada, &top).await), ["top/", "top/kept/", "top/kept/kept.bin"]);
        ada.trash_folder(&top).await;
        assert_error(&ada.get(&path_of(&top)).fetch().await, 404, "Not found.");
    }
}

api_test! {
    async fn more_files_than_one_page_of_rows_are_all_there(app) {
        let ada = app.user("ada@example.com").await;
        let top = ada.create_folder("many", None).await;
        app.seed_files(&ada, &top, (0..450).map(|n| format!("{n:03}.txt")).collect()).await;
        let inner = ada.create_folder("zzz", Some(&top)).await;
        ada.upload_to(&inner, noise(1, 10), "last.bin").await;
        // Seeded rows are counted nowhere but in their folder.
        let found = names(&download(&ada, &top).await);
        assert_eq!(found.len(), 450 + 3);
        assert!(found.contains(&"many/449.txt.url".to_owned()), "{found:?}");
    }
}

api_test! {
    async fn only_the_owner_has_an_archive_and_it_is_one_download(app) {
        let (ada, bob) = (app.user("ada@example.com").await, app.user("bob@example.com").await);
        let top = ada.create_folder("top", None).await;
        assert_error(&bob.get(&path_of(&top)).fetch().await, 404, "Not found.");
        let anonymous = app.anonymous().get(&path_of(&top)).fetch().await;
        assert_error(&anonymous, 401, "Authentication credentials were not provided.");
        download(&ada, &top).await;
        let page = ada.get_json("/api/cdn/activity/?action_type=download").await;
        assert_eq!(page["count"], 1, "{page}");
        assert_eq!(page["results"][0]["resource_id"], top["id"], "{page}");
        assert_eq!(page["results"][0]["metadata"]["zip"], true, "{page}");
    }
}

api_test! {
    async fn a_file_whose_bytes_are_missing_breaks_the_transfer_off(app) {
        let ada = app.user("ada@example.com").await;
        let top = ada.create_folder("top", None).await;
        ada.upload_to(&top, noise(1, 300_000), "a.bin").await;
        ada.upload_to(&top, noise(2, 10), "b.bin").await;
        let small = app.stored_objects().into_iter().find(|(_, size)| *size == 10).expect("the object").0;
        let bytes = std::fs::read(&small).unwrap();
        std::fs::remove_file(&small).unwrap();
        let answer = ada.get(&path_of(&top)).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert!(answer.bytes().await.is_err(), "an archive that looks whole");
        std::fs::create_dir_all(std::path::Path::new(&small).parent().unwrap()).unwrap();
        std::fs::write(&small, bytes).unwrap();
        assert_eq!(names(&download(&ada, &top).await), ["top/", "top/a.bin", "top/b.bin"]);
    }
}

api_test! {
    async fn a_client_that_goes_away_ends_the_reading(app) {
        let ada = app.user("ada@example.com").await;
        let top = ada.create_folder("top", None).await;
        let size = 16 * 1024 * 1024;
        for seed in 0..4 {
            ada.upload_to(&top, noise(seed, size), &format!("{seed}.bin")).await;
        }
        let mut connection = RawConnection::open(app).await;
        let head =
            format!("GET {} HTTP/1.1\r\nHost: cdn.example\r\nCookie: {}\r\n\r\n", path_of(&top), ada.session.cookies());
        connection.send(head).await;
        assert_eq!(status_of(&connection.read_head().await), Some(200));
        eventually("a file is being read", || async { open_objects(app) > 0 }).await;
        drop(connection);
        eventually("no file is being read", || async { open_objects(app) == 0 }).await;
    }
}

api_test! {
    async fn a_registration_keeps_its_place_beside_a_file_of_the_links_name(app) {
        let ada = app.user("ada@example.com").await;
        let top = ada.create_folder("top", None).await;
        ada.register_in(&top, "a").await;
        ada.register(&merged(registration("a.url"), json!({"folder_id": top["id"]}))).await;
        assert_eq!(names(&download(&ada, &top).await), ["top/", "top/a.url", "top/a.url.url"]);
    }
}
