//! Messages of D-Bus (https://dbus.freedesktop.org/doc/dbus-specification.html), as much as systemd's manager speaks of it:
//! calls with few kinds of values are written; replies, failures and signals are read.

use std::io::{self, Read};

/// No message of systemd's that is waited for is as long.
const LONGEST: usize = 1 << 20;
const CALL: u8 = 1;
pub const REPLY: u8 = 2;
pub const FAILURE: u8 = 3;
pub const SIGNAL: u8 = 4;

/// The value of a property, sent as a variant.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Text(String),
    Bool(bool),
    I32(i32),
    U32(u32),
    I64(i64),
    U64(u64),
    Bytes(Vec<u8>),
    U32s(Vec<u32>),
    Pairs(Vec<(String, String)>),
}

/// The arguments of a call, as they are written.
#[derive(Default)]
pub struct Body {
    bytes: Vec<u8>,
    signature: String,
}

/// A message that came.
#[derive(Debug)]
pub struct Message {
    pub kind: u8,
    pub reply_to: u32,
    /// A signal's name.
    pub member: String,
    /// A failure's name.
    pub error: String,
    pub body: Vec<u8>,
}

impl Body {
    pub fn text(mut self, text: &str) -> Self {
        self.signature.push('s');
        put_text(&mut self.bytes, text);
        self
    }

    pub fn bool(mut self, value: bool) -> Self {
        self.signature.push('b');
        put_u32(&mut self.bytes, value.into());
        self
    }

    /// Names and values, `a(sv)`.
    pub fn properties(mut self, properties: &[(String, Value)]) -> Self {
        self.signature.push_str("a(sv)");
        put_array(&mut self.bytes, 8, |bytes| {
            for (name, value) in properties {
                pad(bytes, 8);
                put_text(bytes, name);
                put_variant(bytes, value);
            }
        });
        self
    }

    /// No further units, `a(sa(sv))`.
    pub fn no_units(mut self) -> Self {
        self.signature.push_str("a(sa(sv))");
        put_array(&mut self.bytes, 8, |_| {});
        self
    }

    /// A call of a method of systemd's manager with these arguments.
    pub fn call(&self, serial: u32, method: &str) -> Vec<u8> {
        let mut message = vec![b'l', CALL, 0, 1];
        put_u32(&mut message, self.bytes.len() as u32);
        put_u32(&mut message, serial);
        put_array(&mut message, 8, |bytes| {
            let fields = [
                (1, "o", "/org/freedesktop/systemd1"),
                (2, "s", "org.freedesktop.systemd1.Manager"),
                (3, "s", method),
                (6, "s", "org.freedesktop.systemd1"),
            ];
            for (code, kind, text) in fields {
                pad(bytes, 8);
                bytes.push(code);
                put_signature(bytes, kind);
                put_text(bytes, text);
            }
            pad(bytes, 8);
            bytes.push(8);
            put_signature(bytes, "g");
            put_signature(bytes, &self.signature);
        });
        pad(&mut message, 8);
        message.extend_from_slice(&self.bytes);
        message
    }
}

impl Message {
    /// Reads the next one.
    pub fn read(from: &mut impl Read) -> io::Result<Self> {
        let mut head = [0; 16];
        from.read_exact(&mut head)?;
        let size =
            |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]) as usize;
        let (body, fields) = (size(4), size(12));
        if head[0] != b'l' || body > LONGEST || fields > LONGEST {
            return Err(malformed());
        }
        let mut rest = vec![0; fields.next_multiple_of(8) + body];
        from.read_exact(&mut rest)?;
        let mut message = Self {
            kind: head[1],
            reply_to: 0,
            member: String::new(),
            error: String::new(),
            body: rest.split_off(fields.next_multiple_of(8)),
        };
        rest.truncate(fields);
        read_fields(&rest, &mut message).ok_or_else(malformed)?;
        Ok(message)
    }
}

/// What it is if it is none.
pub fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "not a message of D-Bus")
}

fn read_fields(bytes: &[u8], message: &mut Message) -> Option<()> {
    let mut reader = Reader::new(bytes);
    while reader.at < bytes.len() {
        reader.align(8);
        let code = reader.byte()?;
        let kind = reader.signature()?;
        match kind.as_str() {
            "s" | "o" => {
                let text = reader.text()?;
                match code {
                    3 => message.member = text,
                    4 => message.error = text,
                    _ => {}
                }
            }
            "g" => drop(reader.signature()?),
            "u" => {
                let number = reader.u32()?;
                if code == 5 {
                    message.reply_to = number;
                }
            }
            _ => return None,
        }
    }
    Some(())
}

fn pad(bytes: &mut Vec<u8>, to: usize) {
    bytes.resize(bytes.len().next_multiple_of(to), 0);
}

