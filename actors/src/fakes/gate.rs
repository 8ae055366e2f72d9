//! A download gate in memory.

use super::Controls;
use crate::{
    domain::ids::TokenHash,
    ports::{Admission, DownloadGate, PortFuture, Visit},
    runtime::lock,
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

struct Link {
    limit: usize,
    visits: Vec<Visit>,
}

#[derive(Default)]
struct Inner {
    controls: Controls,
    links: Mutex<HashMap<TokenHash, Link>>,
}

/// Clones share one gate.
#[derive(Clone, Default)]
pub struct MemoryGate(Arc<Inner>);

impl MemoryGate {
    /// Operations: `admit`.
    pub fn controls(&self) -> &Controls {
        &self.0.controls
    }

    /// Adds a link that admits `limit` downloads.
    pub fn add_link(&self, token: TokenHash, limit: usize) {
        lock(&self.0.links).insert(token, Link { limit, visits: Vec::new() });
    }

    /// Who was admitted so far, in their order.
    pub fn admitted(&self, token: TokenHash) -> Vec<Visit> {
        lock(&self.0.links).get(&token).map(|link| link.visits.clone()).unwrap_or_default()
    }
}

impl DownloadGate for MemoryGate {
    fn admit(&self, token: TokenHash, visits: Vec<Visit>) -> PortFuture<Admission> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            inner.controls.pass("admit").await?;
            let mut links = lock(&inner.links);
            let Some(link) = links.get_mut(&token) else { return Ok(Admission::Closed) };
            let admitted = visits.len().min(link.limit - link.visits.len());
            link.visits.extend(visits.into_iter().take(admitted));
            Ok(Admission::Admitted(admitted))
        })
    }
}
