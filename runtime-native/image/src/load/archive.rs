use std::collections::BTreeMap;
use std::io::{Read, Write};

use creel_storage::{Digest, EntryType, TarReader};

use super::{Files, Progress};
use crate::error::{ImageError, Result};
use crate::store::{ImageStore, Lease, MAX_DOCUMENT};

const MAX_FILES: usize = 100_000;
const BLOBS: &str = "blobs/sha256/";
const MAX_LINKS: usize = 16;

/// An image archive that has been read: its files as blobs of the store.
pub(super) struct Archive {
    files: Files,
    /// Old archives hold a layer that two images share once, and links to it.
    links: BTreeMap<String, String>,
}

impl Archive {
    /// Reads a tar stream once, front to back. The blobs are held by the lease.
    pub(super) fn read(
        store: &ImageStore,
        stream: impl Read,
        lease: &mut Lease<'_>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self> {
        let bad = |e| ImageError::reading("the archive cannot be read", e);
        let mut archive = Self {
            files: Files::new(),
            links: BTreeMap::new(),
        };
        let mut tar = TarReader::new(stream);
        let mut bytes = 0;
        while let Some(entry) = tar.next_entry().map_err(bad)? {
            if archive.files.len() + archive.links.len() >= MAX_FILES {
                return Err(ImageError::archive(format!(
                    "the archive has more than {MAX_FILES} files"
                )));
            }
            let Some(name) = clean(&entry.path) else {
                let name = String::from_utf8_lossy(&entry.path).into_owned();
                return Err(ImageError::archive(format!(
                    "the archive has a file with a bad name: {name:?}"
                )));
            };
            match entry.kind {
                EntryType::Regular | EntryType::Continuous => {
                    let expected = match name.strip_prefix(BLOBS).map(Digest::from_hex) {
                        Some(Err(_)) | None => None,
                        Some(Ok(digest)) => Some(digest),
                    };
                    let blob = ingest(store, &mut tar, expected.as_ref(), lease)?;
                    bytes += blob.1;
                    progress(Progress::Reading { bytes });
                    archive.files.insert(name, blob);
                }
                EntryType::Symlink => {
                    let directory = name.rsplit_once('/').map_or("", |(directory, _)| directory);
                    let target = format!("{directory}/{}", String::from_utf8_lossy(&entry.link));
                    if let Some(target) = clean(target.as_bytes()) {
                        archive.links.insert(name, target);
                    }
                }
                EntryType::Link => {
                    if let Some(target) = clean(&entry.link) {
                        archive.links.insert(name, target);
                    }
                }
                _ => {}
            }
        }
        Ok(archive)
    }

    /// The blob that a file of the archive became.
    pub(super) fn file(&self, name: &str) -> Option<(Digest, u64)> {
        let mut name = clean(name.as_bytes())?;
        for _ in 0..MAX_LINKS {
            if let Some(found) = self.files.get(&name) {
                return Some(found.clone());
            }
            name = self.links.get(&name)?.clone();
        }
        None
    }

    /// A small file's content.
    pub(super) fn document(&self, store: &ImageStore, name: &str) -> Result<Option<Vec<u8>>> {
        match self.file(name) {
            Some((digest, _)) => store.content.read(&digest, MAX_DOCUMENT).map(Some),
            None => Ok(None),
        }
    }

    /// Whether a blob came with the archive, or is in the store already.
    pub(super) fn blob(&self, store: &ImageStore, digest: &Digest) -> Option<u64> {
        store.content.size(digest)
    }

    /// The names of all files.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }
}

fn ingest(
    store: &ImageStore,
    data: &mut dyn Read,
    expected: Option<&Digest>,
    lease: &mut Lease<'_>,
) -> Result<(Digest, u64)> {
    if let Some(expected) = expected {
        lease.hold_blob(expected);
        if let Some(size) = store.content.size(expected) {
            return Ok((expected.clone(), size));
        }
    }
    let mut writer = store.content.writer(expected)?;
    if writer.offset() > 0 {
        writer.restart()?;
    }
    let mut buffer = vec![0u8; 128 * 1024];
    loop {
        let n = data
            .read(&mut buffer)
            .map_err(|e| ImageError::reading("the archive cannot be read", e))?;
        if n == 0 {
            break;
        }
        writer
            .write_all(&buffer[..n])
            .map_err(|e| ImageError::io("write blob", e))?;
    }
    let finished = writer.finish()?;
    if expected.is_none() {
        lease.hold_blob(finished.digest());
    }
    finished.publish()
}

/// A path of the archive without `.`, `..` and slashes in excess.
fn clean(raw: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(raw).ok()?;
    let mut parts: Vec<&str> = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}
