//! The expressions a rule is made of, and how the kernel wants them written.

use crate::netlink::Message;
use std::net::Ipv4Addr;

/// `meta` keys.
pub(crate) mod meta {
    pub(crate) const MARK: u32 = 3;
    pub(crate) const IIFNAME: u32 = 6;
    pub(crate) const OIFNAME: u32 = 7;
    pub(crate) const L4PROTO: u32 = 16;
}

/// Connection tracking keys and bits.
pub(crate) mod ct {
    pub(crate) const STATE: u32 = 0;
    pub(crate) const DIRECTION: u32 = 1;
    pub(crate) const STATUS: u32 = 2;
    pub(crate) const MARK: u32 = 3;
    pub(crate) const ESTABLISHED: u32 = 2;
    pub(crate) const RELATED: u32 = 4;
    pub(crate) const NEW: u32 = 8;
    pub(crate) const DNAT: u32 = 1 << 5;
}

const NFPROTO_IPV4: u32 = 2;

/// What becomes of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Accept,
    Drop,
    Jump(String),
    Goto(String),
}

impl Verdict {
    pub(crate) fn write(&self, m: &mut Message) {
        const DATA_VERDICT: u16 = 2;
        let (code, chain) = match self {
            Self::Drop => (0, None),
            Self::Accept => (1, None),
            Self::Jump(chain) => (-3, Some(chain)),
            Self::Goto(chain) => (-4, Some(chain)),
        };
        m.nested(DATA_VERDICT, |m| {
            m.be32(1, code as u32);
            if let Some(chain) = chain {
                m.string(2, chain);
            }
        });
    }
}

/// One expression. Registers are the sixteen of 32 bits, by number.
#[derive(Clone, Debug)]
pub(crate) enum Expr {
    Meta {
        key: u32,
        into: u32,
    },
    SetMark {
        from: u32,
    },
    Payload {
        base: u32,
        offset: u32,
        length: u32,
        into: u32,
    },
    /// Rewrites a field of the transport header and mends its checksum.
    SetTransport {
        from: u32,
        offset: u32,
        length: u32,
        checksum: u32,
    },
    Compare {
        register: u32,
        equal: bool,
        value: Vec<u8>,
    },
    Mask {
        register: u32,
        mask: Vec<u8>,
    },
    Lookup {
        set: &'static str,
        key: u32,
        into: Option<u32>,
        invert: bool,
    },
    LookupVerdict {
        set: &'static str,
        key: u32,
    },
    Value {
        into: u32,
        value: Vec<u8>,
    },
    Dnat {
        address: u32,
        port: Option<u32>,
    },
    Masquerade,
    Ct {
        key: u32,
        into: u32,
    },
    SetCtMark {
        from: u32,
    },
    AddressType {
        into: u32,
    },
    Random {
        modulus: u32,
        into: u32,
    },
    RejectTcp,
    RejectPort,
    Verdict(Verdict),
}

fn register(number: u32) -> u32 {
    8 + number
}

impl Expr {
    pub(crate) fn write(&self, m: &mut Message) {
        let name = match self {
            Self::Meta { .. } | Self::SetMark { .. } => "meta",
            Self::Payload { .. } | Self::SetTransport { .. } => "payload",
            Self::Compare { .. } => "cmp",
            Self::Mask { .. } => "bitwise",
            Self::Lookup { .. } | Self::LookupVerdict { .. } => "lookup",
            Self::Value { .. } | Self::Verdict(_) => "immediate",
            Self::Dnat { .. } => "nat",
            Self::Masquerade => "masq",
            Self::Ct { .. } | Self::SetCtMark { .. } => "ct",
            Self::AddressType { .. } => "fib",
            Self::Random { .. } => "numgen",
            Self::RejectTcp | Self::RejectPort => "reject",
        };
        m.nested(1, |m| {
            m.string(1, name).nested(2, |m| self.write_data(m));
        });
    }

