//! The real disk: raft-engine for the log and the small state, a file for each snapshot.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use raft::eraftpb::Entry;
use raft_engine::{Command, Config, Engine, LogBatch, MessageExt, ReadableSize, RecoveryMode};

use crate::cipher::Cipher;
use crate::disk::{Batch, Disk};
use crate::error::{Error, Result};
use crate::log_check;
use crate::snapshot_file::{self, SnapshotHead};

const GROUP: u64 = 1;

struct EntryCodec;

impl MessageExt for EntryCodec {
    type Entry = Entry;
    fn index(entry: &Entry) -> u64 {
        entry.index
    }
}

/// A directory with a log in it.
pub struct EngineDisk {
    dir: PathBuf,
    log_dir: PathBuf,
    engine: Engine,
    cipher: Arc<Cipher>,
}

impl EngineDisk {
    /// Opens the log in `dir`, every file checked, or makes an empty one.
    pub fn open(dir: &Path, cipher: Arc<Cipher>) -> Result<Self> {
        let log_dir = dir.join("log");
        fs::create_dir_all(&log_dir).map_err(|e| Error::io(&log_dir, &e))?;
        log_check::verify(&log_dir)?;
        let config = Config {
            dir: log_dir.to_string_lossy().into_owned(),
            recovery_mode: RecoveryMode::TolerateTailCorruption,
            recovery_threads: 2,
            batch_compression_threshold: ReadableSize::kb(if cipher.enabled() { 0 } else { 8 }),
            target_file_size: ReadableSize::mb(16),
            purge_threshold: ReadableSize::mb(64),
            enable_log_recycle: false,
            ..Config::default()
        };
        let engine = Engine::open(config).map_err(|e| Error::engine(&log_dir, &e))?;
        Ok(EngineDisk {
            dir: dir.to_path_buf(),
            log_dir,
            engine,
            cipher,
        })
    }

    fn checked<T>(&self, result: raft_engine::Result<T>) -> Result<T> {
        result.map_err(|e| Error::engine(&self.log_dir, &e))
    }
}

impl Disk for EngineDisk {
    fn path(&self) -> &Path {
        &self.log_dir
    }

    fn value(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.engine.get(GROUP, key)
    }

    fn bounds(&self) -> Option<(u64, u64)> {
        Some((self.engine.first_index(GROUP)?, self.engine.last_index(GROUP)?))
    }

    fn entry(&self, index: u64) -> Result<Option<Entry>> {
        self.checked(self.engine.get_entry::<EntryCodec>(GROUP, index))
    }

    fn entries(&self, low: u64, high: u64, max: usize) -> Result<Vec<Entry>> {
        let mut found = Vec::new();
        self.checked(
            self.engine
                .fetch_entries_to::<EntryCodec>(GROUP, low, high, Some(max), &mut found),
        )?;
        Ok(found)
    }

    fn write(&self, batch: Batch, sync: bool) -> Result<()> {
        let mut log = LogBatch::default();
        if let Some(index) = batch.drop_before {
            log.add_command(GROUP, Command::Compact { index });
        }
        self.checked(log.add_entries::<EntryCodec>(GROUP, batch.entries))?;
        for (key, value) in batch.values {
            self.checked(log.put(GROUP, key.to_vec(), value))?;
        }
        self.checked(self.engine.write(&mut log, sync)).map(|_| ())
    }

    fn write_snapshot(&self, head: &SnapshotHead, data: &[u8]) -> Result<()> {
        snapshot_file::write(&self.dir, head, data, &self.cipher)
    }

    fn read_snapshot(&self, index: u64) -> Result<(SnapshotHead, Vec<u8>)> {
        snapshot_file::read(&snapshot_file::path(&self.dir, index), index, &self.cipher)
    }

    fn sweep_snapshots(&self, index: u64, older: usize) {
        snapshot_file::sweep(&self.dir, index, older);
    }

    fn purge(&self) {
        // Whatever it could not do is done next time.
        let _ = self.engine.purge_expired_files();
    }

    fn free_bytes(&self) -> Option<u64> {
        let path = std::ffi::CString::new(self.dir.as_os_str().as_bytes()).ok()?;
        let mut stat = std::mem::MaybeUninit::<libc::statvfs>::uninit();
        // SAFETY: the path ends in a zero byte and the result is read only when the call filled it.
        let stat =
            unsafe { (libc::statvfs(path.as_ptr(), stat.as_mut_ptr()) == 0).then(|| stat.assume_init()) }?;
        Some(stat.f_bavail * stat.f_frsize)
    }
}
