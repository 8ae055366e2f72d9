//! Renditions by the real render process: every format, hostile files, crashes, and the locks.
//!
//! What the machine lacks (a kernel with Landlock, ffmpeg, pdftoppm) is said on standard error as NOT TESTED.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod formats;
mod hostile;
mod process;
mod sandbox;
mod support;
mod tools;
