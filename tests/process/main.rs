//! Tests of the server as a process: the binary, started, killed, stopped and asked from outside.
//!
//! Each test has a folder of its own. `CDN_TEST_ENGINES=sqlite,postgres` makes a missing Postgres an error;
//! without the variable, tests of Postgres say on standard error that they were left out.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod cli;
mod cli_users;
mod crashes;
mod crashes_random;
mod database_away;
mod disk_full;
mod events;
mod first_start;
mod janitor;
mod limits;
mod s3;
mod share_pages;
mod shares;
mod shutdown;
mod support;
mod thumbnails;
mod upload_0x0;
