//! Outgoing HTTP.

pub mod identity;
pub mod upload_host;
