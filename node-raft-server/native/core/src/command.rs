//! What a node is asked to do.

use crate::error::Result;
use crate::members::Peer;

/// A change of the group's members.
#[derive(Clone, Debug)]
pub enum Change {
    /// Takes a node in that receives the log but has no vote; or changes a learner's address.
    AddLearner(Peer),
    /// Gives a node its vote; or changes a voter's address.
    AddVoter(Peer),
    /// Takes a node out.
    Remove(u64),
}

/// A command; `id` comes back in the event that answers it.
#[derive(Debug)]
pub enum Command {
    Tick,
    Propose {
        id: u64,
        data: Vec<u8>,
    },
    Change {
        id: u64,
        change: Change,
    },
    ReadIndex {
        id: u64,
    },
    TransferLeader {
        id: u64,
        to: u64,
    },
    Campaign,
    Receive {
        from: u64,
        message: Vec<u8>,
    },
    Unreachable {
        peer: u64,
    },
    SnapshotSent {
        peer: u64,
        ok: bool,
    },
    /// The consumer has taken that many bytes of the committed stream.
    Consumed {
        bytes: usize,
    },
    Snapshot {
        id: u64,
        index: u64,
        data: Vec<u8>,
        /// How many snapshots before it are kept.
        keep_old: usize,
    },
    /// From the thread that writes a snapshot's file.
    SnapshotWritten {
        id: u64,
        index: u64,
        result: Result<()>,
    },
    Stop,
}
