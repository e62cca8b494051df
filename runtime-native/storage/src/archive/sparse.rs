use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use crate::holes;

/// Smaller holes are not worth a form that not every program reads.
const MIN_HOLES: u64 = 1 << 20;
const MAX_PIECES: usize = 1 << 16;
const BLOCK: usize = 512;

/// Where the data of a file with holes lies, and how an archive says it.
pub(super) struct Map {
    size: u64,
    pieces: Vec<(u64, u64)>,
    text: Vec<u8>,
}

/// The map of the first `size` bytes of a file, if they have holes enough for it.
pub(super) fn map(file: &File, size: u64) -> io::Result<Option<Map>> {
    if size < MIN_HOLES {
        return Ok(None);
    }
    let file = file.try_clone()?.into();
    let pieces = holes::pieces(&file, size)
        .take(MAX_PIECES + 1)
        .collect::<io::Result<Vec<_>>>()?;
    // Looking for holes has moved the position that the clone shares.
    rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(0))?;
    let data: u64 = pieces.iter().map(|(start, end)| end - start).sum();
    if pieces.len() > MAX_PIECES || size - data < MIN_HOLES {
        return Ok(None);
    }
    Ok(Some(Map::new(size, pieces)))
}

impl Map {
    /// Decimal lines: the count of pieces, then offset and length of each; the last piece tells the size.
    fn new(size: u64, mut pieces: Vec<(u64, u64)>) -> Self {
        if pieces.last().is_none_or(|(_, end)| *end < size) {
            pieces.push((size, size));
        }
        let mut text = format!("{}\n", pieces.len());
        for (start, end) in &pieces {
            text.push_str(&format!("{start}\n{}\n", end - start));
        }
        let mut text = text.into_bytes();
        text.resize(text.len().next_multiple_of(BLOCK), 0);
        Self { size, pieces, text }
    }

    pub(super) fn file_size(&self) -> u64 {
        self.size
    }

    /// Bytes in the archive, the map included.
    pub(super) fn archived_size(&self) -> u64 {
        let data: u64 = self.pieces.iter().map(|(start, end)| end - start).sum();
        self.text.len() as u64 + data
    }

    /// The map and then the pieces of `file`. What the file has lost meanwhile is zeros: its size has been promised.
    pub(super) fn read<'a>(&'a self, file: &'a File) -> impl Read + 'a {
        let pieces = Pieces {
            file,
            left: self.pieces.iter().copied().collect(),
        };
        self.text.as_slice().chain(pieces)
    }
}

struct Pieces<'a> {
    file: &'a File,
    left: std::collections::VecDeque<(u64, u64)>,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.left.front().is_some_and(|(start, end)| start >= end) {
            self.left.pop_front();
        }
        let Some((start, end)) = self.left.front_mut() else {
            return Ok(0);
        };
        let want = buffer
            .len()
            .min(usize::try_from(*end - *start).unwrap_or(usize::MAX));
        let mut n = self.file.read_at(&mut buffer[..want], *start)?;
        if n == 0 {
            buffer[..want].fill(0);
            n = want;
        }
        *start += n as u64;
        Ok(n)
    }
}
