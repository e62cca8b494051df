use std::collections::BTreeMap;
use std::io;

use super::{SparseMap, TarEntry, bad};

const XATTR: &str = "SCHILY.xattr.";

/// The records of extended headers, later ones over earlier ones.
#[derive(Debug, Clone, Default)]
pub(super) struct Extended {
    fields: BTreeMap<String, Vec<u8>>,
    /// Form 0.0 of sparse files repeats its keys, so their order counts.
    pieces: Vec<u64>,
}

impl Extended {
    /// Bytes of what it holds.
    pub(super) fn size(&self) -> u64 {
        let fields = self.fields.iter().map(|(key, value)| key.len() + value.len());
        (fields.sum::<usize>() + self.pieces.len() * size_of::<u64>()) as u64
    }

    /// Takes in records of the form `LENGTH KEY=VALUE\n`, where LENGTH counts the whole record.
    pub(super) fn add(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let malformed = || bad("malformed extended header");
        while !bytes.is_empty() && bytes[0] != 0 {
            let space = bytes
                .iter()
                .take(20)
                .position(|b| *b == b' ')
                .ok_or_else(malformed)?;
            let length: usize = std::str::from_utf8(&bytes[..space])
                .ok()
                .and_then(|t| t.parse().ok())
                .ok_or_else(malformed)?;
            if length <= space + 1 || length > bytes.len() || bytes[length - 1] != b'\n' {
                return Err(malformed());
            }
            let record = &bytes[space + 1..length - 1];
            let equals = record.iter().position(|b| *b == b'=').ok_or_else(malformed)?;
            let key = String::from_utf8(record[..equals].to_vec()).map_err(|_| malformed())?;
            let value = &record[equals + 1..];
            if matches!(key.as_str(), "GNU.sparse.offset" | "GNU.sparse.numbytes") {
                self.pieces.push(number(value).ok_or_else(malformed)?);
            }
            if value.is_empty() && !key.starts_with(XATTR) {
                self.fields.remove(&key);
            } else {
                self.fields.insert(key, value.to_vec());
            }
            bytes = &bytes[length..];
        }
        Ok(())
    }

    /// Puts the records in the place of the header's fields.
    pub(super) fn apply(self, entry: &mut TarEntry) -> io::Result<()> {
        let mut sparse_name = None;
        let mut real_size = None;
        let mut listed = Vec::new();
        let mut map_in_data = false;
        for (key, value) in self.fields {
            let unreadable = || bad(&format!("unreadable {key} in an extended header"));
            let id = |value: &[u8]| {
                number(value)
                    .and_then(|n| u32::try_from(n).ok())
                    .filter(|n| *n != u32::MAX)
                    .ok_or_else(unreadable)
            };
            if let Some(name) = key.strip_prefix(XATTR) {
                entry.xattrs.push((name.as_bytes().to_vec(), value));
                continue;
            }
            match key.as_str() {
                "path" => entry.path = value,
                "linkpath" => entry.link = value,
                "size" => entry.size = number(&value).ok_or_else(unreadable)?,
                "uid" => entry.uid = id(&value)?,
                "gid" => entry.gid = id(&value)?,
                "mtime" => entry.mtime = time(&value).ok_or_else(unreadable)?,
                "GNU.sparse.name" => sparse_name = Some(value),
                "GNU.sparse.realsize" | "GNU.sparse.size" => {
                    real_size = Some(number(&value).ok_or_else(unreadable)?);
                }
                "GNU.sparse.major" => map_in_data = value == b"1",
                "GNU.sparse.map" => {
                    let numbers = value.split(|b| *b == b',').map(number);
                    listed = numbers.collect::<Option<Vec<u64>>>().ok_or_else(unreadable)?;
                }
                _ => {}
            }
        }
        if let Some(size) = real_size {
            if listed.is_empty() {
                listed = self.pieces;
            }
            let mut map = SparseMap::with_size(size);
            map.set_in_data(map_in_data);
            for piece in listed.chunks(2) {
                map.push(piece[0], *piece.get(1).ok_or_else(|| bad("odd sparse map"))?)?;
            }
            entry.sparse = Some(map);
            if let Some(name) = sparse_name {
                entry.path = name;
            }
        }
        Ok(())
    }
}

fn number(value: &[u8]) -> Option<u64> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// Seconds with an optional sign and fraction.
fn time(value: &[u8]) -> Option<(i64, u32)> {
    let text = std::str::from_utf8(value).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().ok()?;
    let mut nanos: u32 = 0;
    for place in 0..9 {
        let digit = fraction.as_bytes().get(place).copied().unwrap_or(b'0');
        if !digit.is_ascii_digit() {
            return None;
        }
        nanos = nanos * 10 + u32::from(digit - b'0');
    }
    if text.starts_with('-') && nanos > 0 {
        return Some((seconds.checked_sub(1)?, 1_000_000_000 - nanos));
    }
    Some((seconds, nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extended_times() {
        assert_eq!(time(b"1700000000.5"), Some((1_700_000_000, 500_000_000)));
        assert_eq!(time(b"12"), Some((12, 0)));
        assert_eq!(time(b"-1.25"), Some((-2, 750_000_000)));
        assert_eq!(time(b"x"), None);
    }

    #[test]
    fn records_are_measured_not_split() {
        let mut extended = Extended::default();
        extended.add(b"23 SCHILY.xattr.a=\n=\n.\n11 path=ab\n").unwrap();
        assert_eq!(extended.fields["SCHILY.xattr.a"], b"\n=\n.");
        assert_eq!(extended.fields["path"], b"ab");
        for bad in [&b"5 a=b\n"[..], b"99 a=b\n", b"x a=b\n", b"6 abc\n"] {
            assert!(Extended::default().add(bad).is_err());
        }
    }
}
