//! One entry of a log, and its form on the wire.

use std::borrow::Cow;
use std::collections::BTreeMap;

use creel_shim::log::local;

use crate::clock::rfc3339_nano;
use crate::proto::LogsRequest;

/// One entry of a log.
pub struct Entry<'a> {
    pub stderr: bool,
    pub time_nanos: i64,
    /// With its newline, if it has one.
    pub text: Cow<'a, [u8]>,
    pub attributes: BTreeMap<String, String>,
}

impl<'a> From<local::Entry<'a>> for Entry<'a> {
    fn from(entry: local::Entry<'a>) -> Self {
        Self {
            stderr: entry.stderr,
            time_nanos: entry.time_nanos,
            text: Cow::Borrowed(entry.text),
            attributes: BTreeMap::new(),
        }
    }
}

/// Which entries a reader wants, and how.
#[derive(Debug, Clone)]
pub struct Selection {
    pub stdout: bool,
    pub stderr: bool,
    pub since_nanos: i64,
    pub until_nanos: i64,
    pub timestamps: bool,
    pub details: bool,
    /// Without frames, for a container with a terminal.
    pub raw: bool,
}

/// What to do with an entry.
pub enum Verdict {
    Skip,
    Past,
    Take,
}

impl Selection {
    /// What `request` asks of a log; `raw` for one of a terminal.
    pub fn new(request: &LogsRequest, raw: bool) -> Self {
        Self {
            stdout: request.stdout,
            stderr: request.stderr,
            since_nanos: request.since_nanos,
            until_nanos: request.until_nanos,
            timestamps: request.timestamps,
            details: request.details,
            raw,
        }
    }

    /// Appends the wire form of an entry to `out`, if it is wanted.
    pub fn render(&self, entry: &Entry, out: &mut Vec<u8>) -> Verdict {
        if self.until_nanos != 0 && entry.time_nanos > self.until_nanos {
            return Verdict::Past;
        }
        let wanted = if entry.stderr { self.stderr } else { self.stdout };
        if !wanted || entry.time_nanos < self.since_nanos {
            return Verdict::Skip;
        }
        let mut head = String::new();
        if self.timestamps {
            head.push_str(&rfc3339_nano(entry.time_nanos));
            head.push(' ');
        }
        if self.details {
            let pairs: Vec<_> = entry
                .attributes
                .iter()
                .map(|(k, v)| format!("{}={}", escape(k), escape(v)))
                .collect();
            head.push_str(&pairs.join(","));
            head.push(' ');
        }
        if !self.raw {
            frame(entry.stderr, head.len() + entry.text.len(), out);
        }
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(&entry.text);
        Verdict::Take
    }
}

// As a query parameter, so that a comma or an equals sign in a value cannot be taken for a separator.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(byte as char),
            b' ' => out.push('+'),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// Appends the head of one of Docker's frames: the stream, three zero bytes, the length in big-endian.
fn frame(stderr: bool, length: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&[if stderr { 2 } else { 1 }, 0, 0, 0]);
    out.extend_from_slice(&(length as u32).to_be_bytes());
}
