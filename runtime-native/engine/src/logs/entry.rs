//! One line of the log file, and its form on the wire.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;

use crate::clock::parse_rfc3339;
use crate::proto::LogsRequest;

/// One line of a json-file log.
#[derive(Deserialize)]
pub struct Entry<'a> {
    #[serde(borrow, default)]
    log: Cow<'a, str>,
    #[serde(borrow, default)]
    stream: Cow<'a, str>,
    #[serde(borrow, default)]
    time: Cow<'a, str>,
    #[serde(default)]
    attrs: BTreeMap<String, String>,
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

    /// Appends the wire form of one line of the file to `out`, if it is wanted. A damaged line is passed over.
    pub fn render(&self, line: &[u8], out: &mut Vec<u8>) -> Verdict {
        let Ok(entry) = serde_json::from_slice::<Entry>(line) else {
            return Verdict::Skip;
        };
        if self.since_nanos != 0 || self.until_nanos != 0 {
            let time = parse_rfc3339(&entry.time).unwrap_or(0);
            if self.until_nanos != 0 && time > self.until_nanos {
                return Verdict::Past;
            }
            if time < self.since_nanos {
                return Verdict::Skip;
            }
        }
        let stderr = entry.stream == "stderr";
        if !(if stderr { self.stderr } else { self.stdout }) {
            return Verdict::Skip;
        }
        let mut text = String::new();
        if self.timestamps {
            text.push_str(&nine_digits(&entry.time));
            text.push(' ');
        }
        if self.details {
            let pairs: Vec<_> = entry
                .attrs
                .iter()
                .map(|(k, v)| format!("{}={}", escape(k), escape(v)))
                .collect();
            text.push_str(&pairs.join(","));
            text.push(' ');
        }
        text.push_str(&entry.log);
        if self.raw {
            out.extend_from_slice(text.as_bytes());
        } else {
            frame(stderr, text.as_bytes(), out);
        }
        Verdict::Take
    }
}

/// A time of the file, which has no zeros at its end, with all nine digits: readers line them up.
fn nine_digits(time: &str) -> String {
    let Some(head) = time.strip_suffix('Z') else {
        return time.to_owned();
    };
    let (seconds, fraction) = head.split_once('.').unwrap_or((head, ""));
    format!("{seconds}.{fraction:0<9}Z")
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

/// Appends one of Docker's frames: the stream, three zero bytes, the length in big-endian, the bytes.
pub fn frame(stderr: bool, bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&[if stderr { 2 } else { 1 }, 0, 0, 0]);
    out.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::nine_digits;

    #[test]
    fn times_are_of_one_length() {
        for (time, full) in [
            ("2026-11-25T02:11:42.69816817Z", "2026-11-25T02:11:42.698168170Z"),
            ("2026-11-25T02:11:42.708315327Z", "2026-11-25T02:11:42.708315327Z"),
            ("2026-11-25T02:11:42Z", "2026-11-25T02:11:42.000000000Z"),
            ("", ""),
        ] {
            assert_eq!(nine_digits(time), full);
        }
    }
}
