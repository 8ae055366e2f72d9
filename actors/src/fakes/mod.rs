//! The actors' ports in memory, told by a test when to fail, when to wait and when to panic.

mod controls;
mod custodian;
mod gate;
mod host;
mod jobs;
mod journal;
mod ledger;

pub use controls::Controls;
pub use custodian::MemoryCustodian;
pub use gate::MemoryGate;
pub use host::{MemoryHost, MemoryUpload, Step};
pub use jobs::{MemoryJobs, Stage};
pub use journal::MemoryJournal;
pub use ledger::MemoryLedger;
