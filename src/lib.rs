//! The Hack Club CDN server. `main` is the command line; `startup` puts the house together.

pub mod blob;
pub mod config;
pub mod db;
pub mod http;
mod media;
mod net;
pub mod service;
pub mod startup;
