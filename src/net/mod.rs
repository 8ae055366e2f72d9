//! HTTP that goes out. Knows addresses and bytes, no rows.

pub mod upload_host;
