//! A sandbox's own nf_tables: virtual addresses, and the way back to the node a connection came in by.

use crate::address::Subnet;
use crate::error::Result;
use crate::nft::{Batch, Expr, Hook, Map, Nft, TABLE, ct, meta, rules};
use crate::slots::{Shape, Slots};
use std::net::Ipv4Addr;

const VIPS: Shape = Shape {
    keys: "vips",
    slots: "slots",
    known: Some("known"),
    pick: |n| {
        vec![
            Expr::Random {
                modulus: n as u32,
                into: 0,
            },
            rules::destination(1),
            Expr::Lookup {
                set: "slots",
                key: 0,
                into: Some(0),
                invert: false,
            },
            Expr::Dnat {
                address: 0,
                port: None,
            },
        ]
    },
};

/// A virtual address and what stands behind it; none: it is gone.
pub(crate) type Vip = (Ipv4Addr, Option<Vec<Ipv4Addr>>);

/// The endpoint by which the cluster's ingress arrives.
pub(crate) struct Arrival {
    pub(crate) ifname: String,
    pub(crate) address: Ipv4Addr,
    pub(crate) subnet: Subnet,
    /// The address that answers to unconnected UDP leave from: that of the default route.
    pub(crate) default_source: Option<Ipv4Addr>,
}

/// The table of one sandbox, and what it holds.
pub(crate) struct SandboxTable {
    /// Kept open: closing a socket that has changed rules waits for the kernel, about 10 ms.
    pub(crate) nft: Nft,
    vips: Slots,
    stale: bool,
}

impl SandboxTable {
    pub(crate) fn new(nft: Nft) -> Self {
        Self {
            nft,
            vips: Slots::default(),
            stale: true,
        }
    }

    /// Whether the kernel's table is not known to be what is remembered, so that it must be rebuilt.
    pub(crate) fn is_stale(&self) -> bool {
        self.stale
    }

    /// Replaces the whole table at one moment; connections under way keep their translation.
    pub(crate) fn rebuild(&mut self, vips: Vec<Vip>, arrival: Option<&Arrival>) -> Result<()> {
        let mut batch = Batch::new(TABLE);
        batch.restart();
        chains(&mut batch);
        if let Some(arrival) = arrival {
            arrival_chains(&mut batch, arrival);
        }
        let mut slots = Slots::default();
        write(&mut batch, &mut slots, vips);
        self.nft.commit(batch, "write a sandbox's packet rules")?;
        self.vips = slots;
        self.stale = false;
        Ok(())
    }

    /// Changes some virtual addresses, in one batch.
    pub(crate) fn change(&mut self, vips: Vec<Vip>) -> Result<()> {
        let mut batch = Batch::new(TABLE);
        write(&mut batch, &mut self.vips, vips);
        let done = self.nft.commit(batch, "write a sandbox's virtual addresses");
        self.stale = done.is_err();
        done
    }
}

fn write(batch: &mut Batch, slots: &mut Slots, vips: Vec<Vip>) {
    for (vip, backends) in vips {
        let targets = backends.map(|b| b.iter().map(|a| a.octets().to_vec()).collect());
        slots.change(batch, &VIPS, &vip.octets(), targets);
    }
}

fn chains(batch: &mut Batch) {
    batch.set("vips", 4, Map::Verdicts);
    batch.set("known", 4, Map::Set);
    batch.set("slots", 8, Map::Values(4));
    batch.chain(
        "output",
        Some(Hook {
            kind: "nat",
            number: Hook::OUTPUT,
            priority: -100,
        }),
    );
    batch.rule(
        "output",
        [rules::destination(0), Expr::LookupVerdict { set: "vips", key: 0 }],
    );

    // What still has a virtual address after translation has nobody behind it.
    batch.chain(
        "refuse",
        Some(Hook {
            kind: "filter",
            number: Hook::OUTPUT,
            priority: 0,
        }),
    );
    let vip = || {
        [
            rules::destination(0),
            Expr::Lookup {
                set: "known",
                key: 0,
                into: None,
                invert: false,
            },
        ]
    };
    let tcp = rules::protocol_is(libc::IPPROTO_TCP as u8);
    batch.rule("refuse", vip().into_iter().chain(tcp).chain([Expr::RejectTcp]));
    batch.rule("refuse", vip().into_iter().chain([Expr::RejectPort]));
}

/// The mark is the ingress node's address, the last four bytes of the hardware address it sends from
/// (derived from the address, see [`crate::Mac::derived`]); a policy rule of the same mark leads back.
fn arrival_chains(batch: &mut Batch, arrival: &Arrival) {
    const LINK_LAYER: u32 = 0;
    let here = || rules::interface_is(meta::IIFNAME, &arrival.ifname).into_iter();
    batch.chain(
        "arrive",
        Some(Hook {
            kind: "filter",
            number: Hook::PREROUTING,
            priority: -150,
        }),
    );
    let sender = Expr::Payload {
        base: LINK_LAYER,
        offset: 8,
        length: 4,
        into: 0,
    };
    let fresh = rules::any_of(ct::STATE, ct::NEW);
    batch.rule(
        "arrive",
        here().chain(fresh).chain([sender, Expr::SetCtMark { from: 0 }]),
    );
    batch.rule(
        "arrive",
        here().chain([
            Expr::Ct {
                key: ct::MARK,
                into: 0,
            },
            Expr::SetMark { from: 0 },
        ]),
    );

    batch.chain(
        "answer",
        Some(Hook {
            kind: "route",
            number: Hook::OUTPUT,
            priority: -150,
        }),
    );
    let answer = [
        Expr::Ct {
            key: ct::DIRECTION,
            into: 0,
        },
        Expr::Compare {
            register: 0,
            equal: true,
            value: vec![1],
        },
        Expr::Ct {
            key: ct::MARK,
            into: 0,
        },
        Expr::Compare {
            register: 0,
            equal: false,
            value: vec![0; 4],
        },
        Expr::SetMark { from: 0 },
    ];
    batch.rule("answer", answer);

    // An unconnected UDP socket answers from the address of the route it sees, before the mark is set. For
    // those on the ingress network itself, that is the right one.
    if let Some(source) = arrival.default_source {
        batch.chain(
            "datagram",
            Some(Hook {
                kind: "nat",
                number: Hook::PREROUTING,
                priority: -100,
            }),
        );
        let udp = rules::protocol_is(libc::IPPROTO_UDP as u8);
        let outside = rules::masked(
            rules::source(0),
            arrival.subnet.network,
            arrival.subnet.mask(),
            false,
        );
        let mine = [
            rules::destination(0),
            Expr::Compare {
                register: 0,
                equal: true,
                value: arrival.address.octets().to_vec(),
            },
            Expr::Value {
                into: 0,
                value: source.octets().to_vec(),
            },
            Expr::Dnat {
                address: 0,
                port: None,
            },
        ];
        batch.rule("datagram", here().chain(udp).chain(outside).chain(mine));
    }
}

/// The mark, and the routing table, that lead back to the node with this ingress address.
pub(crate) fn mark_of(node: Ipv4Addr) -> u32 {
    u32::from_ne_bytes(node.octets())
}
