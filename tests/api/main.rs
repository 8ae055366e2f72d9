//! Black-box tests over real HTTP: one module for each route file, and every test on every engine.
//!
//! `cargo test --test api` runs them on SQLite, and on Postgres where its binaries are found.
//! A test's name is `module::sentence::engine`, so `cargo test --test api -- content:: ::sqlite`
//! runs a part of them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that can't go on has failed, and the panic says where"
)]

#[macro_use]
mod harness;

mod access;
mod activity;
mod admin;
mod analytics;
mod api_keys;
mod archives;
mod audit;
mod auth;
mod auth_password;
mod auth_sessions;
mod bulk;
mod concurrency;
mod content;
mod content_ranges;
mod cross_site;
mod dashboard;
mod errors;
mod errors_json;
mod events;
mod fetching;
mod files_edit;
mod files_filters;
mod files_list;
mod files_register;
mod files_register_limits;
mod files_upload;
mod files_upload_limits;
mod folders;
mod folders_edit;
mod fuzz;
mod guesses;
mod model;
mod model_chance;
mod model_tree;
mod observability;
mod processing;
mod purge;
mod races;
mod rate_limits;
mod recents;
mod roles;
mod search;
mod search_scale;
mod sessions;
mod share_archives;
mod share_levels;
mod share_limits;
mod share_links;
mod share_pages;
mod share_people;
mod share_pictures;
mod share_requests;
mod share_trash;
mod shares;
mod slack;
mod slack_refusals;
mod slow_clients;
mod stars;
mod structure;
mod thumbnails;
mod trash;
mod trash_places;
mod upload_0x0;
mod upload_0x0_faults;
mod upload_0x0_local;
mod version_limits;
mod version_links;
mod versions;

fn main() -> std::process::ExitCode {
    harness::run()
}
