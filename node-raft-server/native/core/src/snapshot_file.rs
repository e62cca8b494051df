//! One snapshot, one file: written whole or not at all, every chunk with its checksum.
//!
//! Layout: magic, version, then chunks of (length u32, crc32 u32, bytes), the crc over the chunk's number and bytes.
//! Chunk 0 is the head (metadata, members); a chunk of length 0 ends the file.

use std::fs::{self, File, OpenOptions};
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use protobuf::Message;
use raft::eraftpb::SnapshotMetadata;

use crate::cipher::Cipher;
use crate::error::{Code, Error, Result};
use crate::members::Members;

const MAGIC: &[u8; 8] = b"CREELSNP";
const VERSION: u32 = 1;
const CHUNK: usize = 1 << 20;
/// A sealed chunk is a little longer than its plain text.
const CHUNK_MAX: usize = CHUNK + 64;

/// What a snapshot stands for: where it was cut, and who belonged to the group there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SnapshotHead {
    pub metadata: SnapshotMetadata,
    pub members: Members,
}

impl SnapshotHead {
    /// Bytes for a file or the log engine.
    pub fn encode(&self) -> Vec<u8> {
        let metadata = self.metadata.write_to_bytes().expect("metadata encode");
        let mut out = (metadata.len() as u32).to_le_bytes().to_vec();
        out.extend_from_slice(&metadata);
        out.extend_from_slice(&self.members.encode());
        out
    }

    /// What `encode` wrote.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (len, rest) = bytes.split_at_checked(4)?;
        let len = u32::from_le_bytes(len.try_into().ok()?) as usize;
        let (metadata, members) = rest.split_at_checked(len)?;
        Some(SnapshotHead {
            metadata: SnapshotMetadata::parse_from_bytes(metadata).ok()?,
            members: Members::decode(members)?,
        })
    }
}

/// Where the snapshot of that index is kept in `dir`.
pub fn path(dir: &Path, index: u64) -> PathBuf {
    dir.join(format!("{index:020}.snapshot"))
}

/// Writes a snapshot and waits until the disk has it.
pub fn write(dir: &Path, head: &SnapshotHead, data: &[u8], cipher: &Cipher) -> Result<()> {
    let path = path(dir, head.metadata.index);
    let tmp = path.with_extension("tmp");
    let result = write_to(&tmp, head, data, cipher)
        .and_then(|()| fs::rename(&tmp, &path))
        .and_then(|()| File::open(dir)?.sync_all());
    result.map_err(|e| {
        let _ = fs::remove_file(&tmp);
        Error::io(&path, &e)
    })
}

fn write_to(tmp: &Path, head: &SnapshotHead, data: &[u8], cipher: &Cipher) -> std::io::Result<()> {
    let file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .open(tmp)?;
    let mut out = BufWriter::with_capacity(CHUNK, file);
    out.write_all(MAGIC)?;
    out.write_all(&VERSION.to_le_bytes())?;
    let head_bytes = head.encode();
    let pieces = std::iter::once(&head_bytes[..]).chain(data.chunks(CHUNK));
    let mut number = 0;
    for piece in pieces {
        put_chunk(
            &mut out,
            number,
            &cipher.seal(&place(head_index(head), number), piece),
        )?;
        number += 1;
    }
    put_chunk(&mut out, number, &[])?;
    out.into_inner().map_err(|e| e.into_error())?.sync_all()
}

fn put_chunk(out: &mut impl Write, number: u64, bytes: &[u8]) -> std::io::Result<()> {
    out.write_all(&(bytes.len() as u32).to_le_bytes())?;
    out.write_all(&crc(number, bytes).to_le_bytes())?;
    out.write_all(bytes)
}

/// Reads a snapshot back, every byte checked.
pub fn read(path: &Path, index: u64, cipher: &Cipher) -> Result<(SnapshotHead, Vec<u8>)> {
    let file = File::open(path).map_err(|e| Error::io(path, &e))?;
    let mut input = BufReader::with_capacity(CHUNK, file);
    let mut start = [0; 12];
    input
        .read_exact(&mut start)
        .map_err(|_| Error::damaged(path, "it ends too early"))?;
    if &start[..8] != MAGIC {
        return Err(Error::damaged(path, "it does not begin like a snapshot"));
    }
    let version = u32::from_le_bytes(start[8..].try_into().expect("4 bytes"));
    if version > VERSION {
        return Err(Error::new(
            Code::DataFormatNewer,
            format!(
                "{} was written by a newer Creel (format {version}; this one knows {VERSION})",
                path.display()
            ),
        ));
    }
    let mut head = None;
    let mut data = Vec::new();
    for number in 0.. {
        let sealed = take_chunk(&mut input, number)
            .ok_or_else(|| Error::damaged(path, format!("checksum of chunk {number} is wrong")))?;
        if sealed.is_empty() {
            break;
        }
        let plain = cipher
            .open(&place(index, number), &sealed)
            .ok_or_else(|| Error::damaged(path, format!("chunk {number} cannot be decrypted")))?;
        match &head {
            None => {
                head = Some(SnapshotHead::decode(&plain).ok_or_else(|| Error::damaged(path, "its head"))?)
            }
            Some(_) => data.extend_from_slice(&plain),
        }
    }
    let head = head.ok_or_else(|| Error::damaged(path, "it has no head"))?;
    if head.metadata.index != index {
        return Err(Error::damaged(path, "it is another snapshot than its name says"));
    }
    Ok((head, data))
}

fn take_chunk(input: &mut impl Read, number: u64) -> Option<Vec<u8>> {
    let mut start = [0; 8];
    input.read_exact(&mut start).ok()?;
    let len = u32::from_le_bytes(start[..4].try_into().ok()?) as usize;
    let sum = u32::from_le_bytes(start[4..].try_into().ok()?);
    if len > CHUNK_MAX {
        // The head alone may be longer: thousands of members do not exist, so this is damage.
        return None;
    }
    let mut bytes = vec![0; len];
    input.read_exact(&mut bytes).ok()?;
    (crc(number, &bytes) == sum).then_some(bytes)
}

/// Removes the snapshot files of other indexes, but for the newest `older` before that one, and what an interrupted
/// write left.
pub fn sweep(dir: &Path, index: u64, older: usize) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    let kept = path(dir, index);
    let ours = |file: &PathBuf| file.extension().is_some_and(|e| e == "snapshot" || e == "tmp");
    let mut files: Vec<PathBuf> = entries.flatten().map(|e| e.path()).filter(ours).collect();
    // Names sort as the indexes in them do.
    files.sort_unstable_by(|a, b| b.cmp(a));
    let before = |file: &PathBuf| file < &kept && file.extension().is_some_and(|e| e == "snapshot");
    let spared: Vec<PathBuf> = files.iter().filter(|f| before(f)).take(older).cloned().collect();
    for file in files {
        if file != kept && !spared.contains(&file) {
            let _ = fs::remove_file(file);
        }
    }
}

fn head_index(head: &SnapshotHead) -> u64 {
    head.metadata.index
}

fn place(index: u64, number: u64) -> [u8; 17] {
    let mut place = [b's'; 17];
    place[1..9].copy_from_slice(&index.to_le_bytes());
    place[9..].copy_from_slice(&number.to_le_bytes());
    place
}

fn crc(number: u64, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&number.to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}
