//! Outgoing HTTP.

pub mod identity;
