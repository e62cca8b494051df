//! What a log is kept on, as a port: files in production, memory in a simulation.

use std::path::Path;

use raft::eraftpb::Entry;

use crate::error::Result;
use crate::snapshot_file::SnapshotHead;

/// One write: all of it is there afterwards, or nothing.
#[derive(Default)]
pub struct Batch<'a> {
    /// Entries before this index go, first of all.
    pub drop_before: Option<u64>,
    /// They take the place of what is there from the first one's index on.
    pub entries: &'a [Entry],
    pub values: Vec<(&'static [u8], Vec<u8>)>,
}

/// A log of entries, a few named values and the newest snapshot.
pub trait Disk: Send + Sync {
    /// Its name in errors.
    fn path(&self) -> &Path;
    fn value(&self, key: &[u8]) -> Option<Vec<u8>>;
    /// Indexes of the first and the last entry.
    fn bounds(&self) -> Option<(u64, u64)>;
    fn entry(&self, index: u64) -> Result<Option<Entry>>;
    /// Entries `low..high`, at least one, at most about `max` bytes.
    fn entries(&self, low: u64, high: u64, max: usize) -> Result<Vec<Entry>>;
    /// With `sync` it returns when the write, and all before it, would survive a power cut.
    fn write(&self, batch: Batch, sync: bool) -> Result<()>;
    /// Returns when the snapshot would survive a power cut.
    fn write_snapshot(&self, head: &SnapshotHead, data: &[u8]) -> Result<()>;
    fn read_snapshot(&self, index: u64) -> Result<(SnapshotHead, Vec<u8>)>;
    /// Drops the snapshots of other indexes, but for the newest `older` before that one, and what an interrupted write
    /// left.
    fn sweep_snapshots(&self, index: u64, older: usize);
    /// Frees the room of what was dropped.
    fn purge(&self);
    /// None where nobody knows.
    fn free_bytes(&self) -> Option<u64>;
}
