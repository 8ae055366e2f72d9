//! The actors' ports in memory, told by a test when to fail, when to wait and when to panic.

mod controls;
mod custodian;
mod gate;
mod journal;
mod ledger;

pub use controls::Controls;
pub use custodian::MemoryCustodian;
pub use gate::MemoryGate;
pub use journal::MemoryJournal;
pub use ledger::MemoryLedger;
