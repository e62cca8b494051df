//! The files of one log: the one being written and, after rotations, older ones `.1`, `.2`, …, each perhaps compressed.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use creel_shim::log::file::{compressed, identity, rotated};
use creel_shim::protocol::LogDriver;
use flate2::bufread::GzDecoder;

use super::driver::{Piece, decode, last};

const MAX_ROTATED: u32 = 1000;
const BLOCK: usize = 64 << 10;
/// More than the longest entry of any driver.
const WINDOW: u64 = 256 << 10;

/// One file of a log, open.
struct LogFile {
    identity: String,
    source: Source,
}

enum Source {
    Plain(File),
    Packed(Box<GzDecoder<BufReader<File>>>),
}

impl LogFile {
    /// Opens a file or what became of it; `None` if there is neither.
    fn open(path: &Path) -> io::Result<Option<Self>> {
        for (path, packed) in [(path.to_path_buf(), false), (compressed(path), true)] {
            let file = match File::open(&path) {
                Ok(file) => file,
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(e) => return Err(e),
            };
            if !packed {
                let identity = identity(&file)?;
                let source = Source::Plain(file);
                return Ok(Some(Self { identity, source }));
            }
            let decoder = GzDecoder::new(BufReader::with_capacity(BLOCK, file));
            let comment = decoder.header().and_then(|header| header.comment());
            return Ok(Some(Self {
                identity: String::from_utf8_lossy(comment.unwrap_or_default()).into_owned(),
                source: Source::Packed(Box::new(decoder)),
            }));
        }
        Ok(None)
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.source {
            Source::Plain(file) => file.read(buffer),
            // A damaged archive ends where its damage begins.
            Source::Packed(decoder) => Ok(decoder.read(buffer).unwrap_or(0)),
        }
    }

    fn skip(&mut self, count: u64) -> io::Result<()> {
        match &mut self.source {
            Source::Plain(file) => file.seek(SeekFrom::Start(count)).map(drop),
            Source::Packed(decoder) => io::copy(&mut decoder.take(count), &mut io::sink()).map(drop),
        }
    }
}

/// The files there may be, newest first. One that was compressed goes by its old name.
fn newest_first(log: &Path) -> impl Iterator<Item = PathBuf> {
    let older = (1..MAX_ROTATED).map({
        let log = log.to_path_buf();
        move |number| rotated(&log, number)
    });
    std::iter::once(log.to_path_buf())
        .chain(older.take_while(|path| path.exists() || compressed(path).exists()))
}

/// A place in a log. Survives rotations: the open file is found again, whatever it is called then.
pub struct Cursor {
    log: PathBuf,
    file: LogFile,
}

impl Cursor {
    /// The place from which `tail` entries follow (all when negative); `None` while there is no file.
    pub fn at_tail(log: &Path, driver: LogDriver, tail: i64) -> io::Result<Option<Self>> {
        let mut wanted = u64::try_from(tail).ok();
        let mut place = None;
        for path in newest_first(log) {
            let Some(mut file) = LogFile::open(&path)? else {
                break;
            };
            if let Some(wanted) = &mut wanted {
                let (offset, found) = tail_of(&mut file, &path, driver, *wanted)?;
                file.skip(offset)?;
                *wanted -= found;
            }
            place = Some(Self {
                log: log.to_path_buf(),
                file,
            });
            if wanted == Some(0) {
                break;
            }
        }
        Ok(place)
    }

    /// Reads on, over the borders of files; 0 when everything there is was read.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let n = self.file.read(buffer)?;
            if n > 0 {
                return Ok(n);
            }
            let Some(next) = self.newer()? else { return Ok(0) };
            // Written between the read above and the rotation.
            let n = self.file.read(buffer)?;
            if n > 0 {
                return Ok(n);
            }
            self.file = next;
        }
    }

    fn newer(&self) -> io::Result<Option<LogFile>> {
        let mut newer = None;
        for path in newest_first(&self.log) {
            let Some(file) = LogFile::open(&path)? else {
                continue;
            };
            if file.identity == self.file.identity {
                return Ok(newer);
            }
            newer = Some(file);
        }
        // Its own file was rotated away: go on with the oldest there is.
        Ok(newer)
    }
}

/// Where the last `wanted` entries of a file begin, and how many of them it has. A packed file is opened anew after.
fn tail_of(file: &mut LogFile, path: &Path, driver: LogDriver, wanted: u64) -> io::Result<(u64, u64)> {
    if let Source::Plain(plain) = &mut file.source {
        return back(plain, driver, wanted);
    }
    let total = count(file, driver, u64::MAX)?.1;
    let reopen = || LogFile::open(path)?.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound));
    *file = reopen()?;
    if total <= wanted {
        return Ok((0, total));
    }
    let (offset, _) = count(file, driver, total - wanted)?;
    *file = reopen()?;
    Ok((offset, wanted))
}

/// Passes over up to `most` entries from the beginning: the bytes they take, and their number.
fn count(file: &mut LogFile, driver: LogDriver, most: u64) -> io::Result<(u64, u64)> {
    let (mut offset, mut entries) = (0, 0);
    let mut block = vec![0; BLOCK];
    let mut bytes = Vec::new();
    loop {
        let n = file.read(&mut block)?;
        if n == 0 {
            return Ok((offset, entries));
        }
        bytes.extend_from_slice(&block[..n]);
        let mut at = 0;
        while let Piece::Entry(entry, length) = decode(driver, &bytes[at..]) {
            if entries == most {
                return Ok((offset, entries));
            }
            at += length;
            offset += length as u64;
            entries += u64::from(entry.is_some());
        }
        bytes.drain(..at);
    }
}

/// The same as `tail_of` for a file that can be read from its end.
fn back(file: &mut File, driver: LogDriver, wanted: u64) -> io::Result<(u64, u64)> {
    let size = file.metadata()?.len();
    let mut window = Vec::new();
    let (mut from, mut end, mut found) = (size, size, 0);
    while found < wanted && end > 0 {
        // The window begins well before `end`, or with the file.
        if from > 0 && end - from < WINDOW / 2 {
            from = end.saturating_sub(WINDOW);
            window.resize((end - from) as usize, 0);
            file.seek(SeekFrom::Start(from))?;
            file.read_exact(&mut window)?;
        }
        let bytes = &window[..(end - from) as usize];
        match last(driver, bytes) {
            Some(start) => (end, found) = (from + start as u64, found + 1),
            // The first line of a file has none before it.
            None if from == 0 && driver != LogDriver::Local && bytes.ends_with(b"\n") => {
                (end, found) = (0, found + 1);
            }
            // An entry that is being written, or damage.
            None => end -= 1,
        }
    }
    Ok((end, found))
}
