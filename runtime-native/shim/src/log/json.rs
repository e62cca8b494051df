//! The entries of the log driver `json-file`, as Docker writes them.

use std::collections::BTreeMap;
use std::io::Write;

use super::Stream;

/// Appends an entry to `out`; `attributes` as `attributes` made them.
pub(super) fn encode(stream: Stream, text: &[u8], time: &str, attributes: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"log\":\"");
    escape(text, out);
    let name = if stream == Stream::Stdout {
        "stdout"
    } else {
        "stderr"
    };
    let _ = writeln!(out, "\",\"stream\":\"{name}\",{attributes}\"time\":\"{time}\"}}");
}

/// The part of each entry that tells the container's attributes; empty if it has none.
pub(super) fn attributes(attributes: &BTreeMap<String, String>) -> String {
    if attributes.is_empty() {
        return String::new();
    }
    let json = serde_json::to_string(attributes).unwrap_or_else(|_| "{}".into());
    format!("\"attrs\":{json},")
}

/// A JSON string as Docker writes it: HTML's characters escaped, bytes that are not UTF-8 replaced.
fn escape(text: &[u8], out: &mut Vec<u8>) {
    for chunk in text.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '"' | '\\' => out.extend([b'\\', character as u8]),
                '\n' => out.extend_from_slice(b"\\n"),
                '\r' => out.extend_from_slice(b"\\r"),
                '\0'..='\u{1f}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                    let _ = write!(out, "\\u{:04x}", character as u32);
                }
                _ => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        if !chunk.invalid().is_empty() {
            out.extend_from_slice(b"\\ufffd");
        }
    }
}
