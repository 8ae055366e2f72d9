//! From registered to done: a thousand pictures on a web server of this machine, registered by URL, until the last one
//! has its thumbnail and its preview.
//!
//! `cargo bench --bench thumbnails [-- --pictures 1000] [--workers N] [--database postgres://…]`
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark that can't go on has failed")]

use actix_web::{App, HttpResponse, HttpServer, web};
use futures_util::{StreamExt, stream};
use hackclub_cdn::{config::Config, service::accounts::NewUser, startup::Application};
use image::{ImageFormat, Rgb, RgbImage};
use serde_json::{Value, json};
use std::{
    io::Cursor,
    time::{Duration, Instant},
};

const PASSWORD: &str = "correct horse battery";
/// Pictures that differ; they are served over and over.
const KINDS: u32 = 24;
/// Registrations under way at a time.
const AT_ONCE: usize = 16;
/// How often is looked whether all are done.
const LOOK: Duration = Duration::from_millis(100);

struct Options {
    pictures: u32,
    workers: u32,
    database: Option<String>,
}

fn main() {
    let options = parse_options();
    // reqwest comes without a TLS provider of its own.
    let _ = rustls::crypto::ring::default_provider().install_default();
    actix_web::rt::System::new().block_on(run(&options));
}

fn parse_options() -> Options {
    let mut options = Options { pictures: 1000, workers: 0, database: None };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().and_then(|n| n.parse().ok()).expect("a number");
        match argument.as_str() {
            "--pictures" => options.pictures = number(),
            "--workers" => options.workers = number(),
            "--database" => options.database = arguments.next(),
            // What `cargo bench` itself adds.
            "--bench" => {}
            _ => {
                println!(
                    "usage: cargo bench --bench thumbnails [-- --pictures N] [--workers N] [--database URL]"
                );
                std::process::exit(i32::from(argument != "--help") * 2);
            }
        }
    }
    options
}

async fn run(options: &Options) {
    let pictures: Vec<_> = (0..KINDS).map(|kind| web::Bytes::from(picture(kind))).collect();
    let bytes: usize = pictures.iter().map(web::Bytes::len).sum();
    println!("{KINDS} kinds of pictures, {} KiB each on average", bytes / 1024 / pictures.len());
    let pictures = web::Data::new(pictures);
    let origin = HttpServer::new(move || {
        App::new().app_data(pictures.clone()).route("/{kind}/{name}", web::get().to(send_picture))
    })
    .workers(1)
    .bind("127.0.0.1:0")
    .unwrap();
    let port = origin.addrs()[0].port();
    actix_web::rt::spawn(origin.run());

    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    config.server.bind = "127.0.0.1:0".parse().unwrap();
    config.storage.url = format!("file://{}", folder.path().join("blobs").display());
    config.auth.secret_file = folder.path().join("secret.key");
    let default = format!("sqlite://{}", folder.path().join("cdn.db").display());
    config.database.url = options.database.clone().unwrap_or(default);
    config.thumbnails.workers = options.workers;
    config.fetch.allow_private = true;
    config.fetch.allowed_ports = vec![port];
    config.limits.network_requests_per_minute = 0;
    config.limits.account_requests_per_minute = 0;
    let application = Application::build(config).await.expect("the server starts");
    let (base, services, stopper) =
        (application.base_url().to_owned(), application.services(), application.stopper());
    services.renders.use_program(env!("CARGO_BIN_EXE_hackclub-cdn").into());
    let email = format!("{}@example.com", uuid::Uuid::now_v7());
    let user = NewUser {
        email: email.clone(),
        name: "bench".into(),
        password: Some(PASSWORD.into()),
        tier: Some("unlimited".into()),
        is_admin: false,
    };
    services.create_user(user).await.expect("the user is made");
    let server = actix_web::rt::spawn(application.run_until_stopped());

    let http = reqwest::Client::builder().cookie_store(true).build().unwrap();
    let body = json!({"email": email, "password": PASSWORD});
    let answer = http.post(format!("{base}/api/auth/login")).json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let started = Instant::now();
    stream::iter(0..options.pictures)
        .for_each_concurrent(AT_ONCE, |nth| {
            let request = http.post(format!("{base}/api/cdn/files/upload/")).json(&registration(nth, port));
            async move { assert_eq!(request.send().await.unwrap().status(), 201) }
        })
        .await;
    println!("registered after {:.1} s", started.elapsed().as_secs_f64());
    while count(&http, &base, "completed").await < u64::from(options.pictures) {
        assert_eq!(count(&http, &base, "failed").await, 0, "a picture failed");
        actix_web::rt::time::sleep(LOOK).await;
    }
    let took = started.elapsed().as_secs_f64();
    println!("all done after {took:.1} s: {:.1} pictures a second", f64::from(options.pictures) / took);
    stopper.stop().await;
    server.await.expect("the server ends").expect("the server ends well");
}

/// A photograph's size and some of its unrest.
fn picture(kind: u32) -> Vec<u8> {
    let picture = RgbImage::from_fn(1600, 1200, |x, y| {
        let wave =
            (f64::from(x * (kind + 3)) / 170.0).sin() + (f64::from(y) / (20.0 + f64::from(kind))).cos();
        let grain = (x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(40_503)) >> 27;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it lies between 0 and 252"
        )]
        let light = (wave * 55.0 + 110.0) as u8 + grain.to_le_bytes()[0];
        Rgb([light, light.wrapping_add(20), 255 - light])
    });
    let mut jpeg = Cursor::new(Vec::new());
    picture.write_to(&mut jpeg, ImageFormat::Jpeg).unwrap();
    jpeg.into_inner()
}

async fn send_picture(
    pictures: web::Data<Vec<web::Bytes>>,
    path: web::Path<(usize, String)>,
) -> HttpResponse {
    HttpResponse::Ok().content_type("image/jpeg").body(pictures[path.0 % pictures.len()].clone())
}

fn registration(nth: u32, port: u16) -> Value {
    json!({
        "filename": format!("{nth}.jpg"),
        "cdn_url": format!("http://127.0.0.1:{port}/{}/{nth}.jpg", nth % KINDS),
        "file_size": 1000,
        "mime_type": "image/jpeg",
        "md5_hash": format!("{nth:032x}"),
        "sha256_hash": format!("{nth:064x}"),
    })
}

/// The user's jobs in a state.
async fn count(http: &reqwest::Client, base: &str, status: &str) -> u64 {
    let url = format!("{base}/api/cdn/processing/?page=1&page_size=1&status={status}");
    let page: Value = http.get(url).send().await.unwrap().json().await.unwrap();
    page["count"].as_u64().unwrap_or_else(|| panic!("no page: {page}"))
}
