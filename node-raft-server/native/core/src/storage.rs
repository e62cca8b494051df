//! The durable side of a node: what is kept of the log and the small state, and in which writes.

use std::path::Path;
use std::sync::Arc;

use protobuf::Message;
use raft::Storage;
use raft::eraftpb::{ConfState, Entry, HardState, SnapshotMetadata};

use crate::cache::EntryCache;
use crate::cipher::Cipher;
use crate::disk::{Batch, Disk};
use crate::engine_disk::EngineDisk;
use crate::error::{Code, Error, Result};
use crate::members::{Members, Peer};
use crate::snapshot_file::SnapshotHead;

const FORMAT: u32 = 1;
pub(crate) const KEY_IDENTITY: &[u8] = b"identity";
const KEY_HARD_STATE: &[u8] = b"hard_state";
const KEY_SNAPSHOT: &[u8] = b"snapshot";
const KEY_TRUNCATED: &[u8] = b"truncated";
const CACHE_BYTES: usize = 16 << 20;
const KEY_PROOF: &[u8] = b"creel";
/// A new cluster begins with an empty snapshot at this index, so that whoever joins learns the members by it.
pub const FIRST_INDEX: u64 = 1;

/// The log, the hard state and the newest snapshot of one node.
pub struct LogStorage {
    pub(crate) disk: Arc<dyn Disk>,
    cipher: Arc<Cipher>,
    pub(crate) hard_state: HardState,
    pub(crate) snapshot: SnapshotHead,
    /// Index and term of the entry before the first one kept.
    pub(crate) truncated: (u64, u64),
    pub(crate) last_index: u64,
    pub(crate) cache: EntryCache,
    /// How many snapshots before the newest are kept; at a start none is judged.
    pub(crate) keep_old: usize,
}

/// How a directory without a log begins.
pub enum Start {
    /// As one of the first members of a new group.
    Bootstrap(Vec<Peer>),
    /// As a node that an existing group takes in.
    Join(Vec<Peer>),
    /// Not at all: there must be a log.
    Existing,
}

impl LogStorage {
    /// Opens the log in `dir`, or begins one.
    pub fn open(dir: &Path, id: u64, start: &Start, key: Option<&[u8; 32]>) -> Result<Self> {
        let cipher = Arc::new(Cipher::new(key));
        let disk = EngineDisk::open(dir, cipher.clone())?;
        Self::on(Arc::new(disk), cipher, id, start)
    }

    /// Opens the log on that disk, or begins one.
    pub fn on(disk: Arc<dyn Disk>, cipher: Arc<Cipher>, id: u64, start: &Start) -> Result<Self> {
        let mut storage = LogStorage {
            disk,
            cipher,
            hard_state: HardState::default(),
            snapshot: SnapshotHead::default(),
            truncated: (0, 0),
            last_index: 0,
            cache: EntryCache::new(CACHE_BYTES),
            keep_old: usize::MAX,
        };
        match storage.disk.value(KEY_IDENTITY) {
            Some(identity) => {
                storage.check_identity(&identity, id)?;
                storage.load()?;
            }
            None => storage.begin(id, start)?,
        }
        storage
            .disk
            .sweep_snapshots(storage.snapshot.metadata.index, storage.keep_old);
        Ok(storage)
    }

    fn begin(&mut self, id: u64, start: &Start) -> Result<()> {
        let mut batch = Batch::default();
        batch.values.push((KEY_IDENTITY, self.identity(id)));
        match start {
            Start::Existing => {
                return Err(Error::new(
                    Code::InvalidParameter,
                    format!(
                        "{} holds no log, and neither bootstrap nor join was asked for",
                        self.disk.path().display()
                    ),
                ));
            }
            Start::Join(_) => {}
            Start::Bootstrap(peers) => {
                if !peers.iter().any(|p| p.id == id) {
                    return Err(Error::new(
                        Code::InvalidParameter,
                        "a node is one of the peers it begins with",
                    ));
                }
                let mut metadata = SnapshotMetadata {
                    index: FIRST_INDEX,
                    term: 1,
                    ..SnapshotMetadata::default()
                };
                metadata.set_conf_state(ConfState::from((peers.iter().map(|p| p.id), [])));
                self.snapshot = SnapshotHead {
                    metadata,
                    members: Members::of(peers),
                };
                self.hard_state.term = 1;
                self.hard_state.commit = FIRST_INDEX;
                self.truncated = (FIRST_INDEX, 1);
                self.last_index = FIRST_INDEX;
                self.put_state(&mut batch);
            }
        }
        self.disk.write(batch, true)
    }

