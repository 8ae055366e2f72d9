//! A host for uploads in memory, of which each upload brings its own script.

use super::Controls;
use crate::{
    ports::{AttemptError, AttemptFuture, HostAnswer, HostUpload},
    runtime::lock,
};
use std::{
    collections::VecDeque,
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};

/// What one attempt comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// An answer with this status.
    Answer(u16),
    Fail(AttemptError),
    Panic,
    /// Never comes to an end.
    Hang,
}

#[derive(Default)]
struct Inner {
    controls: Controls,
    /// Attempts under way now, and the most there ever were.
    inside: Mutex<(usize, usize)>,
}

/// Clones share one host.
#[derive(Clone, Default)]
pub struct MemoryHost(Arc<Inner>);

impl MemoryHost {
    /// Operations: `prepare`, `attempt`.
    pub fn controls(&self) -> &Controls {
        &self.0.controls
    }

    /// Attempts under way.
    pub fn inside(&self) -> usize {
        lock(&self.0.inside).0
    }

    /// The most attempts that were ever under way at the same time.
    pub fn peak(&self) -> usize {
        lock(&self.0.inside).1
    }

    /// An upload whose attempts go by the script; past its end they are answered 200.
    pub fn upload(&self, size: u64, script: impl IntoIterator<Item = Step>) -> Arc<MemoryUpload> {
        let script = Mutex::new(script.into_iter().collect());
        Arc::new(MemoryUpload { host: self.clone(), size, script, limits: Mutex::default() })
    }
}

/// One upload to the host in memory.
pub struct MemoryUpload {
    host: MemoryHost,
    size: u64,
    script: Mutex<VecDeque<Step>>,
    limits: Mutex<Vec<Duration>>,
}

impl MemoryUpload {
    /// The time limits of the attempts so far.
    pub fn limits(&self) -> Vec<Duration> {
        lock(&self.limits).clone()
    }

    pub fn attempts(&self) -> usize {
        lock(&self.limits).len()
    }
}

/// An attempt under way; given up also when the attempt is dropped.
struct Inside(MemoryHost);

impl Inside {
    fn enter(host: &MemoryHost) -> Self {
        let mut inside = lock(&host.0.inside);
        inside.0 += 1;
        inside.1 = inside.1.max(inside.0);
        drop(inside);
        Self(host.clone())
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        lock(&self.0.0.inside).0 -= 1;
    }
}

async fn pass(host: &MemoryHost, operation: &'static str) -> Result<(), AttemptError> {
    host.0.controls.pass(operation).await.map_err(|error| AttemptError::Source(error.to_string()))
}

impl HostUpload for MemoryUpload {
    fn prepare(&self, _: u32) -> AttemptFuture<u64> {
        let (host, size) = (self.host.clone(), self.size);
        Box::pin(async move { pass(&host, "prepare").await.map(|()| size) })
    }

    fn attempt(&self, limit: Duration) -> AttemptFuture<HostAnswer> {
        lock(&self.limits).push(limit);
        let host = self.host.clone();
        let step = lock(&self.script).pop_front().unwrap_or(Step::Answer(200));
        Box::pin(async move {
            let _inside = Inside::enter(&host);
            pass(&host, "attempt").await?;
            match step {
                Step::Answer(status) => {
                    let body = b"https://host.example/a.txt\n".to_vec();
                    Ok(HostAnswer { status, content_type: None, expires: None, token: None, body })
                }
                Step::Fail(error) => Err(error),
                Step::Panic => panic!("told to panic"),
                Step::Hang => pending().await,
            }
        })
    }
}
