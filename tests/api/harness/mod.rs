//! Runs each registered test once for each engine: its own thread, actor system, server, folder and database.
//!
//! After a test's body the harness verifies the server's invariants (`check`) and stops the server
//! gracefully; a test whose data ends up inconsistent has failed, whatever its body says.

mod app;
mod client;
mod clock;
mod engines;
mod listening;
mod names;
mod organise;
mod origin;
mod panics;
mod postgres;
mod provider;
mod raw;
mod reply;
mod samples;
mod scratch;
mod shapes;
mod sharing;
mod upload_host;
mod wait;
mod wire;

use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use hackclub_cdn::config::Config;
use libtest_mimic::{Arguments, Failed, Trial};

pub use app::{PUBLIC_URL, TestApp, set_tier};
pub use client::{Client, PASSWORD};
pub use engines::Engine;
pub use listening::Listener;
pub use names::{GOOD_NAMES, NASTY_NAMES, encode};
pub use organise::id_of;
pub use origin::Origin;
pub use provider::{
    FRONTEND, Mood, Provider, Signature, TEAM, call_back, landing_of, person, retrieve, sign_in,
};
pub use raw::{RawConnection, status_of};
pub use reply::{Fetch, Reply, assert_error, assert_field_error, assert_refused, assert_security_headers};
pub use samples::{Form, md5_hex, merged, noise, picture, png, registration, sha256_hex};
pub use shapes::{assert_file, assert_folder, assert_job, assert_profile, assert_time, names_of};
pub use sharing::{link_path, share_path};
pub use upload_host::{Act, UploadHost, answer, endpoint, url_answer};
pub use wait::eventually;

/// Longest that one test may take, its server's start and stop included.
const TIME_LIMIT: Duration = Duration::from_secs(180);

/// A test that talks to a running server.
pub struct ApiTest {
    pub module: &'static str,
    pub name: &'static str,
    pub body: for<'a> fn(&'a TestApp) -> LocalBoxFuture<'a, ()>,
    /// Changes the server's configuration before it starts.
    pub configure: fn(&mut Config),
    /// The engines that the test is for; empty means all of them.
    pub engines: &'static [Engine],
}

/// A test that needs no server.
pub struct PlainTest {
    pub module: &'static str,
    pub name: &'static str,
    pub body: fn(),
}

inventory::collect!(ApiTest);
inventory::collect!(PlainTest);

/// Registers a test: `api_test! { async fn a_sentence(app) { … } }`.
///
/// Before `async fn` may stand `on Postgres` (one engine only) and `with |config| { … }`
/// (changes the configuration), in this order.
macro_rules! api_test {
    ($(on $engine:ident)? $(with |$config:ident| $set:block)? async fn $name:ident($app:ident) $body:block) => {
        fn $name($app: &$crate::harness::TestApp) -> futures_util::future::LocalBoxFuture<'_, ()> {
            Box::pin(async move $body)
        }
        inventory::submit! {
            $crate::harness::ApiTest {
                module: module_path!(),
                name: stringify!($name),
                body: $name,
                configure: |_config| { $(let $config = _config; $set)? },
                engines: &[$($crate::harness::Engine::$engine)?],
            }
        }
    };
}

/// Registers a test that needs no server: `plain_test! { fn a_sentence() { … } }`.
macro_rules! plain_test {
    (fn $name:ident() $body:block) => {
        fn $name() $body
        inventory::submit! {
            $crate::harness::PlainTest { module: module_path!(), name: stringify!($name), body: $name }
        }
    };
}

/// Runs all tests that the command line asks for.
pub fn run() -> ExitCode {
    let arguments = Arguments::from_args();
    let engines = match engines::Engines::from_environment() {
        Ok(engines) => engines,
        Err(message) => {
            eprintln!("error: {message}");
            return ExitCode::FAILURE;
        }
    };
    // As `main` does for the server: the HTTP clients find no other one.
    rustls::crypto::ring::default_provider().install_default().expect("it is the first");
    panics::record();
    let scratch = scratch::in_memory();
    let conclusion = libtest_mimic::run(&arguments, trials(&engines));
    postgres::stop();
    drop(scratch);
    if let Some(note) = engines.note.filter(|_| !arguments.list) {
        println!("{note}");
    }
    conclusion.exit_code()
}

fn trials(engines: &engines::Engines) -> Vec<Trial> {
    let mut trials = Vec::new();
    for test in inventory::iter::<ApiTest> {
        for &engine in &engines.present {
            if test.engines.is_empty() || test.engines.contains(&engine) {
                let name = format!("{}::{}::{engine}", in_crate(test.module), test.name);
                trials.push(Trial::test(name.clone(), move || {
                    panics::in_own_thread(name, move || run_api_test(test, engine))
                }));
            }
        }
    }
    for test in inventory::iter::<PlainTest> {
        let name = format!("{}::{}", in_crate(test.module), test.name);
        trials.push(Trial::test(name.clone(), move || panics::in_own_thread(name, test.body)));
    }
    trials.sort_by(|a, b| a.name().cmp(b.name()));
    trials
}

fn in_crate(module: &str) -> &str {
    module.split_once("::").map_or(module, |(_, rest)| rest)
}

fn run_api_test(test: &'static ApiTest, engine: Engine) {
    let system = actix_web::rt::System::new();
    let outcome = system.block_on(async {
        let limited = tokio::time::timeout(TIME_LIMIT, run_on_server(test, engine));
        match AssertUnwindSafe(limited).catch_unwind().await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => panic!("took longer than {} s", TIME_LIMIT.as_secs()),
            Err(panic) => Err(panic),
        }
    });
    // Ends the threads of every arbiter that the server started.
    actix_web::rt::System::current().stop();
    system.run().expect("the actor system ends");
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

async fn run_on_server(test: &'static ApiTest, engine: Engine) {
    let app = Rc::new(TestApp::start(engine, test.configure).await);
    let body = AssertUnwindSafe((test.body)(&app)).catch_unwind().await;
    let problems = match &body {
        Ok(()) => AssertUnwindSafe(app.settle()).catch_unwind().await,
        Err(_) => Ok(Vec::new()),
    };
    let app = Rc::into_inner(app).expect("the body has ended");
    app.stop().await;
    if let Err(panic) = body {
        std::panic::resume_unwind(panic);
    }
    let problems = problems.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    assert!(problems.is_empty(), "the body passed, but `check` found:\n  {}", problems.join("\n  "));
}

/// What a test thread ends with.
type TestResult = Result<(), Failed>;