    fn load(&mut self) -> Result<()> {
        let broken = |what: &str| Error::damaged(self.disk.path(), what);
        if let Some(bytes) = self.disk.value(KEY_HARD_STATE) {
            self.hard_state = HardState::parse_from_bytes(&bytes).map_err(|_| broken("the hard state"))?;
        }
        if let Some(bytes) = self.disk.value(KEY_SNAPSHOT) {
            self.snapshot = SnapshotHead::decode(&bytes).ok_or_else(|| broken("the snapshot's state"))?;
        }
        if let Some(bytes) = self.disk.value(KEY_TRUNCATED) {
            let bytes: [u8; 16] = bytes.try_into().map_err(|_| broken("the log's start"))?;
            let (index, term) = bytes.split_at(8);
            self.truncated = (
                u64::from_le_bytes(index.try_into().expect("8 bytes")),
                u64::from_le_bytes(term.try_into().expect("8 bytes")),
            );
        }
        let bounds = self.disk.bounds();
        if bounds.is_some_and(|(first, _)| first != self.truncated.0 + 1) {
            return Err(broken("entries at its start are missing"));
        }
        self.last_index = bounds.map_or(self.truncated.0, |(_, last)| last);
        let needed = self.hard_state.commit.max(self.snapshot.metadata.index);
        if self.last_index < needed {
            return Err(broken(&format!(
                "it ends at entry {}, but {needed} was committed",
                self.last_index
            )));
        }
        if self.snapshot.metadata.index > FIRST_INDEX {
            self.read_snapshot()?;
        }
        Ok(())
    }

    fn identity(&self, id: u64) -> Vec<u8> {
        let mut out = FORMAT.to_le_bytes().to_vec();
        out.extend_from_slice(&id.to_le_bytes());
        out.push(self.cipher.enabled().into());
        out.extend_from_slice(&self.cipher.seal(KEY_IDENTITY, KEY_PROOF));
        out
    }

    fn check_identity(&self, found: &[u8], id: u64) -> Result<()> {
        let (Some(format), Some(own), Some(encrypted), Some(proof)) =
            (found.get(..4), found.get(4..12), found.get(12), found.get(13..))
        else {
            return Err(Error::damaged(self.disk.path(), "the node's identity"));
        };
        let format = u32::from_le_bytes(format.try_into().expect("4 bytes"));
        if format > FORMAT {
            return Err(Error::new(
                Code::DataFormatNewer,
                format!(
                    "{} was written by a newer Creel (format {format}; this one knows {FORMAT})",
                    self.disk.path().display()
                ),
            ));
        }
        let own = u64::from_le_bytes(own.try_into().expect("8 bytes"));
        if own != id {
            return Err(Error::new(
                Code::InvalidParameter,
                format!(
                    "{} is the log of node {own}, not of node {id}",
                    self.disk.path().display()
                ),
            ));
        }
        let encrypted = *encrypted == 1;
        if encrypted != self.cipher.enabled()
            || self.cipher.open(KEY_IDENTITY, proof).as_deref() != Some(KEY_PROOF)
        {
            let text = if encrypted {
                "is encrypted with another key"
            } else {
                "is not encrypted, but a key was given"
            };
            return Err(Error::new(
                Code::InvalidParameter,
                format!("{} {text}", self.disk.path().display()),
            ));
        }
        Ok(())
    }

    /// Makes entries and the hard state durable; what was there from the first entry's index on is replaced.
    pub fn append(&mut self, entries: &[Entry], hard_state: Option<&HardState>, sync: bool) -> Result<()> {
        let sealed = self.seal_entries(entries);
        let state = hard_state.unwrap_or(&self.hard_state);
        let batch = Batch {
            drop_before: None,
            entries: sealed.as_deref().unwrap_or(entries),
            values: vec![(KEY_HARD_STATE, bytes_of(state))],
        };
        self.disk.write(batch, sync)?;
        if let Some(state) = hard_state {
            self.hard_state = state.clone();
        }
        if let Some(last) = entries.last() {
            self.last_index = last.index;
            self.cache.append(entries);
        }
        Ok(())
    }

    /// Notes how far entries are committed. It is written with whatever is written next: what is lost is learnt again.
    pub fn set_commit(&mut self, index: u64) {
        self.hard_state.commit = index;
    }

    /// Writes the state as it is, and with it how far entries are committed.
    pub fn write_state(&mut self, sync: bool) -> Result<()> {
        self.append(&[], None, sync)
    }

