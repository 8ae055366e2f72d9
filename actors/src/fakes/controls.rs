//! A test's switches on a fake port, each for one operation by its method's name.

use crate::{ports::PortError, runtime::lock};
use std::{
    collections::{HashMap, HashSet},
    sync::Mutex,
};
use tokio::sync::watch;

#[derive(Default)]
struct Gates {
    closed: HashSet<&'static str>,
    /// Calls that stand at a gate now.
    held: HashMap<&'static str, usize>,
}

/// The switches, and a count of the calls.
#[derive(Default)]
pub struct Controls {
    failing: Mutex<HashMap<&'static str, PortError>>,
    panics: Mutex<HashSet<&'static str>>,
    calls: Mutex<HashMap<&'static str, usize>>,
    gates: watch::Sender<Gates>,
}

impl Controls {
    /// Lets the operation fail from now on, until [`heal`](Self::heal).
    pub fn fail(&self, operation: &'static str, error: PortError) {
        lock(&self.failing).insert(operation, error);
    }

    /// Nothing fails any more.
    pub fn heal(&self) {
        lock(&self.failing).clear();
    }

    /// Lets the next call of the operation panic.
    pub fn panic_once(&self, operation: &'static str) {
        lock(&self.panics).insert(operation);
    }

    /// Holds calls of the operation, before they do anything, until [`open`](Self::open).
    pub fn close(&self, operation: &'static str) {
        self.gates.send_modify(|gates| {
            gates.closed.insert(operation);
        });
    }

    /// Lets the held calls go on, and later ones pass.
    pub fn open(&self, operation: &'static str) {
        self.gates.send_modify(|gates| {
            gates.closed.remove(operation);
        });
    }

    /// Waits until a call of the operation stands at its closed gate.
    pub async fn held(&self, operation: &'static str) {
        let mut gates = self.gates.subscribe();
        let held = gates.wait_for(|gates| gates.held.get(operation).is_some_and(|count| *count > 0));
        drop(held.await);
    }

    /// Calls of the operation so far, failed ones included.
    pub fn calls(&self, operation: &'static str) -> usize {
        lock(&self.calls).get(operation).copied().unwrap_or(0)
    }

    /// What a fake does first in every call.
    pub(super) async fn pass(&self, operation: &'static str) -> Result<(), PortError> {
        *lock(&self.calls).entry(operation).or_default() += 1;
        let mut gates = self.gates.subscribe();
        if gates.borrow().closed.contains(operation) {
            let _place = Place::take(self, operation);
            drop(gates.wait_for(|gates| !gates.closed.contains(operation)).await);
        }
        let panics = lock(&self.panics).remove(operation);
        assert!(!panics, "told to panic in {operation}");
        lock(&self.failing).get(operation).cloned().map_or(Ok(()), Err)
    }
}

/// A held call's place; given up also when the call is dropped.
struct Place<'a>(&'a Controls, &'static str);

impl<'a> Place<'a> {
    fn take(controls: &'a Controls, operation: &'static str) -> Self {
        controls.gates.send_modify(|gates| *gates.held.entry(operation).or_default() += 1);
        Self(controls, operation)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.gates.send_modify(|gates| {
            if let Some(count) = gates.held.get_mut(self.1) {
                *count -= 1;
            }
        });
    }
}
