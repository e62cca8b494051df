//! Building and reading netlink messages.

use std::collections::HashMap;

const HEADER: usize = 16;
const NLA_F_NESTED: u16 = 0x8000;
const NLA_TYPE_MASK: u16 = 0x3fff;

/// One netlink message under construction; also a buffer of several, for a batch.
pub(crate) struct Message {
    buffer: Vec<u8>,
    start: usize,
}

impl Message {
    /// Starts a message with its fixed header (`ifinfomsg`, `nfgenmsg`, …) in place.
    pub(crate) fn new(kind: u16, flags: i32, fixed: &[u8]) -> Self {
        let mut message = Self {
            buffer: Vec::with_capacity(256),
            start: 0,
        };
        message.begin(kind, flags, 0, fixed);
        message
    }

    /// Closes the current message and starts the next one in the same buffer.
    pub(crate) fn next(&mut self, kind: u16, flags: i32, sequence: u32, fixed: &[u8]) {
        self.finish();
        self.begin(kind, flags, sequence, fixed);
    }

    fn begin(&mut self, kind: u16, flags: i32, sequence: u32, fixed: &[u8]) {
        self.start = self.buffer.len();
        self.buffer.extend_from_slice(&0u32.to_ne_bytes());
        self.buffer.extend_from_slice(&kind.to_ne_bytes());
        self.buffer.extend_from_slice(&(flags as u16).to_ne_bytes());
        self.buffer.extend_from_slice(&sequence.to_ne_bytes());
        self.buffer.extend_from_slice(&0u32.to_ne_bytes());
        self.buffer.extend_from_slice(fixed);
        self.align();
    }

    fn align(&mut self) {
        while !self.buffer.len().is_multiple_of(4) {
            self.buffer.push(0);
        }
    }

    fn finish(&mut self) {
        let length = (self.buffer.len() - self.start) as u32;
        self.buffer[self.start..self.start + 4].copy_from_slice(&length.to_ne_bytes());
    }

    pub(crate) fn or_flags(&mut self, flags: i32) {
        let at = self.start + 6;
        let old = u16::from_ne_bytes([self.buffer[at], self.buffer[at + 1]]);
        self.buffer[at..at + 2].copy_from_slice(&(old | flags as u16).to_ne_bytes());
    }

    pub(crate) fn set_sequence(&mut self, sequence: u32) {
        let at = self.start + 8;
        self.buffer[at..at + 4].copy_from_slice(&sequence.to_ne_bytes());
    }

    /// The finished bytes.
    pub(crate) fn bytes(&mut self) -> &[u8] {
        self.finish();
        &self.buffer
    }

    pub(crate) fn attribute(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        self.buffer
            .extend_from_slice(&((value.len() + 4) as u16).to_ne_bytes());
        self.buffer.extend_from_slice(&kind.to_ne_bytes());
        self.buffer.extend_from_slice(value);
        self.align();
        self
    }

    /// A string attribute, ended by a zero byte.
    pub(crate) fn string(&mut self, kind: u16, value: &str) -> &mut Self {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.attribute(kind, &bytes)
    }

    pub(crate) fn u8(&mut self, kind: u16, value: u8) -> &mut Self {
        self.attribute(kind, &[value])
    }

    /// A number in the machine's byte order (rtnetlink).
    pub(crate) fn u32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.attribute(kind, &value.to_ne_bytes())
    }

    /// A number in network byte order (nfnetlink).
    pub(crate) fn be32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.attribute(kind, &value.to_be_bytes())
    }

    pub(crate) fn nested(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) -> &mut Self {
        let at = self.buffer.len();
        self.buffer.extend_from_slice(&0u16.to_ne_bytes());
        self.buffer
            .extend_from_slice(&(kind | NLA_F_NESTED).to_ne_bytes());
        fill(self);
        let length = (self.buffer.len() - at) as u16;
        self.buffer[at..at + 2].copy_from_slice(&length.to_ne_bytes());
        self
    }

    /// Raw bytes inside the current attribute (a fixed header in a nested one).
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.buffer.extend_from_slice(bytes);
        self.align();
        self
    }
}

/// The attributes of a received message, by type.
pub(crate) struct Attributes<'a>(HashMap<u16, &'a [u8]>);

impl<'a> Attributes<'a> {
    pub(crate) fn parse(mut bytes: &'a [u8]) -> Self {
        let mut found = HashMap::new();
        while bytes.len() >= 4 {
            let length = u16::from_ne_bytes([bytes[0], bytes[1]]) as usize;
            let kind = u16::from_ne_bytes([bytes[2], bytes[3]]) & NLA_TYPE_MASK;
            if length < 4 || length > bytes.len() {
                break;
            }
            found.insert(kind, &bytes[4..length]);
            bytes = &bytes[length.next_multiple_of(4).min(bytes.len())..];
        }
        Self(found)
    }

    pub(crate) fn get(&self, kind: u16) -> Option<&'a [u8]> {
        self.0.get(&kind).copied()
    }

    pub(crate) fn u32(&self, kind: u16) -> Option<u32> {
        self.get(kind)
            .and_then(|b| b.try_into().ok())
            .map(u32::from_ne_bytes)
    }

    pub(crate) fn string(&self, kind: u16) -> Option<String> {
        let bytes = self.get(kind)?;
        let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
        String::from_utf8(bytes[..end].to_vec()).ok()
    }
}

/// Splits a datagram into (type, sequence, payload).
pub(crate) fn split(mut bytes: &[u8]) -> Vec<(u16, u32, &[u8])> {
    let mut messages = Vec::new();
    while bytes.len() >= HEADER {
        let length = u32::from_ne_bytes(bytes[0..4].try_into().expect("four bytes")) as usize;
        let kind = u16::from_ne_bytes(bytes[4..6].try_into().expect("two bytes"));
        let sequence = u32::from_ne_bytes(bytes[8..12].try_into().expect("four bytes"));
        if length < HEADER || length > bytes.len() {
            break;
        }
        messages.push((kind, sequence, &bytes[HEADER..length]));
        bytes = &bytes[length.next_multiple_of(4).min(bytes.len())..];
    }
    messages
}
