//! The domain of the CDN and its supervised actors.

pub mod accounts;
pub mod domain;
#[cfg(feature = "testsuite")]
pub mod fakes;
pub mod janitor;
pub mod ports;
pub mod runtime;
pub mod shares;
