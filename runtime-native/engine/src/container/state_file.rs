//! A small record that is written often: over the older of its two last versions, so that a write which a power cut tears
//! costs the last change and never the record. A file in its place would cost a new inode and a wait for its blocks each time.

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::Path;

use creel_storage::Digest;

use super::record::write_file;
use crate::error::{EngineError, Result};

/// A version's place: its digest, its number, its text, and blanks up to a line's end.
const SLOT: usize = 4096;
/// How the file begins that the first builds wrote: the text alone, a JSON object.
const PLAIN: &[u8] = b"{";

/// What is found of a record.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// The newest version that is whole; torn: another one is not.
    Version {
        text: Vec<u8>,
        torn: bool,
    },
    /// There is something, and nothing of it is whole.
    Damaged,
    Nothing,
}

/// Writes the version `number`, one more than the last.
pub fn write(path: &Path, number: u64, text: &[u8]) -> Result<()> {
    let failed = |e| EngineError::io(format_args!("write {}", path.display()), e);
    let line = line(number, text);
    if line.len() > SLOT {
        return write_file(path, &line, true);
    }
    let mut options = OpenOptions::new();
    let file = options.create(true).truncate(false).write(true).open(path);
    let file = file.map_err(failed)?;
    // One that was too long for its place has the whole file.
    if file.metadata().map_err(failed)?.len() as usize > 2 * SLOT {
        let mut both = vec![0; 2 * SLOT];
        let begin = (number % 2) as usize * SLOT;
        both[begin..begin + SLOT].copy_from_slice(&line);
        return write_file(path, &both, true);
    }
    if number == 0 {
        // The other's place, too: on a full disk there is room for what comes.
        let both = [line, vec![0; SLOT]].concat();
        return file.write_all_at(&both, 0).map_err(failed);
    }
    file.write_all_at(&line, (number % 2) * SLOT as u64)
        .map_err(failed)
}

/// Waits until the disk has what was written.
pub fn sync(path: &Path) -> Result<()> {
    File::open(path)
        .and_then(|file| file.sync_data())
        .map_err(|e| EngineError::io(format_args!("write {}", path.display()), e))
}

/// Reads the newest version that is whole.
pub fn read(path: &Path) -> Result<Found> {
    let bytes = match fs::read(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Found::Nothing),
        other => other.map_err(|e| EngineError::io(format_args!("read {}", path.display()), e))?,
    };
    let plain = bytes.starts_with(PLAIN) && bytes.len() < 2 * SLOT;
    let mut slots: Vec<_> = match plain || bytes.len() > 2 * SLOT {
        true => vec![bytes.as_slice()],
        false => bytes.chunks(SLOT).collect(),
    };
    slots.retain(|slot| slot.iter().any(|byte| *byte != 0));
    let newest = slots
        .iter()
        .filter_map(|slot| parse(slot))
        .max_by_key(|(_, number)| *number);
    Ok(match newest {
        Some((text, _)) => Found::Version {
            text: text.to_vec(),
            torn: slots.iter().any(|slot| parse(slot).is_none()),
        },
        None if slots.is_empty() => Found::Nothing,
        None => Found::Damaged,
    })
}

fn line(number: u64, text: &[u8]) -> Vec<u8> {
    let mut counted = format!("{number} ").into_bytes();
    counted.extend_from_slice(text);
    let mut line = format!("{} ", Digest::of(&counted).hex()).into_bytes();
    line.extend_from_slice(&counted);
    let size = match line.len() + 1 {
        short if short <= SLOT => SLOT,
        // a file that is longer than both places is one version
        long => long.max(2 * SLOT + 1),
    };
    line.resize(size, b' ');
    if let Some(end) = line.last_mut() {
        *end = b'\n';
    }
    line
}

fn parse(slot: &[u8]) -> Option<(&[u8], u64)> {
    if slot.starts_with(PLAIN) {
        // zeros: there is nothing up to the next place
        let text = slot.split(|byte| *byte == 0).next()?;
        return Some((text.trim_ascii_end(), 0));
    }
    let slot = slot.strip_suffix(b"\n")?.trim_ascii_end();
    let (digest, counted) = split(slot)?;
    let (number, text) = split(counted)?;
    let whole = Digest::of(counted).hex().as_bytes() == digest;
    let number = std::str::from_utf8(number).ok()?.parse().ok()?;
    whole.then_some((text, number))
}

fn split(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|byte| *byte == b' ')?;
    Some((&text[..at], &text[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn newest(path: &Path) -> Option<String> {
        match read(path).unwrap() {
            Found::Version { text, .. } => Some(String::from_utf8(text).unwrap()),
            _ => None,
        }
    }

    #[test]
    fn a_version_replaces_the_one_before_whatever_their_sizes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.json");
        assert_eq!(read(&path).unwrap(), Found::Nothing);
        for (number, length) in [10, 2000, 4000, 20, 9000, 30, 40, 5000, 6000, 7]
            .into_iter()
            .enumerate()
        {
            let text = number.to_string().repeat(length);
            write(&path, number as u64, text.as_bytes()).unwrap();
            assert_eq!(newest(&path), Some(text), "{number}");
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_torn_version_costs_the_last_change_at_most() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.json");
        for number in 0..5u64 {
            write(&path, number, format!("version {number}").as_bytes()).unwrap();
            let whole = fs::read(&path).unwrap();
            let before = number.checked_sub(1).map(|n| format!("version {n}"));
            let begin = (number % 2) as usize * SLOT;
            for cut in [0, 1, 64, 65, 70, 512, 4095] {
                // Up to there it came to the disk; behind it is what a disk may have: zeros, what was there, anything.
                for rest in [b'\0', b' ', b'x'] {
                    let mut torn = whole.clone();
                    torn[begin + cut..begin + SLOT].fill(rest);
                    fs::write(&path, &torn).unwrap();
                    assert_eq!(newest(&path), before, "{number} {cut} {rest}");
                }
                fs::write(&path, &whole[..begin + cut]).unwrap();
                if number % 2 == 1 {
                    assert_eq!(newest(&path), before, "{number} {cut}");
                }
            }
            fs::write(&path, &whole).unwrap();
        }
        fs::write(&path, [b'x'; 3 * SLOT]).unwrap();
        assert_eq!(read(&path).unwrap(), Found::Damaged);
        fs::write(&path, b"").unwrap();
        assert_eq!(read(&path).unwrap(), Found::Nothing);
    }

    #[test]
    fn the_text_alone_counts_until_there_is_a_version() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.json");
        for length in [1, 3000, 5000, 9000] {
            let plain = format!("{{\"error\":\"{}\"}}", "e".repeat(length));
            for blanks in ["", "  "] {
                fs::write(&path, format!("{plain}{blanks}")).unwrap();
                let found = read(&path).unwrap();
                let text = plain.clone().into_bytes();
                assert_eq!(found, Found::Version { text, torn: false }, "{length}");
            }
            for number in 1..4 {
                let text = format!("version {number}").into_bytes();
                write(&path, number, &text).unwrap();
                let found = read(&path).unwrap();
                assert_eq!(found, Found::Version { text, torn: false }, "{length} {number}");
            }
        }
        fs::write(&path, b"{\"a\":1}").unwrap();
        write(&path, 1, b"one").unwrap();
        OpenOptions::new()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(SLOT as u64 + 70)
            .unwrap();
        assert_eq!(newest(&path).as_deref(), Some("{\"a\":1}"));
    }
}
