//! Reads tar archives as a stream: ustar, GNU and PAX, long names, holes, extended attributes with any bytes in them.
//!
//! What an archive may make this reader hold in memory is bounded: the extended headers of an entry by [`MAX_EXTENDED`],
//! those for all entries by [`MAX_GLOBAL`].

mod pax;
mod sparse;

use std::io::{self, Read};

pub use tar::EntryType;

use pax::Extended;
pub(crate) use sparse::SparseMap;

/// The most that the extended headers or the long name of one entry may have, in bytes.
pub const MAX_EXTENDED: u64 = 4 << 20;

/// The most that extended headers for all entries may have, in bytes. Each entry is looked at with them in hand.
pub const MAX_GLOBAL: u64 = 64 << 10;

const BLOCK: usize = 512;

/// One entry of an archive: its metadata, extended headers applied.
#[derive(Debug)]
pub struct TarEntry {
    pub path: Vec<u8>,
    /// The target of a link.
    pub link: Vec<u8>,
    pub kind: EntryType,
    pub uid: u32,
    pub gid: u32,
    pub mode: u32,
    /// Seconds since 1970 and nanoseconds.
    pub mtime: (i64, u32),
    /// Bytes of data in the archive.
    pub size: u64,
    /// Major and minor number of a device.
    pub device: (u32, u32),
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) sparse: Option<SparseMap>,
}

/// A stream of archive entries. After [`TarReader::next_entry`] the reader itself gives that entry's data.
pub struct TarReader<R> {
    inner: R,
    left: u64,
    padding: u64,
    global: Extended,
}

impl<R: Read> TarReader<R> {
    /// Reads an archive that is not compressed.
    pub fn new(inner: R) -> Self {
        Self {
            inner,
            left: 0,
            padding: 0,
            global: Extended::default(),
        }
    }

    /// The stream below, at wherever it has been read to.
    pub fn into_inner(self) -> R {
        self.inner
    }

    /// Skips what is left of the current entry and reads the next; `None` at the end of the archive.
    pub fn next_entry(&mut self) -> io::Result<Option<TarEntry>> {
        let mut extended = self.global.clone();
        let (mut long_name, mut long_link) = (None, None);
        let mut held = 0;
        loop {
            self.skip_rest()?;
            let Some(header) = self.read_header()? else {
                return Ok(None);
            };
            let kind = header.entry_type();
            let size = header.entry_size().map_err(|_| bad("unreadable size"))?;
            if is_extension(kind) {
                held += size.min(MAX_EXTENDED + 1);
                if held > MAX_EXTENDED {
                    return Err(bad("the extended headers of an entry are too large"));
                }
            }
            match kind {
                EntryType::XHeader => {
                    let records = self.read_small(size)?;
                    extended.add(&records)?;
                }
                EntryType::XGlobalHeader => {
                    let records = self.read_small(size)?;
                    self.global.add(&records)?;
                    if self.global.size() > MAX_GLOBAL {
                        return Err(bad("the extended headers for all entries are too large"));
                    }
                    extended.add(&records)?;
                }
                EntryType::GNULongName => long_name = Some(until_nul(self.read_small(size)?)),
                EntryType::GNULongLink => long_link = Some(until_nul(self.read_small(size)?)),
                _ => {
                    let mut entry = entry_of(&header, size)?;
                    if kind.is_gnu_sparse() {
                        entry.sparse = Some(self.old_gnu_map(&header)?);
                    }
                    if let Some(name) = long_name {
                        entry.path = name;
                    }
                    if let Some(link) = long_link {
                        entry.link = link;
                    }
                    extended.apply(&mut entry)?;
                    let has_data = !matches!(
                        kind,
                        EntryType::Link
                            | EntryType::Symlink
                            | EntryType::Directory
                            | EntryType::Char
                            | EntryType::Block
                            | EntryType::Fifo
                    );
                    if has_data {
                        self.begin(entry.size);
                    } else {
                        entry.size = 0;
                    }
                    return Ok(Some(entry));
                }
            }
        }
    }

    fn begin(&mut self, size: u64) {
        self.left = size;
        self.padding = size.wrapping_neg() % BLOCK as u64;
    }

    fn skip_rest(&mut self) -> io::Result<()> {
        let rest = self
            .left
            .checked_add(self.padding)
            .ok_or_else(|| bad("unreadable size"))?;
        (self.left, self.padding) = (0, 0);
        let skipped = io::copy(&mut (&mut self.inner).take(rest), &mut io::sink())?;
        if skipped < rest {
            return Err(truncated());
        }
        Ok(())
    }

