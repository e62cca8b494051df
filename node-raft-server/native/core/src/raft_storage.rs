//! The log as raft-rs reads it, and the shape of a snapshot's message.

use raft::eraftpb::{Entry, Snapshot};
use raft::{GetEntriesContext, RaftState, Storage, StorageError};

use crate::error::Error;
use crate::members::Members;
use crate::snapshot_file::SnapshotHead;
use crate::storage::LogStorage;

/// A snapshot's message carries its members before its data.
pub fn envelope(members: &Members, data: &[u8]) -> Vec<u8> {
    let members = members.encode();
    let mut out = Vec::with_capacity(4 + members.len() + data.len());
    out.extend_from_slice(&(members.len() as u32).to_le_bytes());
    out.extend_from_slice(&members);
    out.extend_from_slice(data);
    out
}

/// Takes a snapshot message apart.
pub fn open_envelope(snapshot: &Snapshot) -> Option<(SnapshotHead, &[u8])> {
    let (len, rest) = snapshot.data.split_at_checked(4)?;
    let len = u32::from_le_bytes(len.try_into().ok()?) as usize;
    let (members, data) = rest.split_at_checked(len)?;
    let head = SnapshotHead {
        metadata: snapshot.get_metadata().clone(),
        members: Members::decode(members)?,
    };
    Some((head, data))
}

fn store_error(error: Error) -> raft::Error {
    raft::Error::Store(StorageError::Other(Box::new(error)))
}

impl Storage for LogStorage {
    fn initial_state(&self) -> raft::Result<RaftState> {
        let conf_state = self.snapshot.metadata.get_conf_state().clone();
        Ok(RaftState::new(self.hard_state.clone(), conf_state))
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _context: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        if low <= self.truncated.0 {
            return Err(raft::Error::Store(StorageError::Compacted));
        }
        if high > self.last_index + 1 {
            return Err(raft::Error::Store(StorageError::Unavailable));
        }
        self.read(low, high, max_size.into().unwrap_or(u64::MAX))
            .map_err(store_error)
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        if index == self.truncated.0 {
            return Ok(self.truncated.1);
        }
        if index < self.truncated.0 {
            return Err(raft::Error::Store(StorageError::Compacted));
        }
        if index > self.last_index {
            return Err(raft::Error::Store(StorageError::Unavailable));
        }
        if let Some(entry) = self.cache.get(index) {
            return Ok(entry.term);
        }
        if index == self.snapshot.metadata.index {
            return Ok(self.snapshot.metadata.term);
        }
        match self.disk.entry(index).map_err(store_error)? {
            Some(entry) => Ok(entry.term),
            None => Err(raft::Error::Store(StorageError::Unavailable)),
        }
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.truncated.0 + 1)
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.last_index)
    }

    fn snapshot(&self, request_index: u64, to: u64) -> raft::Result<Snapshot> {
        let not_now = || raft::Error::Store(StorageError::SnapshotTemporarilyUnavailable);
        if self.snapshot.metadata.index < request_index.max(1) {
            return Err(not_now());
        }
        // A snapshot that went bad on this disk cannot be sent; another leader may have a good one.
        let data = self.read_snapshot().map_err(|_| not_now())?;
        let mut snapshot = Snapshot::default();
        let mut metadata = self.snapshot.metadata.clone();
        let conf = metadata.mut_conf_state();
        let named = [
            &conf.voters,
            &conf.learners,
            &conf.voters_outgoing,
            &conf.learners_next,
        ];
        // A node that was taken in after the snapshot finds itself in it, or it would refuse it. As a learner it counts
        // for nothing, and the entry behind the snapshot that takes it in changes nothing any more.
        if !named.iter().any(|ids| ids.contains(&to)) {
            conf.learners.push(to);
        }
        snapshot.set_metadata(metadata);
        snapshot.data = envelope(&self.snapshot.members, &data).into();
        Ok(snapshot)
    }
}
