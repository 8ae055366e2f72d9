//! The Hack Club CDN server. `main` is the command line; `startup` puts the house together.

pub mod blob;
pub mod config;
pub mod db;
pub mod http;
mod net;
pub mod media;
pub mod service;
pub mod startup;
