//! Resolves a name once and lets through nothing unless all of its addresses are global, so that the connection goes
//! to an address that was checked.

use super::address::is_global;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::SocketAddr;

/// The system's resolver behind the check.
pub struct CheckedResolver {
    pub allow_private: bool,
}

/// Kept out of every answer: which names lead inside is nobody's business.
#[derive(Debug, thiserror::Error)]
#[error("the name leads to an address that is not global")]
struct NotGlobal;

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_private = self.allow_private;
        Box::pin(async move {
            // The port is put in by the connector.
            let addresses: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            // One bad address spoils the name: the connector may try any of them.
            if !allow_private && addresses.iter().any(|address| !is_global(address.ip())) {
                return Err(NotGlobal.into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}
