//! A durable Raft node: raft-rs decides, raft-engine keeps the log, a thread of its own does both.
//!
//! [`Node`] is the whole of it, without threads: commands go in, events come out. [`Driver`] runs a node on a thread,
//! [`Stepped`] when it is told to.

mod appends;
mod cache;
mod cipher;
mod command;
mod delivery;
mod disk;
mod driver;
mod engine_disk;
mod error;
mod event;
mod log_check;
mod members;
mod memory_disk;
mod node;
mod pending;
mod propose;
mod raft_storage;
mod ready;
mod room;
mod snapshot_file;
mod snapshots;
mod sole_member;
mod status;
mod stepped;
mod storage;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use command::{Change, Command};
pub use driver::{Driver, Mailbox};
pub use error::{Code, Error, Result};
pub use event::{Committed, Event};
pub use members::Peer;
pub use memory_disk::MemoryDisk;
pub use node::{Node, Options, Place};
pub use status::{Group, Progress, Role, Status};
pub use stepped::{Flush, Stepped};
pub use storage::Start;