    fn read_header(&mut self) -> io::Result<Option<tar::Header>> {
        let mut header = tar::Header::new_old();
        if !self.read_block(header.as_mut_bytes())? || header.as_bytes().iter().all(|b| *b == 0) {
            return Ok(None);
        }
        let sum: u32 = header
            .as_bytes()
            .iter()
            .enumerate()
            .map(|(at, byte)| {
                if (148..156).contains(&at) {
                    32
                } else {
                    u32::from(*byte)
                }
            })
            .sum();
        match header.cksum() {
            Ok(expected) if expected == sum => Ok(Some(header)),
            _ => Err(bad("not a tar header (wrong checksum)")),
        }
    }

    /// Fills a block; false when the stream ends before it.
    fn read_block(&mut self, block: &mut [u8]) -> io::Result<bool> {
        let mut filled = 0;
        while filled < block.len() {
            match self.inner.read(&mut block[filled..]) {
                Ok(0) if filled == 0 => return Ok(false),
                Ok(0) => return Err(truncated()),
                Ok(n) => filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn read_small(&mut self, size: u64) -> io::Result<Vec<u8>> {
        self.begin(size);
        let mut data = Vec::new();
        self.read_to_end(&mut data)?;
        Ok(data)
    }

    fn old_gnu_map(&mut self, header: &tar::Header) -> io::Result<SparseMap> {
        let unreadable = |_| bad("unreadable sparse map");
        let gnu = header
            .as_gnu()
            .ok_or_else(|| bad("sparse file without a GNU header"))?;
        let mut map = SparseMap::with_size(gnu.real_size().map_err(unreadable)?);
        let mut more = gnu.is_extended();
        for piece in gnu.sparse.iter().filter(|piece| !piece.is_empty()) {
            map.push(
                piece.offset().map_err(unreadable)?,
                piece.length().map_err(unreadable)?,
            )?;
        }
        while more {
            let mut extension = tar::GnuExtSparseHeader::new();
            if !self.read_block(extension.as_mut_bytes())? {
                return Err(truncated());
            }
            for piece in extension.sparse().iter().filter(|piece| !piece.is_empty()) {
                map.push(
                    piece.offset().map_err(unreadable)?,
                    piece.length().map_err(unreadable)?,
                )?;
            }
            more = extension.is_extended();
        }
        Ok(map)
    }
}

impl<R: Read> Read for TarReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if want == 0 {
            return Ok(0);
        }
        let n = self.inner.read(&mut buffer[..want])?;
        if n == 0 {
            return Err(truncated());
        }
        self.left -= n as u64;
        Ok(n)
    }
}

/// Whether it is about another entry: the next, or all.
fn is_extension(kind: EntryType) -> bool {
    use EntryType as E;
    matches!(
        kind,
        E::XHeader | E::XGlobalHeader | E::GNULongName | E::GNULongLink
    )
}

fn entry_of(header: &tar::Header, size: u64) -> io::Result<TarEntry> {
    let old = header.as_old();
    let path = header.path_bytes().into_owned();
    let unreadable = |what: &str| {
        bad(&format!(
            "entry {:?}: unreadable {what}",
            String::from_utf8_lossy(&path)
        ))
    };
    let number = |field: &[u8], read: io::Result<u64>, what: &str| match read {
        Ok(value) => Ok(value),
        // Some tools leave a number that is zero blank.
        Err(_) if field.iter().all(|b| matches!(b, 0 | b' ')) => Ok(0),
        Err(_) => Err(unreadable(what)),
    };
    let id = |value: u64, what: &str| {
        // The highest id means "leave it" to the kernel.
        u32::try_from(value)
            .ok()
            .filter(|id| *id != u32::MAX)
            .ok_or_else(|| unreadable(what))
    };
    let kind = header.entry_type();
    let device = if kind.is_character_special() || kind.is_block_special() {
        let major = header.device_major().map_err(|_| unreadable("device"))?;
        (
            major.unwrap_or(0),
            header
                .device_minor()
                .map_err(|_| unreadable("device"))?
                .unwrap_or(0),
        )
    } else {
        (0, 0)
    };
    // Before POSIX a directory was a file whose name ends in a slash.
    let kind = if kind.is_file() && path.ends_with(b"/") {
        EntryType::Directory
    } else {
        kind
    };
    Ok(TarEntry {
        link: header
            .link_name_bytes()
            .map(|l| l.into_owned())
            .unwrap_or_default(),
        kind,
        uid: id(number(&old.uid, header.uid(), "user id")?, "user id")?,
        gid: id(number(&old.gid, header.gid(), "group id")?, "group id")?,
        mode: number(&old.mode, header.mode().map(u64::from), "mode")? as u32 & 0o7777,
        mtime: (number(&old.mtime, header.mtime(), "time")? as i64, 0),
        size,
        device,
        xattrs: Vec::new(),
        sparse: None,
        path,
    })
}

fn until_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(end) = bytes.iter().position(|b| *b == 0) {
        bytes.truncate(end);
    }
    bytes
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

fn truncated() -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        "the archive ends in the middle of an entry",
    )
}
