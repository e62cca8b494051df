use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use creel_storage::{Digest, Hasher, Room, fsync_dir};
use rustix::fs::FlockOperation;

use crate::error::{ErrorKind, ImageError, Result};

/// Blobs by their digest. A blob is visible only when it is complete, verified and on disk:
///
/// ```text
/// content/sha256/<hex>     the blobs
/// content/ingest/          what is being written; named by the expected digest it can be taken up again
/// ```
pub struct ContentStore {
    blobs: PathBuf,
    ingest: PathBuf,
    sequence: AtomicU64,
}

const PARTIAL: &str = ".partial";

impl ContentStore {
    /// Opens or makes the store below the data root. Partial blobs that cannot be taken up again are swept.
    pub fn open(data_root: &Path) -> Result<Self> {
        let blobs = data_root.join("content/sha256");
        let ingest = data_root.join("content/ingest");
        for path in [&blobs, &ingest] {
            let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
            made.map_err(|e| ImageError::path("create", path, e))?;
        }
        for entry in fs::read_dir(&ingest)
            .map_err(|e| ImageError::path("read", &ingest, e))?
            .flatten()
        {
            if !entry.file_name().to_string_lossy().ends_with(PARTIAL) {
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(Self {
            blobs,
            ingest,
            sequence: AtomicU64::new(0),
        })
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.blobs.join(digest.hex())
    }

    /// The size of a blob, if it is here.
    pub fn size(&self, digest: &Digest) -> Option<u64> {
        fs::metadata(self.path(digest)).ok().map(|m| m.len())
    }

    /// Opens a blob for reading.
    pub fn reader(&self, digest: &Digest) -> Result<File> {
        let path = self.path(digest);
        File::open(&path).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => ImageError::new(ErrorKind::NotFound, format!("no blob {digest}")),
            _ => ImageError::path("open", &path, e),
        })
    }

    /// Reads a whole blob of at most `limit` bytes.
    pub fn read(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.reader(digest)?
            .take(limit + 1)
            .read_to_end(&mut bytes)
            .map_err(|e| ImageError::path("read", &self.path(digest), e))?;
        if bytes.len() as u64 > limit {
            return Err(ImageError::archive(format!(
                "blob {digest} is larger than {limit} bytes"
            )));
        }
        Ok(bytes)
    }

    /// All blobs, in no order.
    pub fn list(&self) -> Result<Vec<Digest>> {
        let entries = fs::read_dir(&self.blobs).map_err(|e| ImageError::path("read", &self.blobs, e))?;
        Ok(entries
            .flatten()
            .filter_map(|e| Digest::from_hex(&e.file_name().to_string_lossy()).ok())
            .collect())
    }

    /// Begins a blob. With an expected digest, what an earlier attempt wrote is taken up: [`BlobWriter::offset`] says
    /// how much that is, and writing goes on there.
    pub fn writer(&self, expected: Option<&Digest>) -> Result<BlobWriter<'_>> {
        if let Some(expected) = expected {
            let path = self.ingest.join(format!("{}{PARTIAL}", expected.hex()));
            let file = open_partial(&path)?;
            // Whoever holds the lock writes; a second writer of the same blob works on a file of its own.
            if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()
                && is_at(&file, &path)
            {
                let mut writer = BlobWriter::new(self, file, path, Some(expected.clone()))?;
                writer.take_up()?;
                return Ok(writer);
            }
        }
        let number = self.sequence.fetch_add(1, Ordering::Relaxed);
        let path = self.ingest.join(format!("{}-{number}", std::process::id()));
        let _ = fs::remove_file(&path);
        let file = open_partial(&path)?;
        BlobWriter::new(self, file, path, expected.cloned())
    }

    /// Stores a small blob at once and returns its digest.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest> {
        let mut writer = self.writer(None)?;
        writer
            .write_all(bytes)
            .map_err(|e| ImageError::io("write blob", e))?;
        Ok(writer.finish()?.publish()?.0)
    }

    /// Deletes a blob; one that is not here is no error.
    pub fn remove(&self, digest: &Digest) -> Result<()> {
        let path = self.path(digest);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(ImageError::path("remove", &path, e)),
            _ => Ok(()),
        }
    }
}

/// Whether the path still names this very file: the writer before us may have finished it.
fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

fn open_partial(path: &Path) -> Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|e| ImageError::path("create", path, e))
}

/// A blob being written.
pub struct BlobWriter<'a> {
    store: &'a ContentStore,
    file: File,
    path: PathBuf,
    expected: Option<Digest>,
    hasher: Hasher,
    offset: u64,
    keep: bool,
    room: Room,
}

