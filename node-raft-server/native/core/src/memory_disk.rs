//! A disk for simulations: it keeps what was synced, and of what was not as much as a power cut leaves.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use raft::eraftpb::Entry;

use crate::disk::{Batch, Disk};
use crate::error::{Error, Result};
use crate::snapshot_file::SnapshotHead;

#[derive(Clone, Default)]
struct Contents {
    entries: BTreeMap<u64, Entry>,
    values: HashMap<&'static [u8], Vec<u8>>,
    snapshots: BTreeMap<u64, (SnapshotHead, Arc<[u8]>)>,
}

/// A write on its way to the platter.
#[derive(Clone)]
enum Write {
    Log {
        drop_before: Option<u64>,
        entries: Vec<Entry>,
        values: Vec<(&'static [u8], Vec<u8>)>,
    },
    Snapshot(SnapshotHead, Arc<[u8]>),
    Sweep(u64, usize),
}

impl Contents {
    fn take(&mut self, write: Write) {
        match write {
            Write::Log {
                drop_before,
                entries,
                values,
            } => {
                if let Some(index) = drop_before {
                    self.entries = self.entries.split_off(&index);
                }
                if let Some(first) = entries.first() {
                    self.entries.split_off(&first.index);
                }
                self.entries.extend(entries.into_iter().map(|e| (e.index, e)));
                self.values.extend(values);
            }
            Write::Snapshot(head, data) => {
                self.snapshots.insert(head.metadata.index, (head, data));
            }
            Write::Sweep(newest, older) => {
                let before = self.snapshots.range(..newest).rev().take(older);
                let spared: Vec<u64> = before.map(|(index, _)| *index).collect();
                self.snapshots
                    .retain(|index, _| *index == newest || spared.contains(index));
            }
        }
    }
}

#[derive(Default)]
struct State {
    /// As the running node reads it.
    seen: Contents,
    /// As a power cut would leave it at least.
    durable: Contents,
    /// In order; true where the writer waits for it to be durable.
    pending: VecDeque<(Write, bool)>,
    free: Option<u64>,
}

/// Memory that outlives the node which has it open. Writes become durable only by [`MemoryDisk::settle`].
#[derive(Clone, Default)]
pub struct MemoryDisk(Arc<Mutex<State>>);

impl MemoryDisk {
    /// Synced writes that are not durable yet.
    pub fn syncing(&self) -> usize {
        self.state().pending.iter().filter(|(_, sync)| *sync).count()
    }

    /// The oldest `syncs` synced writes have reached the platter, and whatever was written before them.
    pub fn settle(&self, syncs: usize) {
        let mut state = self.state();
        for _ in 0..syncs {
            while let Some((write, sync)) = state.pending.pop_front() {
                state.durable.take(write);
                if sync {
                    break;
                }
            }
        }
    }

    /// What a power cut leaves: of the writes that are not durable the oldest `kept` had come to the platter all the
    /// same, and the next one, torn, is nothing. Whoever has this disk open still writes to nowhere.
    pub fn crash(&self, kept: usize) -> MemoryDisk {
        let state = self.state();
        let mut durable = state.durable.clone();
        for (write, _) in state.pending.iter().take(kept) {
            durable.take(write.clone());
        }
        MemoryDisk(Arc::new(Mutex::new(State {
            seen: durable.clone(),
            durable,
            pending: VecDeque::new(),
            free: state.free,
        })))
    }

    /// Writes that are not durable yet.
    pub fn pending(&self) -> usize {
        self.state().pending.len()
    }

    /// So much room is left; none: there is no end to it.
    pub fn set_free(&self, bytes: Option<u64>) {
        self.state().free = bytes;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no panic holds it")
    }

    fn put(&self, write: Write, bytes: usize, sync: bool) -> Result<()> {
        let mut state = self.state();
        if state.free.is_some_and(|free| free < bytes as u64) {
            return Err(Error::full(self.path()));
        }
        state.seen.take(write.clone());
        state.pending.push_back((write, sync));
        Ok(())
    }
}

impl Disk for MemoryDisk {
    fn path(&self) -> &Path {
        Path::new("memory")
    }

    fn value(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.state().seen.values.get(key).cloned()
    }

    fn bounds(&self) -> Option<(u64, u64)> {
        let state = self.state();
        let first = *state.seen.entries.first_key_value()?.0;
        Some((first, *state.seen.entries.last_key_value()?.0))
    }

    fn entry(&self, index: u64) -> Result<Option<Entry>> {
        Ok(self.state().seen.entries.get(&index).cloned())
    }

    fn entries(&self, low: u64, high: u64, max: usize) -> Result<Vec<Entry>> {
        let state = self.state();
        let mut bytes = 0;
        let mut found: Vec<Entry> = Vec::new();
        for index in low..high {
            let missing = || Error::damaged(self.path(), format!("entry {index} is missing"));
            let entry = state.seen.entries.get(&index).ok_or_else(missing)?;
            bytes += entry.data.len();
            if !found.is_empty() && bytes > max {
                break;
            }
            found.push(entry.clone());
        }
        Ok(found)
    }

    fn write(&self, batch: Batch, sync: bool) -> Result<()> {
        let bytes = batch.entries.iter().map(|e| e.data.len() + 64).sum();
        let write = Write::Log {
            drop_before: batch.drop_before,
            entries: batch.entries.to_vec(),
            values: batch.values,
        };
        self.put(write, bytes, sync)
    }

    fn write_snapshot(&self, head: &SnapshotHead, data: &[u8]) -> Result<()> {
        self.put(Write::Snapshot(head.clone(), data.into()), data.len(), true)
    }

    fn read_snapshot(&self, index: u64) -> Result<(SnapshotHead, Vec<u8>)> {
        let state = self.state();
        let missing = || Error::damaged(self.path(), format!("snapshot {index} is missing"));
        let (head, data) = state.seen.snapshots.get(&index).ok_or_else(missing)?;
        Ok((head.clone(), data.to_vec()))
    }

    fn sweep_snapshots(&self, index: u64, older: usize) {
        let _ = self.put(Write::Sweep(index, older), 0, false);
    }

    fn purge(&self) {}

    fn free_bytes(&self) -> Option<u64> {
        self.state().free
    }
}
