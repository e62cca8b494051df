//! What a node tells.

use crate::error::Error;
use crate::members::Peer;
use crate::status::Status;

/// One piece of the committed stream, in the order of the log.
#[derive(Debug, Clone)]
pub enum Committed {
    Entry {
        index: u64,
        term: u64,
        data: Vec<u8>,
    },
    Membership {
        index: u64,
        voters: Vec<u64>,
        learners: Vec<u64>,
        peers: Vec<Peer>,
    },
    /// Replaces the state machine's state.
    Snapshot {
        index: u64,
        term: u64,
        data: Vec<u8>,
    },
}

impl Committed {
    /// What it weighs in the window of the stream.
    pub fn bytes(&self) -> usize {
        match self {
            Committed::Entry { data, .. } | Committed::Snapshot { data, .. } => data.len() + 64,
            Committed::Membership { .. } => 64,
        }
    }
}

/// An event.
#[derive(Debug)]
pub enum Event {
    /// A message for another node; `address` is empty where this node does not know it.
    Send {
        to: u64,
        address: String,
        message: Vec<u8>,
        snapshot: bool,
    },
    Committed(Committed),
    /// The committed stream up to that index was handed out; entries without content are in no other event.
    Reached {
        index: u64,
    },
    /// A proposal or change is committed at that index, or another command is done.
    Done {
        id: u64,
        index: u64,
    },
    /// A linearizable read may be answered once that index is applied.
    ReadReady {
        id: u64,
        index: u64,
    },
    Failed {
        id: u64,
        error: Error,
    },
    Status {
        status: Box<Status>,
        /// Voters, learners or addresses are others than in the status before.
        members_changed: bool,
    },
    /// The node can go on no more: its disk failed.
    Fatal(Error),
    Stopped,
}
