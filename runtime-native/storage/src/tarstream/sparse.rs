use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use super::bad;
use crate::room::Room;

/// Where the pieces of a file with holes belong, as GNU tar describes it.
#[derive(Debug)]
pub(crate) struct SparseMap {
    size: u64,
    pieces: Vec<(u64, u64)>,
    in_data: bool,
}

/// What ext4 can hold, so that an image is the same everywhere.
const MAX_SIZE: u64 = (16 << 40) - 4096;

const MAX_PIECES: usize = 1 << 20;

impl SparseMap {
    pub(super) fn with_size(size: u64) -> Self {
        Self {
            size,
            pieces: Vec::new(),
            in_data: false,
        }
    }

    /// Form 1.0: the map stands in front of the data.
    pub(super) fn set_in_data(&mut self, in_data: bool) {
        self.in_data = in_data;
    }

    pub(super) fn push(&mut self, offset: u64, length: u64) -> io::Result<()> {
        let start = self.pieces.last().map_or(0, |(offset, length)| offset + length);
        let end = offset.checked_add(length).filter(|end| *end <= self.size);
        if offset < start || end.is_none() || self.pieces.len() >= MAX_PIECES {
            return Err(bad("sparse file: pieces overlap or are too many"));
        }
        self.pieces.push((offset, length));
        Ok(())
    }

    /// Writes the file's pieces to their places and gives it its size. Returns that size.
    pub(crate) fn write(
        &mut self,
        data: &mut dyn Read,
        file: &std::fs::File,
        room: &mut Room,
    ) -> io::Result<u64> {
        if self.size > MAX_SIZE {
            return Err(bad("sparse file: larger than 16 TiB"));
        }
        if self.in_data {
            self.read_map(data)?;
        }
        let mut buffer = vec![0u8; 64 * 1024];
        for (mut offset, length) in self.pieces.iter().copied() {
            let end = offset + length;
            while offset < end {
                let want = buffer.len().min((end - offset) as usize);
                data.read_exact(&mut buffer[..want])?;
                room.take(want as u64)?;
                file.write_all_at(&buffer[..want], offset)?;
                offset += want as u64;
            }
        }
        file.set_len(self.size)?;
        Ok(self.size)
    }

    /// Decimal lines, a count of pieces and then offset and length of each, filled up to a block of 512 bytes.
    fn read_map(&mut self, data: &mut dyn Read) -> io::Result<()> {
        let unreadable = || bad("sparse file: unreadable map");
        let mut block = [0u8; 512];
        let mut left: Option<u64> = None;
        let mut offset: Option<u64> = None;
        let mut number: Option<u64> = None;
        loop {
            data.read_exact(&mut block)?;
            for byte in block {
                if byte.is_ascii_digit() {
                    let next = number.unwrap_or(0).checked_mul(10);
                    number = Some(
                        next.and_then(|n| n.checked_add(u64::from(byte - b'0')))
                            .ok_or_else(unreadable)?,
                    );
                    continue;
                }
                if byte != b'\n' {
                    return Err(unreadable());
                }
                let value = number.take().ok_or_else(unreadable)?;
                match (left, offset.take()) {
                    (None, _) => left = Some(value),
                    (Some(_), None) => offset = Some(value),
                    (Some(n), Some(offset)) => {
                        self.push(offset, value)?;
                        left = Some(n - 1);
                    }
                }
                if left == Some(0) {
                    return Ok(());
                }
            }
        }
    }
}
