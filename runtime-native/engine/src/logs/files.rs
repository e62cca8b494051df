//! The files of one log: the one being written and, after rotations, older ones `.1`, `.2`, …

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

const MAX_ROTATED: usize = 1000;

/// The files that are there, newest first.
pub fn newest_first(log: &Path) -> Vec<PathBuf> {
    let rotated = (1..MAX_ROTATED).map(|n| PathBuf::from(format!("{}.{n}", log.display())));
    std::iter::once(log.to_path_buf())
        .chain(rotated.take_while(|p| p.exists()))
        .collect()
}

/// A place in a log. Survives rotations: the open file is found again by its inode.
pub struct Cursor {
    log: PathBuf,
    file: File,
    inode: u64,
}

impl Cursor {
    /// The place from which `tail` lines follow (all when negative); `None` while there is no file.
    pub fn at_tail(log: &Path, tail: i64) -> io::Result<Option<Self>> {
        let mut wanted = if tail < 0 { u64::MAX } else { tail as u64 };
        let mut place = None;
        for path in newest_first(log) {
            let mut file = match File::open(&path) {
                Ok(file) => file,
                Err(e) if e.kind() == io::ErrorKind::NotFound => break,
                Err(e) => return Err(e),
            };
            let (offset, found) = if wanted == u64::MAX {
                (0, 0)
            } else {
                lines_back(&mut file, wanted)?
            };
            file.seek(SeekFrom::Start(offset))?;
            let inode = file.metadata()?.ino();
            place = Some(Self {
                log: log.to_path_buf(),
                file,
                inode,
            });
            if wanted != u64::MAX {
                wanted -= found;
                if wanted == 0 {
                    break;
                }
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
            let Some(next) = self.newer() else { return Ok(0) };
            // Written between the read above and the rotation.
            let n = self.file.read(buffer)?;
            if n > 0 {
                return Ok(n);
            }
            self.inode = next.metadata()?.ino();
            self.file = next;
        }
    }

    fn newer(&self) -> Option<File> {
        let files = newest_first(&self.log);
        let mut newer = None;
        for path in files {
            let Ok(file) = File::open(&path) else { continue };
            let Ok(metadata) = file.metadata() else { continue };
            if metadata.ino() == self.inode {
                return newer;
            }
            newer = Some(file);
        }
        // Its own file was rotated away: go on with the oldest there is.
        newer
    }
}

/// Where the last `wanted` lines of the file begin, and how many of them it has.
fn lines_back(file: &mut File, wanted: u64) -> io::Result<(u64, u64)> {
    const BLOCK: u64 = 64 << 10;
    let size = file.metadata()?.len();
    if wanted == 0 {
        return Ok((size, 0));
    }
    let mut end = size;
    let mut newlines = 0;
    let mut block = vec![0u8; BLOCK as usize];
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        let part = &mut block[..(end - start) as usize];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(part)?;
        for (index, byte) in part.iter().enumerate().rev() {
            if *byte != b'\n' {
                continue;
            }
            // The newline that ends the last line of all begins nothing.
            if newlines == wanted {
                return Ok((start + index as u64 + 1, wanted));
            }
            newlines += 1;
        }
        end = start;
    }
    Ok((0, newlines.min(wanted)))
}
