//! Renditions by the real render process: every format, hostile files, crashes, and the locks.
//!
//! What the machine lacks (a kernel with Landlock, ffmpeg, pdftoppm) is left out; `tests/untested.rs` says so.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod formats;
mod hostile;
mod png_kinds;
mod process;
mod sandbox;
mod support;
mod tools;
