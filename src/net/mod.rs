//! Outgoing HTTP. Knows no rows and no requests of ours.

pub mod address;
mod fetch;
pub mod identity;
mod resolve;

pub use fetch::{FetchError, Fetcher};
