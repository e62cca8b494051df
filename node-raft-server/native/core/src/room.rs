//! What a node does when its disk is full, or nearly.

use raft::{Ready, StateRole};

use crate::error::Error;
use crate::node::Node;

/// The log engine allocates this much at a time, and a little for a new file.
const ROOM: u64 = 3 << 20;

impl Node {
    /// With a disk about to be full, the node hands the lead to one that can write.
    pub(crate) fn look_at_disk(&mut self) {
        let free = self.raw.store().disk().free_bytes();
        self.disk_full = free.is_some_and(|free| free < self.options.min_free_bytes);
        if !self.disk_full
            || self.raw.raft.state != StateRole::Leader
            || self.raw.raft.lead_transferee.is_some()
        {
            return;
        }
        let own = self.options.id;
        let voters = self.status_voters();
        let best = self
            .raw
            .raft
            .prs()
            .iter()
            .filter(|(id, _)| **id != own && voters.contains(id) && self.active(**id))
            .max_by_key(|(_, p)| p.matched)
            .map(|(id, _)| *id);
        if let Some(best) = best {
            self.raw.transfer_leader(best);
        }
    }

    /// Whether there is room for what could not be written: each try costs the log engine a file.
    pub(crate) fn has_room(&self, ready: &Ready) -> bool {
        let bytes: usize =
            ready.entries().iter().map(|e| e.data.len()).sum::<usize>() + ready.snapshot().data.len();
        self.raw
            .store()
            .disk()
            .free_bytes()
            .is_none_or(|free| free > 2 * bytes as u64 + ROOM)
    }

    pub(crate) fn full(&self) -> Error {
        Error::full(self.raw.store().disk().path())
    }
}
