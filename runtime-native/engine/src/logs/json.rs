//! The lines of a json-file log.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;

use super::entry::Entry;
use crate::clock::parse_rfc3339;

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, default)]
    log: Cow<'a, str>,
    #[serde(borrow, default)]
    stream: Cow<'a, str>,
    #[serde(borrow, default)]
    time: Cow<'a, str>,
    #[serde(default)]
    attrs: BTreeMap<String, String>,
}

/// Reads a line; `None` for one that is damaged.
pub fn decode(line: &[u8]) -> Option<Entry<'_>> {
    let line: Line = serde_json::from_slice(line).ok()?;
    let text = match line.log {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    };
    Some(Entry {
        stderr: line.stream == "stderr",
        time_nanos: parse_rfc3339(&line.time)?,
        text,
        attributes: line.attrs,
    })
}
