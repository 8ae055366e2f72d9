//! Outgoing HTTP. Knows no rows and no requests of ours.

pub mod address;
mod fetch;
pub mod identity;
mod resolve;
pub mod upload_host;

pub use fetch::{FetchError, Fetcher};