    fn write_data(&self, m: &mut Message) {
        let value = |m: &mut Message, kind: u16, bytes: &[u8]| {
            m.nested(kind, |m| {
                m.attribute(1, bytes);
            });
        };
        match self {
            Self::Meta { key, into } => {
                m.be32(1, register(*into)).be32(2, *key);
            }
            Self::SetMark { from } => {
                m.be32(2, meta::MARK).be32(3, register(*from));
            }
            Self::Payload {
                base,
                offset,
                length,
                into,
            } => {
                m.be32(1, register(*into))
                    .be32(2, *base)
                    .be32(3, *offset)
                    .be32(4, *length);
            }
            Self::SetTransport {
                from,
                offset,
                length,
                checksum,
            } => {
                const TRANSPORT: u32 = 2;
                const INTERNET_CHECKSUM: u32 = 1;
                m.be32(2, TRANSPORT)
                    .be32(3, *offset)
                    .be32(4, *length)
                    .be32(5, register(*from));
                m.be32(6, INTERNET_CHECKSUM).be32(7, *checksum);
            }
            Self::Compare {
                register: from,
                equal,
                value: bytes,
            } => {
                m.be32(1, register(*from)).be32(2, u32::from(!equal));
                value(m, 3, bytes);
            }
            Self::Mask { register: at, mask } => {
                m.be32(1, register(*at))
                    .be32(2, register(*at))
                    .be32(3, mask.len() as u32);
                value(m, 4, mask);
                value(m, 5, &vec![0; mask.len()]);
            }
            Self::Lookup {
                set,
                key,
                into,
                invert,
            } => {
                m.string(1, set).be32(2, register(*key));
                if let Some(into) = into {
                    m.be32(3, register(*into));
                }
                m.be32(5, u32::from(*invert));
            }
            Self::LookupVerdict { set, key } => {
                m.string(1, set).be32(2, register(*key)).be32(3, 0);
            }
            Self::Value { into, value: bytes } => {
                m.be32(1, register(*into));
                value(m, 2, bytes);
            }
            Self::Verdict(verdict) => {
                m.be32(1, 0).nested(2, |m| verdict.write(m));
            }
            Self::Dnat { address, port } => {
                m.be32(1, 1).be32(2, NFPROTO_IPV4);
                m.be32(3, register(*address)).be32(4, register(*address));
                if let Some(port) = port {
                    m.be32(5, register(*port)).be32(6, register(*port));
                }
            }
            Self::Masquerade => {}
            Self::Ct { key, into } => {
                m.be32(1, register(*into)).be32(2, *key);
            }
            Self::SetCtMark { from } => {
                m.be32(2, ct::MARK).be32(4, register(*from));
            }
            Self::AddressType { into } => {
                const ADDRTYPE: u32 = 3;
                const DADDR: u32 = 2;
                m.be32(1, register(*into)).be32(2, ADDRTYPE).be32(3, DADDR);
            }
            Self::Random { modulus, into } => {
                m.be32(1, register(*into)).be32(2, *modulus).be32(3, 1).be32(4, 0);
            }
            Self::RejectTcp => {
                m.be32(1, 1);
            }
            Self::RejectPort => {
                const PORT_UNREACHABLE: u8 = 3;
                m.be32(1, 0).u8(2, PORT_UNREACHABLE);
            }
        }
    }
}

/// Phrases of several expressions, named as one says them.
pub(crate) mod rules {
    use super::*;

    fn network(offset: u32, length: u32, into: u32) -> Expr {
        Expr::Payload {
            base: 1,
            offset,
            length,
            into,
        }
    }

    pub(crate) fn source(into: u32) -> Expr {
        network(12, 4, into)
    }

    pub(crate) fn destination(into: u32) -> Expr {
        network(16, 4, into)
    }

    /// The protocol and, in the next register, the destination port.
    pub(crate) fn protocol_and_port(into: u32) -> [Expr; 2] {
        [
            Expr::Meta {
                key: meta::L4PROTO,
                into,
            },
            Expr::Payload {
                base: 2,
                offset: 2,
                length: 2,
                into: into + 1,
            },
        ]
    }

    pub(crate) fn protocol_is(protocol: u8) -> [Expr; 2] {
        [
            Expr::Meta {
                key: meta::L4PROTO,
                into: 0,
            },
            Expr::Compare {
                register: 0,
                equal: true,
                value: vec![protocol],
            },
        ]
    }

    pub(crate) fn interface_in(key: u32, set: &'static str, invert: bool) -> [Expr; 2] {
        [
            Expr::Meta { key, into: 0 },
            Expr::Lookup {
                set,
                key: 0,
                into: None,
                invert,
            },
        ]
    }

    pub(crate) fn interface_is(key: u32, name: &str) -> [Expr; 2] {
        [
            Expr::Meta { key, into: 0 },
            Expr::Compare {
                register: 0,
                equal: true,
                value: interface_key(name),
            },
        ]
    }

    /// Whether any of `bits` is set in a connection's state or status.
    pub(crate) fn any_of(key: u32, bits: u32) -> [Expr; 3] {
        [
            Expr::Ct { key, into: 0 },
            Expr::Mask {
                register: 0,
                mask: bits.to_ne_bytes().to_vec(),
            },
            Expr::Compare {
                register: 0,
                equal: false,
                value: vec![0; 4],
            },
        ]
    }

    /// Whether a loaded address lies inside (or not) a subnet.
    pub(crate) fn masked(load: Expr, address: Ipv4Addr, mask: Ipv4Addr, inside: bool) -> [Expr; 3] {
        [
            load,
            Expr::Mask {
                register: 0,
                mask: mask.octets().to_vec(),
            },
            Expr::Compare {
                register: 0,
                equal: inside,
                value: address.octets().to_vec(),
            },
        ]
    }

    /// An interface's name as a key: sixteen bytes, filled with zeros.
    pub(crate) fn interface_key(name: &str) -> Vec<u8> {
        let mut key = name.as_bytes().to_vec();
        key.resize(16, 0);
        key
    }
}
