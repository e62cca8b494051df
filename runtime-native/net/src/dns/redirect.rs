//! Port 53 of 127.0.0.11 inside a sandbox, without taking port 53 from the container's own programs: the
//! sockets have ports of their own, and the ports are rewritten in passing, without connection tracking.

use crate::error::Result;
use crate::nft::{Batch, Expr, Hook, Nft, rules};
use std::net::Ipv4Addr;

/// Where sandboxes find the resolver.
pub(crate) const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);
const TABLE: &str = "creel_names";
const PORT: u16 = 53;
const SOURCE_PORT: u32 = 0;
const DESTINATION_PORT: u32 = 2;

/// Leads questions for port 53 to these ports.
pub(crate) fn install(nft: &mut Nft, udp: u16, tcp: u16) -> Result<()> {
    let mut batch = Batch::new(TABLE);
    batch.restart();
    // Where connections are tracked (at -200), both directions must show port 53: questions are rewritten
    // after it, answers before.
    batch.chain(
        "ask",
        Some(Hook {
            kind: "filter",
            number: Hook::OUTPUT,
            priority: -150,
        }),
    );
    batch.chain(
        "answer",
        Some(Hook {
            kind: "filter",
            number: Hook::OUTPUT,
            priority: -300,
        }),
    );
    for (protocol, port, checksum) in [(libc::IPPROTO_UDP, udp, 6), (libc::IPPROTO_TCP, tcp, 16)] {
        let of = || rules::protocol_is(protocol as u8).into_iter();
        let ask = rewrite(rules::destination(0), DESTINATION_PORT, PORT, port, checksum);
        batch.rule("ask", of().chain(ask));
        let answer = rewrite(rules::source(0), SOURCE_PORT, port, PORT, checksum);
        batch.rule("answer", of().chain(answer));
    }
    nft.commit(batch, "lead a sandbox's questions to the resolver")
}

fn rewrite(load: Expr, offset: u32, from: u16, to: u16, checksum: u32) -> [Expr; 6] {
    const TRANSPORT: u32 = 2;
    [
        load,
        Expr::Compare {
            register: 0,
            equal: true,
            value: ADDRESS.octets().to_vec(),
        },
        Expr::Payload {
            base: TRANSPORT,
            offset,
            length: 2,
            into: 0,
        },
        Expr::Compare {
            register: 0,
            equal: true,
            value: from.to_be_bytes().to_vec(),
        },
        Expr::Value {
            into: 0,
            value: to.to_be_bytes().to_vec(),
        },
        Expr::SetTransport {
            from: 0,
            offset,
            length: 2,
            checksum,
        },
    ]
}
