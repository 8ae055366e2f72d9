//! An access journal in memory.

use super::Controls;
use crate::{
    ports::{AccessEvent, AccessJournal, PortFuture},
    runtime::lock,
};
use std::sync::{Arc, Mutex};

#[derive(Default)]
struct Inner {
    controls: Controls,
    written: Mutex<Vec<AccessEvent>>,
}

/// Clones share one journal.
#[derive(Clone, Default)]
pub struct MemoryJournal(Arc<Inner>);

impl MemoryJournal {
    /// Operations: `append`.
    pub fn controls(&self) -> &Controls {
        &self.0.controls
    }

    /// What was written so far, oldest first.
    pub fn written(&self) -> Vec<AccessEvent> {
        lock(&self.0.written).clone()
    }
}

impl AccessJournal for MemoryJournal {
    fn append(&self, events: Vec<AccessEvent>) -> PortFuture<()> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            inner.controls.pass("append").await?;
            lock(&inner.written).extend(events);
            Ok(())
        })
    }
}
