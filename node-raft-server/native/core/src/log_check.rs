//! Looks through the log engine's files before it opens them.
//!
//! The engine forgives any damage at the end of its last file, which is right for a write that a power cut tore, and
//! wrong for bytes that were once safe. A torn write is the last thing in the file; whatever else is broken is damage.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

const MAGIC: &[u8] = b"RAFT-LOG-FILE-HEADER-9986AB3E47F320B394C8E84916EB0ED5";
const FILE_HEADER: usize = MAGIC.len() + 16;
const BATCH_HEADER: usize = 16;

/// Checks every log file in `dir`; the error names the file and the place.
pub fn verify(dir: &Path) -> Result<()> {
    for extension in ["raftlog", "rewrite"] {
        let files = files(dir, extension)?;
        for (at, file) in files.iter().enumerate() {
            verify_file(file, at + 1 == files.len())?;
        }
    }
    Ok(())
}

fn files(dir: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(|e| Error::io(dir, &e))? {
        let path = entry.map_err(|e| Error::io(dir, &e))?.path();
        if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn verify_file(path: &Path, last: bool) -> Result<()> {
    let bytes = fs::read(path).map_err(|e| Error::io(path, &e))?;
    let used = bytes.iter().rposition(|b| *b != 0).map_or(0, |at| at + 1);
    if bytes.len() < FILE_HEADER || used == 0 {
        // A file whose creation was cut short holds nothing yet.
        return if last {
            Ok(())
        } else {
            Err(Error::damaged(path, "its header is missing"))
        };
    }
    if !bytes.starts_with(MAGIC) {
        return Err(Error::damaged(path, "its header is wrong"));
    }
    let signature = signature(path)?;
    let mut at = FILE_HEADER;
    while at < bytes.len() {
        match whole_batch(&bytes[at..], signature) {
            Some(len) => at += len,
            None if last && !batch_follows(&bytes[at..used.max(at)], signature) => return Ok(()),
            None => {
                return Err(Error::damaged(
                    path,
                    format!("the checksum at byte {at} is wrong"),
                ));
            }
        }
    }
    Ok(())
}

/// Whether a whole batch lies behind a broken place: then that place was not the last thing written.
fn batch_follows(bytes: &[u8], signature: u32) -> bool {
    (1..bytes.len()).any(|at| whole_batch(&bytes[at..], signature).is_some())
}

/// The length of the batch that begins here, if it is whole.
fn whole_batch(bytes: &[u8], signature: u32) -> Option<usize> {
    let header = bytes.get(..BATCH_HEADER)?;
    let len = (u64::from_be_bytes(header[..8].try_into().expect("8 bytes")) >> 8) as usize;
    let footer = u64::from_be_bytes(header[8..].try_into().expect("8 bytes")) as usize;
    if footer < BATCH_HEADER || footer >= len || len > bytes.len() {
        return None;
    }
    let entries = &bytes[BATCH_HEADER..footer];
    let whole =
        sum_is_right(&bytes[footer..len], signature) && (entries.is_empty() || sum_is_right(entries, 0));
    whole.then_some(len)
}

fn sum_is_right(block: &[u8], signature: u32) -> bool {
    let Some(split) = block.len().checked_sub(4) else {
        return false;
    };
    let (body, sum) = block.split_at(split);
    let expected = u32::from_le_bytes(sum.try_into().expect("4 bytes")) ^ signature;
    !body.is_empty() && crc32fast::hash(body) == expected
}

/// The engine signs each checksum with the number in the file's name.
fn signature(path: &Path) -> Result<u32> {
    let name = path.file_stem().and_then(|s| s.to_str()).unwrap_or_default();
    let number: u64 = name
        .parse()
        .map_err(|_| Error::damaged(path, "its name is no number"))?;
    Ok(number as u32)
}
