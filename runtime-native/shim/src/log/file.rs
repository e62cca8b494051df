//! The files of a log: one that is written and, after rotations, older ones.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use flate2::{Compression, GzBuilder};

use crate::exit::ignore_missing;
use crate::helper::Helper;
use crate::protocol::{Failure, FailureKind, LogConfig, LogDriver};

use super::local;

/// How long the end of a container waits for a file that is being compressed.
const LAST: Duration = Duration::from_secs(1);
/// How long a rotation waits for the one before it, once the file has twice its size.
const SLOW: Duration = Duration::from_secs(10);

/// What a file is, whatever its name is after rotations: its inode and when that was made. A compressed file has it as
/// the comment of its gzip header.
pub fn identity(file: &File) -> io::Result<String> {
    let metadata = file.metadata()?;
    let made = metadata
        .created()
        .ok()
        .and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let made = made.map_or(0, |since| since.as_nanos());
    Ok(format!("{:x}-{made:x}", metadata.ino()))
}

/// The name of the rotated file `number`, 1 being the newest.
pub fn rotated(log: &Path, number: u32) -> PathBuf {
    let mut path = log.to_path_buf().into_os_string();
    path.push(format!(".{number}"));
    path.into()
}

/// The name of a file once it is compressed.
pub fn compressed(path: &Path) -> PathBuf {
    let mut path = path.to_path_buf().into_os_string();
    path.push(".gz");
    path.into()
}

/// The file that is written. After each failure it holds whole entries.
pub(super) struct LogFile {
    config: LogConfig,
    file: Option<File>,
    size: u64,
    compressing: Option<Helper>,
}

impl LogFile {
    pub(super) fn open(config: LogConfig) -> io::Result<Self> {
        let mut log = Self {
            config,
            file: None,
            size: 0,
            compressing: None,
        };
        log.reopen()?;
        Ok(log)
    }

    pub(super) fn descriptor(&self) -> Option<RawFd> {
        self.file.as_ref().map(AsRawFd::as_raw_fd)
    }

    /// Whether a new file should be begun: it would hold `after` bytes more, and `before` without the last entry.
    pub(super) fn full(&self, after: usize, before: usize) -> bool {
        let after = self.size + after as u64;
        let max = self.config.max_size;
        if max == 0 || after <= max || self.size + before as u64 == 0 {
            return false;
        }
        // The rotation before is not over. Output waits for it only if it is far ahead.
        let limit = if after > 2 * max { SLOW } else { Duration::ZERO };
        self.compressing
            .as_ref()
            .is_none_or(|helper| helper.finished(limit))
    }

    /// Writes whole entries: all of them, or none.
    pub(super) fn append(&mut self, entries: &[u8]) -> io::Result<()> {
        if self.file.is_none() {
            self.reopen()?;
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        let written = file.write_all(entries);
        match written {
            Ok(()) => self.size += entries.len() as u64,
            Err(_) => drop(file.set_len(self.size)),
        }
        written
    }

    /// `LOG` becomes `LOG.1`, that one `LOG.2`, and the oldest goes.
    pub(super) fn rotate(&mut self) -> io::Result<()> {
        if let Some(helper) = self.compressing.take() {
            helper.collect();
        }
        let log = &self.config.path;
        if self.config.max_file <= 1 {
            fs::remove_file(log)?;
        } else {
            for number in (1..self.config.max_file - 1).rev() {
                shift(&rotated(log, number), &rotated(log, number + 1))?;
            }
            shift(log, &rotated(log, 1))?;
        }
        let full = self.file.take();
        if let Some(full) = full.filter(|_| self.config.compress && self.config.max_file > 1) {
            let (path, keep) = (rotated(log, 1), full.as_raw_fd());
            let work = move || match compress(full, &path) {
                Ok(()) => Ok(0),
                Err(err) => Err(Failure::new(FailureKind::Internal, err.to_string())),
            };
            // Where it cannot be compressed it stays as it is.
            self.compressing = Helper::spawn(&[keep], work).ok();
        }
        self.reopen()
    }

    /// Leaves no helper behind that would still write to the log's folder.
    pub(super) fn close(mut self) {
        if let Some(helper) = self.compressing.take().filter(|helper| !helper.finished(LAST)) {
            helper.kill();
            let _ = fs::remove_file(unfinished(&rotated(&self.config.path, 1)));
        }
    }

    fn reopen(&mut self) -> io::Result<()> {
        if let Some(folder) = self.config.path.parent().filter(|folder| !folder.exists()) {
            fs::create_dir(folder)?;
        }
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o640)
            .open(&self.config.path)?;
        self.size = repair(&mut file, self.config.driver)?;
        self.file = Some(file);
        Ok(())
    }
}

/// Renames a file, compressed or not. What stands in its new place goes, in both forms.
fn shift(from: &Path, to: &Path) -> io::Result<()> {
    let (plain, packed) = (from.exists(), compressed(from).exists());
    if !plain && !packed {
        return Ok(());
    }
    ignore_missing(fs::remove_file(compressed(to)))?;
    if plain {
        // A compressed file beside it was not finished with.
        ignore_missing(fs::remove_file(compressed(from)))?;
        return fs::rename(from, to);
    }
    ignore_missing(fs::remove_file(to))?;
    fs::rename(compressed(from), compressed(to))
}

/// Ends a file that was left in the middle of an entry so that others can follow; gives its size.
fn repair(file: &mut File, driver: LogDriver) -> io::Result<u64> {
    let size = file.metadata()?.len();
    if size == 0 {
        return Ok(0);
    }
    if driver == LogDriver::Local {
        return repair_local(file, size);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    if last == *b"\n" {
        return Ok(size);
    }
    file.write_all(b"\n")?;
    Ok(size + 1)
}

fn repair_local(file: &mut File, size: u64) -> io::Result<u64> {
    // A torn entry is the last one, so a whole one ends within the length of two.
    let window = size.min(2 * (local::MAX_TEXT + local::OVERHEAD) as u64);
    let mut tail = vec![0; window as usize];
    file.seek(SeekFrom::Start(size - window))?;
    file.read_exact(&mut tail)?;
    let end = (0..=tail.len())
        .rev()
        .find(|end| local::last(&tail[..*end]).is_some());
    let good = size - window + end.unwrap_or(0) as u64;
    if good < size {
        file.set_len(good)?;
    }
    Ok(good)
}

fn unfinished(path: &Path) -> PathBuf {
    compressed(path).with_extension("gz.tmp")
}

fn compress(mut full: File, path: &Path) -> io::Result<()> {
    let target = unfinished(path);
    let packed = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o640)
        .open(&target)?;
    full.seek(SeekFrom::Start(0))?;
    let mut encoder = GzBuilder::new()
        .comment(identity(&full)?)
        .write(packed, Compression::fast());
    let written = io::copy(&mut full, &mut encoder)
        .and_then(|_| encoder.finish())
        .map(drop);
    if let Err(err) = written {
        let _ = fs::remove_file(&target);
        return Err(err);
    }
    fs::rename(&target, compressed(path))?;
    fs::remove_file(path)
}
