//! A batch of changes to a table of ours, committed atomically.

use super::expression::{Expr, Verdict};
use crate::error::{Error, Result};
use crate::netlink::{Message, Socket};

const SUBSYSTEM: u16 = 10;
const FAMILY: u8 = libc::AF_INET as u8;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const NEWTABLE: u16 = 0;
const DELTABLE: u16 = 2;
const NEWCHAIN: u16 = 3;
const NEWRULE: u16 = 6;
const NEWSET: u16 = 9;
const NEWSETELEM: u16 = 12;
const DELSETELEM: u16 = 14;
/// An attribute's length has sixteen bits; this many elements stay below it.
const ELEMENTS_A_MESSAGE: usize = 256;

/// Where a base chain hangs.
pub(crate) struct Hook {
    /// `filter`, `nat` or `route`.
    pub(crate) kind: &'static str,
    pub(crate) number: u32,
    pub(crate) priority: i32,
}

impl Hook {
    pub(crate) const PREROUTING: u32 = 0;
    pub(crate) const FORWARD: u32 = 2;
    pub(crate) const OUTPUT: u32 = 3;
    pub(crate) const POSTROUTING: u32 = 4;
}

/// What a set or map holds beside its keys.
pub(crate) enum Map {
    Set,
    Intervals,
    Values(u32),
    Verdicts,
}

/// The value of an element.
#[derive(Clone, Debug)]
pub(crate) enum Data {
    None,
    Value(Vec<u8>),
    Verdict(Verdict),
    IntervalEnd,
}

/// A key with its value.
#[derive(Clone, Debug)]
pub(crate) struct Element {
    pub(crate) key: Vec<u8>,
    pub(crate) data: Data,
}

/// The nf_tables of one namespace.
pub(crate) struct Nft(Socket);

impl Nft {
    /// Opens the door to the calling thread's namespace.
    pub(crate) fn open_here() -> Result<Self> {
        let socket = Socket::open(libc::NETLINK_NETFILTER);
        Ok(Self(socket.map_err(|e| {
            Error::system("open a netfilter netlink socket", e)
        })?))
    }

    /// Commits a batch: all of it at one moment, or nothing.
    pub(crate) fn commit(&mut self, mut batch: Batch, what: &str) -> Result<()> {
        if batch.sequence == 1 {
            return Ok(());
        }
        let last = batch.sequence;
        batch.message.or_flags(libc::NLM_F_ACK);
        batch
            .message
            .next(BATCH_END, libc::NLM_F_REQUEST, last + 1, &generic(0, SUBSYSTEM));
        self.0
            .batch(batch.message.bytes(), last)
            .map_err(|e| Error::system(what, e))
    }
}

/// Changes to one table, collected.
pub(crate) struct Batch {
    table: &'static str,
    message: Message,
    sequence: u32,
    sets: u32,
}

impl Batch {
    pub(crate) fn new(table: &'static str) -> Self {
        let mut message = Message::new(BATCH_BEGIN, libc::NLM_F_REQUEST, &generic(0, SUBSYSTEM));
        message.set_sequence(1);
        Self {
            table,
            message,
            sequence: 1,
            sets: 0,
        }
    }

    fn next(&mut self, kind: u16, flags: i32) -> &mut Message {
        self.sequence += 1;
        let kind = (SUBSYSTEM << 8) | kind;
        self.message.next(
            kind,
            flags | libc::NLM_F_REQUEST,
            self.sequence,
            &generic(FAMILY, 0),
        );
        self.message.string(1, self.table)
    }

    /// Takes the whole table away, whether it is there or not.
    pub(crate) fn clear(&mut self) {
        self.next(NEWTABLE, libc::NLM_F_CREATE);
        self.next(DELTABLE, 0);
    }

    /// Starts the table anew.
    pub(crate) fn restart(&mut self) {
        self.clear();
        self.next(NEWTABLE, libc::NLM_F_CREATE);
    }

    pub(crate) fn chain(&mut self, name: &str, hook: Option<Hook>) {
        let m = self.next(NEWCHAIN, libc::NLM_F_CREATE);
        m.string(3, name);
        if let Some(hook) = hook {
            m.nested(4, |m| {
                m.be32(1, hook.number).be32(2, hook.priority as u32);
            });
            m.string(7, hook.kind);
        }
    }

    pub(crate) fn rule(&mut self, chain: &str, expressions: impl IntoIterator<Item = Expr>) {
        let m = self.next(NEWRULE, libc::NLM_F_CREATE | libc::NLM_F_APPEND);
        m.string(2, chain).nested(4, |m| {
            for expression in expressions {
                expression.write(m);
            }
        });
    }

    /// Makes a set or map whose keys have `key` bytes.
    pub(crate) fn set(&mut self, name: &str, key: u32, map: Map) {
        const INTERVAL: u32 = 4;
        const MAP: u32 = 8;
        self.sets += 1;
        let id = self.sets;
        let m = self.next(NEWSET, libc::NLM_F_CREATE);
        let flags = match map {
            Map::Set => 0,
            Map::Intervals => INTERVAL,
            Map::Values(_) | Map::Verdicts => MAP,
        };
        m.string(2, name)
            .be32(3, flags)
            .be32(4, 0)
            .be32(5, key)
            .be32(10, id);
        match map {
            Map::Values(length) => m.be32(6, 0).be32(7, length),
            Map::Verdicts => m.be32(6, 0xffff_ff00),
            Map::Set | Map::Intervals => m,
        };
    }

    pub(crate) fn add(&mut self, set: &str, elements: &[Element]) {
        self.elements(NEWSETELEM, libc::NLM_F_CREATE | libc::NLM_F_EXCL, set, elements);
    }

    pub(crate) fn delete(&mut self, set: &str, elements: &[Element]) {
        // The kernel takes keys only, and what tells an interval's end from a start.
        let keys = elements.iter().map(|e| Element {
            key: e.key.clone(),
            data: if matches!(e.data, Data::IntervalEnd) {
                Data::IntervalEnd
            } else {
                Data::None
            },
        });
        self.elements(DELSETELEM, 0, set, &keys.collect::<Vec<_>>());
    }

    fn elements(&mut self, kind: u16, flags: i32, set: &str, elements: &[Element]) {
        for chunk in elements.chunks(ELEMENTS_A_MESSAGE) {
            let m = self.next(kind, flags);
            m.string(2, set).nested(3, |m| {
                for element in chunk {
                    m.nested(1, |m| write_element(m, element));
                }
            });
        }
    }
}

fn write_element(m: &mut Message, element: &Element) {
    m.nested(1, |m| {
        m.attribute(1, &element.key);
    });
    match &element.data {
        Data::None => {}
        Data::Value(value) => {
            m.nested(2, |m| {
                m.attribute(1, value);
            });
        }
        Data::Verdict(verdict) => {
            m.nested(2, |m| verdict.write(m));
        }
        Data::IntervalEnd => {
            m.be32(3, 1);
        }
    }
}

fn generic(family: u8, resource: u16) -> [u8; 4] {
    let [a, b] = resource.to_be_bytes();
    [family, 0, a, b]
}
