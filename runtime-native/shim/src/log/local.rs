//! The entries of the log driver `local`: compact, and readable from both ends.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | `0xC1`, a byte that occurs in no UTF-8 text |
//! | 1 | 1: standard output; 2: standard error |
//! | 4 | the length of the text, big-endian |
//! | 8 | when, in nanoseconds since 1970, big-endian |
//! | … | the text, with its newline if it has one |
//! | 4 | the length of the text again |

const MAGIC: u8 = 0xC1;
const HEAD: usize = 14;
/// What an entry takes beside its text.
pub const OVERHEAD: usize = HEAD + 4;
/// The longest text; a length beyond it is damage.
pub const MAX_TEXT: usize = 64 << 10;

/// One entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Whether it is of standard error.
    pub stderr: bool,
    /// When, in nanoseconds since 1970.
    pub time_nanos: i64,
    /// The text, with its newline if it has one.
    pub text: &'a [u8],
}

/// What stands at the beginning of some bytes of a log.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// An entry.
    Entry(Entry<'a>),
    /// The beginning of one.
    Incomplete,
    /// Neither; an entry may begin after so many bytes.
    Damage(usize),
}

/// Appends an entry to `out`. Text beyond `MAX_TEXT` bytes is left out.
pub fn encode(entry: &Entry, out: &mut Vec<u8>) {
    let text = &entry.text[..entry.text.len().min(MAX_TEXT)];
    let length = (text.len() as u32).to_be_bytes();
    out.extend([MAGIC, if entry.stderr { 2 } else { 1 }]);
    out.extend(length);
    out.extend(entry.time_nanos.to_be_bytes());
    out.extend(text);
    out.extend(length);
}

/// Reads what stands at the beginning of `bytes`.
pub fn decode(bytes: &[u8]) -> Piece<'_> {
    let Some(head) = bytes.first_chunk::<HEAD>() else {
        return match bytes.first() {
            None | Some(&MAGIC) => Piece::Incomplete,
            Some(_) => Piece::Damage(to_next(bytes)),
        };
    };
    let length = u32::from_be_bytes([head[2], head[3], head[4], head[5]]) as usize;
    if head[0] != MAGIC || !matches!(head[1], 1 | 2) || length > MAX_TEXT {
        return Piece::Damage(to_next(bytes));
    }
    let Some(tail) = bytes.get(HEAD + length..OVERHEAD + length) else {
        return Piece::Incomplete;
    };
    if tail != &head[2..6] {
        return Piece::Damage(to_next(bytes));
    }
    let [_, _, _, _, _, _, time @ ..] = *head;
    Piece::Entry(Entry {
        stderr: head[1] == 2,
        time_nanos: i64::from_be_bytes(time),
        text: &bytes[HEAD..HEAD + length],
    })
}

/// Where the entry begins that ends with the last of `bytes`.
pub fn last(bytes: &[u8]) -> Option<usize> {
    let length = u32::from_be_bytes(*bytes.last_chunk()?) as usize;
    let start = bytes.len().checked_sub(OVERHEAD.checked_add(length)?)?;
    match decode(&bytes[start..]) {
        Piece::Entry(entry) if entry.text.len() == length => Some(start),
        _ => None,
    }
}

fn to_next(bytes: &[u8]) -> usize {
    let next = bytes[1..].iter().position(|byte| *byte == MAGIC);
    next.map_or(bytes.len(), |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back_and_damage_is_passed_over() {
        let entries = [
            Entry {
                stderr: false,
                time_nanos: 1,
                text: b"one\n",
            },
            Entry {
                stderr: true,
                time_nanos: i64::MAX,
                text: b"\xc1\x01\0\0",
            },
            Entry {
                stderr: false,
                time_nanos: 0,
                text: b"",
            },
        ];
        let mut bytes = b"\xc1\x01\0\0\0\x14 torn".to_vec();
        entries.iter().for_each(|entry| encode(entry, &mut bytes));
        let mut read = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            match decode(&bytes[at..]) {
                Piece::Entry(entry) => {
                    at += OVERHEAD + entry.text.len();
                    read.push(entry);
                }
                Piece::Damage(length) => at += length,
                Piece::Incomplete => panic!("incomplete at {at} of {}", bytes.len()),
            }
        }
        // What the torn head takes for its text reaches into the entries behind it, which are found all the same.
        assert_eq!(read, entries);
        assert_eq!(last(&bytes), Some(bytes.len() - OVERHEAD));
        assert_eq!(last(&bytes[..bytes.len() - 1]), None);
        assert_eq!(last(&bytes[..11]), None);
    }

    #[test]
    fn any_cut_of_an_entry_is_incomplete() {
        let mut bytes = Vec::new();
        encode(
            &Entry {
                stderr: true,
                time_nanos: 7,
                text: b"text",
            },
            &mut bytes,
        );
        for end in 0..bytes.len() {
            assert_eq!(decode(&bytes[..end]), Piece::Incomplete, "{end}");
        }
    }
}