fn put_u32(bytes: &mut Vec<u8>, number: u32) {
    pad(bytes, 4);
    bytes.extend_from_slice(&number.to_le_bytes());
}

fn put_u64(bytes: &mut Vec<u8>, number: u64) {
    pad(bytes, 8);
    bytes.extend_from_slice(&number.to_le_bytes());
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    put_u32(bytes, text.len() as u32);
    bytes.extend_from_slice(text.as_bytes());
    bytes.push(0);
}

fn put_signature(bytes: &mut Vec<u8>, signature: &str) {
    bytes.push(signature.len() as u8);
    bytes.extend_from_slice(signature.as_bytes());
    bytes.push(0);
}

/// The length counts from the first element on, which is aligned.
fn put_array(bytes: &mut Vec<u8>, alignment: usize, elements: impl FnOnce(&mut Vec<u8>)) {
    put_u32(bytes, 0);
    let length = bytes.len() - 4;
    pad(bytes, alignment);
    let first = bytes.len();
    elements(bytes);
    let size = (bytes.len() - first) as u32;
    bytes[length..length + 4].copy_from_slice(&size.to_le_bytes());
}

fn put_variant(bytes: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Text(text) => {
            put_signature(bytes, "s");
            put_text(bytes, text);
        }
        Value::Bool(on) => {
            put_signature(bytes, "b");
            put_u32(bytes, (*on).into());
        }
        Value::I32(number) => {
            put_signature(bytes, "i");
            put_u32(bytes, *number as u32);
        }
        Value::U32(number) => {
            put_signature(bytes, "u");
            put_u32(bytes, *number);
        }
        Value::I64(number) => {
            put_signature(bytes, "x");
            put_u64(bytes, *number as u64);
        }
        Value::U64(number) => {
            put_signature(bytes, "t");
            put_u64(bytes, *number);
        }
        Value::Bytes(all) => {
            put_signature(bytes, "ay");
            put_array(bytes, 1, |bytes| bytes.extend_from_slice(all));
        }
        Value::U32s(all) => {
            put_signature(bytes, "au");
            put_array(bytes, 4, |bytes| {
                all.iter().for_each(|number| put_u32(bytes, *number))
            });
        }
        Value::Pairs(all) => {
            put_signature(bytes, "a(ss)");
            put_array(bytes, 8, |bytes| {
                for (first, second) in all {
                    pad(bytes, 8);
                    put_text(bytes, first);
                    put_text(bytes, second);
                }
            });
        }
    }
}

/// Reads values one after another; none where there is none of the kind.
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn align(&mut self, to: usize) {
        self.at = self.at.next_multiple_of(to);
    }

    fn take(&mut self, size: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(size)?)?;
        self.at += size;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    pub fn u32(&mut self) -> Option<u32> {
        self.align(4);
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn string(&mut self, size: usize) -> Option<String> {
        let text = String::from_utf8(self.take(size)?.to_vec()).ok()?;
        self.take(1)?;
        Some(text)
    }

    pub fn text(&mut self) -> Option<String> {
        let size = self.u32()?;
        self.string(size as usize)
    }

    fn signature(&mut self) -> Option<String> {
        let size = self.byte()?;
        self.string(size.into())
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A message as systemd writes it: its fields are code, type and text.
    pub fn message(kind: u8, fields: &[(u8, &str, &str)], reply_to: u32, body: &Body) -> Vec<u8> {
        let mut bytes = vec![b'l', kind, 0, 1];
        put_u32(&mut bytes, body.bytes.len() as u32);
        put_u32(&mut bytes, 1);
        put_array(&mut bytes, 8, |bytes| {
            for (code, kind, text) in fields {
                pad(bytes, 8);
                bytes.push(*code);
                put_signature(bytes, kind);
                put_text(bytes, text);
            }
            pad(bytes, 8);
            bytes.push(5);
            put_signature(bytes, "u");
            put_u32(bytes, reply_to);
        });
        pad(&mut bytes, 8);
        bytes.extend_from_slice(&body.bytes);
        bytes
    }

    #[test]
    fn a_call_is_laid_out_as_the_specification_has_it() {
        let properties = [("Delegate".to_owned(), Value::Bool(true))];
        let bytes = Body::default().text("x").properties(&properties).call(1, "M");
        assert_eq!(&bytes[..4], b"l\x01\x00\x01");
        let body = u32::from_le_bytes(bytes[4..8].try_into().unwrap()) as usize;
        let expected = [
            b"\x01\0\0\0x\0\0\0".as_slice(),
            // The array's first element begins at a multiple of eight; its length does not count what is before.
            b"\x14\0\0\0\0\0\0\0",
            b"\x08\0\0\0Delegate\0\x01b\0\x01\0\0\0",
        ];
        assert_eq!(bytes[bytes.len() - body..], expected.concat());
    }
}