impl<'a> BlobWriter<'a> {
    fn new(store: &'a ContentStore, file: File, path: PathBuf, expected: Option<Digest>) -> Result<Self> {
        Ok(Self {
            room: Room::at(&store.ingest)?,
            store,
            file,
            path,
            expected,
            hasher: Hasher::new(),
            offset: 0,
            keep: false,
        })
    }

    fn take_up(&mut self) -> Result<()> {
        let mut buffer = vec![0u8; 128 * 1024];
        loop {
            let n = self
                .file
                .read(&mut buffer)
                .map_err(|e| ImageError::path("read", &self.path, e))?;
            if n == 0 {
                return Ok(());
            }
            self.hasher.update(&buffer[..n]);
            self.offset += n as u64;
        }
    }

    /// Bytes written so far, those of an earlier attempt included.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Forgets what was written and begins anew.
    pub fn restart(&mut self) -> Result<()> {
        self.file
            .set_len(0)
            .and_then(|()| self.file.rewind())
            .map_err(|e| ImageError::path("write", &self.path, e))?;
        self.hasher = Hasher::new();
        self.offset = 0;
        Ok(())
    }

    /// Gives up for now; what was written is kept for a later attempt at the same digest.
    pub fn suspend(mut self) {
        self.keep = self.path.to_string_lossy().ends_with(PARTIAL);
    }

    /// Ends the blob, verifies it and makes it durable, but not visible yet.
    pub fn finish(mut self) -> Result<FinishedBlob<'a>> {
        let digest = std::mem::take(&mut self.hasher).finish();
        if let Some(expected) = &self.expected
            && *expected != digest
        {
            return Err(ImageError::archive(format!(
                "blob {expected} is damaged: its content has digest {digest}"
            )));
        }
        self.file
            .sync_all()
            .map_err(|e| ImageError::path("sync", &self.path, e))?;
        Ok(FinishedBlob { writer: self, digest })
    }
}

impl Write for BlobWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.room.take(bytes.len() as u64)?;
        let n = self.file.write(bytes)?;
        self.hasher.update(&bytes[..n]);
        self.offset += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for BlobWriter<'_> {
    fn drop(&mut self) {
        if !self.keep {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A complete blob that waits to become visible.
pub struct FinishedBlob<'a> {
    writer: BlobWriter<'a>,
    digest: Digest,
}

impl FinishedBlob<'_> {
    /// The blob's digest.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Makes the blob visible. Returns its digest and size.
    pub fn publish(mut self) -> Result<(Digest, u64)> {
        let store = self.writer.store;
        let target = store.path(&self.digest);
        if !target.exists() {
            fs::rename(&self.writer.path, &target).map_err(|e| ImageError::path("create", &target, e))?;
            self.writer.keep = true;
            fsync_dir(&store.blobs)?;
        }
        Ok((self.digest.clone(), self.writer.offset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_is_verified_before_it_shows() {
        let base = tempfile::tempdir().unwrap();
        let store = ContentStore::open(base.path()).unwrap();
        let wanted = Digest::of(b"hello");
        let mut writer = store.writer(Some(&wanted)).unwrap();
        writer.write_all(b"hellO").unwrap();
        assert_eq!(writer.finish().err().unwrap().kind(), ErrorKind::InvalidArchive);
        assert_eq!(store.size(&wanted), None);
        assert_eq!(store.put(b"hello").unwrap(), wanted);
        assert_eq!(store.put(b"hello").unwrap(), wanted);
        assert_eq!(store.read(&wanted, 5).unwrap(), b"hello");
        assert!(store.read(&wanted, 4).is_err());
        assert_eq!(store.list().unwrap(), std::slice::from_ref(&wanted));
        assert_eq!(
            fs::read_dir(base.path().join("content/ingest")).unwrap().count(),
            0
        );
        store.remove(&wanted).unwrap();
        store.remove(&wanted).unwrap();
        assert_eq!(store.reader(&wanted).err().unwrap().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn an_interrupted_blob_is_taken_up_again() {
        let base = tempfile::tempdir().unwrap();
        let wanted = Digest::of(b"hello");
        {
            let store = ContentStore::open(base.path()).unwrap();
            let mut writer = store.writer(Some(&wanted)).unwrap();
            writer.write_all(b"hel").unwrap();
            let mut other = store.writer(Some(&wanted)).unwrap();
            assert_eq!(other.offset(), 0);
            other.write_all(b"x").unwrap();
            drop(other);
            writer.suspend();
        }
        let store = ContentStore::open(base.path()).unwrap();
        let mut writer = store.writer(Some(&wanted)).unwrap();
        assert_eq!(writer.offset(), 3);
        writer.write_all(b"lo").unwrap();
        assert_eq!(writer.finish().unwrap().publish().unwrap(), (wanted, 5));
    }
}