    /// Takes over a leader's snapshot: the file first, then, in one write, the log begins anew behind it.
    pub fn install(&mut self, head: SnapshotHead, data: &[u8], hard_state: &HardState) -> Result<()> {
        let index = head.metadata.index;
        if index > FIRST_INDEX {
            self.disk.write_snapshot(&head, data)?;
        }
        let mut batch = Batch {
            drop_before: Some(self.last_index + 1),
            ..Batch::default()
        };
        let before = (self.truncated, self.snapshot.clone(), self.hard_state.clone());
        self.truncated = (index, head.metadata.term);
        self.snapshot = head;
        self.hard_state = hard_state.clone();
        self.put_state(&mut batch);
        if let Err(e) = self.disk.write(batch, true) {
            (self.truncated, self.snapshot, self.hard_state) = before;
            return Err(e);
        }
        self.last_index = index;
        self.cache.clear();
        self.disk.sweep_snapshots(index, self.keep_old);
        Ok(())
    }

    /// Refers to a snapshot whose file is written, and drops the log before it, but for the newest `tail` entries.
    pub fn compact(&mut self, head: SnapshotHead, tail: u64) -> Result<()> {
        let index = head.metadata.index;
        let cut = index.saturating_sub(tail).max(self.truncated.0);
        let term = self
            .term(cut)
            .map_err(|e| Error::new(Code::Internal, e.to_string()))?;
        let mut batch = Batch::default();
        let before = (self.truncated, self.snapshot.clone());
        self.truncated = (cut, term);
        self.snapshot = head;
        if cut > before.0.0 {
            batch.drop_before = Some(cut + 1);
        }
        self.put_state(&mut batch);
        if let Err(e) = self.disk.write(batch, true) {
            (self.truncated, self.snapshot) = before;
            return Err(e);
        }
        self.disk.sweep_snapshots(index, self.keep_old);
        Ok(())
    }

    /// The newest snapshot's data, read and checked; empty for the one a cluster begins with.
    pub fn read_snapshot(&self) -> Result<Vec<u8>> {
        let index = self.snapshot.metadata.index;
        if index <= FIRST_INDEX {
            return Ok(Vec::new());
        }
        let (head, data) = self.disk.read_snapshot(index)?;
        if head != self.snapshot {
            return Err(Error::damaged(
                self.disk.path(),
                "snapshot and log do not belong together",
            ));
        }
        Ok(data)
    }

    /// The newest snapshot's place and members.
    pub fn head(&self) -> &SnapshotHead {
        &self.snapshot
    }

    /// The persisted hard state.
    pub fn hard_state(&self) -> &HardState {
        &self.hard_state
    }

    /// What it is kept on; another thread may write a snapshot to it meanwhile.
    pub fn disk(&self) -> Arc<dyn Disk> {
        self.disk.clone()
    }

    fn seal_entries(&self, entries: &[Entry]) -> Option<Vec<Entry>> {
        if !self.cipher.enabled() {
            return None;
        }
        let seal = |entry: &Entry| {
            let mut sealed = entry.clone();
            sealed.data = self.cipher.seal(&place(entry), &entry.data).into();
            sealed.context = self.cipher.seal(&place(entry), &entry.context).into();
            sealed
        };
        Some(entries.iter().map(seal).collect())
    }

    fn open_entry(&self, mut entry: Entry) -> Result<Entry> {
        if self.cipher.enabled() {
            let place = place(&entry);
            let broken = || {
                Error::damaged(
                    self.disk.path(),
                    format!("entry {} cannot be decrypted", entry.index),
                )
            };
            entry.data = self.cipher.open(&place, &entry.data).ok_or_else(broken)?.into();
            entry.context = self
                .cipher
                .open(&place, &entry.context)
                .ok_or_else(broken)?
                .into();
        }
        Ok(entry)
    }

    /// Entries `low..high` from memory or disk, at least one, at most about `max` bytes.
    pub fn read(&self, low: u64, high: u64, max: u64) -> Result<Vec<Entry>> {
        if let Some(found) = self.cache.range(low, high, max) {
            return Ok(found);
        }
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        let found = self.disk.entries(low, high, max)?;
        found.into_iter().map(|e| self.open_entry(e)).collect()
    }

    fn put_state(&self, batch: &mut Batch) {
        let (index, term) = self.truncated;
        let truncated = [index.to_le_bytes(), term.to_le_bytes()].concat();
        batch.values.extend([
            (KEY_TRUNCATED, truncated),
            (KEY_SNAPSHOT, self.snapshot.encode()),
            (KEY_HARD_STATE, bytes_of(&self.hard_state)),
        ]);
    }
}

fn bytes_of(message: &impl Message) -> Vec<u8> {
    message.write_to_bytes().expect("messages encode")
}

fn place(entry: &Entry) -> [u8; 17] {
    let mut place = [b'e'; 17];
    place[1..9].copy_from_slice(&entry.index.to_le_bytes());
    place[9..].copy_from_slice(&entry.term.to_le_bytes());
    place
}
