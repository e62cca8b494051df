use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

/// What waits in memory.
const MEMORY: usize = 64 << 10;
/// What waits in a file beyond that.
const DISK: u64 = 64 << 20;
/// The part of it that is left for what is still taken when no more should be.
const SPARE: u64 = 2 << 20;

/// Output that a client has not taken yet: some of it in memory, more in a file without a name.
pub(crate) struct Backlog {
    memory: VecDeque<u8>,
    folder: PathBuf,
    ring: Option<Ring>,
    /// What follows, while the file takes no more: the disk is full.
    behind: Vec<u8>,
}

/// A file of `DISK` bytes whose end is followed by its beginning.
struct Ring {
    file: File,
    read: u64,
    written: u64,
}

impl Backlog {
    /// An empty one, whose file will be in `folder`.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self {
            memory: VecDeque::new(),
            folder,
            ring: None,
            behind: Vec::new(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.memory.is_empty()
    }

    /// Whether it should take no more.
    pub(crate) fn is_full(&self) -> bool {
        match &self.ring {
            Some(ring) => ring.room() < SPARE || !self.behind.is_empty(),
            None => self.memory.len() >= 2 * MEMORY,
        }
    }

    /// Takes the bytes in any case: where the file cannot, memory does.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if self.ring.is_none() && self.memory.len() + bytes.len() > MEMORY {
            self.ring = Ring::create(&self.folder).ok();
        }
        let Some(ring) = &mut self.ring else {
            return self.memory.extend(bytes);
        };
        if !self.behind.is_empty() || ring.push(bytes).is_err() {
            self.behind.extend(bytes);
        }
    }

    /// The next bytes; none only if there are none.
    pub(crate) fn head(&self) -> &[u8] {
        self.memory.as_slices().0
    }

    /// Drops bytes that were sent.
    pub(crate) fn sent(&mut self, count: usize) {
        self.memory.drain(..count);
        if self.memory.is_empty() {
            self.refill();
            self.memory.shrink_to(MEMORY);
        }
    }

    fn refill(&mut self) {
        let Some(ring) = &mut self.ring else { return };
        let mut piece = vec![0; MEMORY.min((ring.written - ring.read) as usize)];
        // A file that can no longer be read has lost its bytes; what comes later is still given.
        match ring.pop(&mut piece) {
            Ok(()) => self.memory.extend(&piece),
            Err(_) => ring.read = ring.written,
        }
        if ring.read == ring.written {
            self.ring = None;
            self.memory.extend(std::mem::take(&mut self.behind));
        }
    }
}

impl Ring {
    fn create(folder: &std::path::Path) -> io::Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!("backlog-{}-{number}", std::process::id()));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        fs::remove_file(&path)?;
        Ok(Self {
            file,
            read: 0,
            written: 0,
        })
    }

    fn room(&self) -> u64 {
        DISK - (self.written - self.read)
    }

    fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.room() < bytes.len() as u64 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let at = self.written % DISK;
        let (first, second) = bytes.split_at(bytes.len().min((DISK - at) as usize));
        self.file.write_all_at(first, at)?;
        self.file.write_all_at(second, 0)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    fn pop(&mut self, piece: &mut [u8]) -> io::Result<()> {
        let at = self.read % DISK;
        let split = piece.len().min((DISK - at) as usize);
        let (first, second) = piece.split_at_mut(split);
        self.file.read_exact_at(first, at)?;
        self.file.read_exact_at(second, 0)?;
        self.read += piece.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers in a row, as bytes.
    fn numbers(range: std::ops::Range<u64>) -> Vec<u8> {
        range.flat_map(u64::to_be_bytes).collect()
    }

    #[test]
    fn gives_all_back_in_order_around_the_end_of_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut backlog = Backlog::new(folder.path().into());
        let (mut pushed, mut taken) = (0, 0);
        let mut take = |backlog: &mut Backlog, most: u64| {
            let mut bytes = Vec::new();
            while !backlog.is_empty() && (bytes.len() as u64) < most * 8 {
                let head = backlog.head();
                let count = head.len().min(most as usize * 8 - bytes.len());
                bytes.extend_from_slice(&head[..count]);
                backlog.sent(count);
            }
            let count = bytes.len() as u64 / 8;
            assert!(bytes == numbers(taken..taken + count), "{taken} and {count} more");
            taken += count;
            taken
        };
        for _ in 0..3 {
            while !backlog.is_full() {
                backlog.push(&numbers(pushed..pushed + 3000));
                pushed += 3000;
            }
            take(&mut backlog, 5_000_000);
        }
        assert!(pushed * 8 > 2 * DISK);
        assert_eq!(take(&mut backlog, u64::MAX >> 8), pushed);
        assert!(backlog.ring.is_none());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn keeps_what_it_cannot_write() {
        let mut backlog = Backlog::new("/nonexistent".into());
        let bytes = numbers(0..50_000);
        bytes.chunks(1000).for_each(|piece| backlog.push(piece));
        assert!(backlog.is_full());
        let mut back = Vec::new();
        while !backlog.is_empty() {
            back.extend_from_slice(backlog.head());
            backlog.sent(backlog.head().len());
        }
        assert!(back == bytes);
    }
}
