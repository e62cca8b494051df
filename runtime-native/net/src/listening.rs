//! At which ports a network namespace takes connections, asked of the kernel by sock_diag(7): it looks at listening
//! sockets alone, where /proc/PID/net/tcp walks over every connection that the machine might have (7 ms).

use std::collections::BTreeSet;

use crate::error::{Context, Result};
use crate::netlink::{Message, Socket};
use crate::netns::Netns;

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const LISTEN: u32 = 1 << 10;

/// The TCP ports at which something in the namespace takes connections from outside, IPv4 and IPv6: not those at a
/// loopback address, where nobody else gets to. Blocks, for less than a millisecond.
pub fn listening(netns: &Netns) -> Result<BTreeSet<u16>> {
    let what = || "list listening sockets".into();
    let mut socket = netns
        .run(|| Socket::open(libc::NETLINK_SOCK_DIAG))?
        .context(what)?;
    let mut ports = BTreeSet::new();
    for family in [libc::AF_INET, libc::AF_INET6] {
        // inet_diag_req_v2: family, protocol, no extensions, states, any socket.
        let mut request = [0; 56];
        request[..2].copy_from_slice(&[family as u8, libc::IPPROTO_TCP as u8]);
        request[4..8].copy_from_slice(&LISTEN.to_ne_bytes());
        let message = Message::new(SOCK_DIAG_BY_FAMILY, 0, &request);
        let each = |_, answer: &[u8]| ports.extend(port(answer));
        socket.query_each(message, true, each).context(what)?;
    }
    Ok(ports)
}

/// Of an inet_diag_msg: family, state, timer, retransmissions, then the socket: ports in network order, addresses.
fn port(answer: &[u8]) -> Option<u16> {
    let port = u16::from_be_bytes([*answer.get(4)?, *answer.get(5)?]);
    let address: [u8; 16] = answer.get(8..24)?.try_into().ok()?;
    let loopback = match i32::from(*answer.first()?) {
        libc::AF_INET => address[0] == 127,
        _ => address == std::net::Ipv6Addr::LOCALHOST.octets(),
    };
    (!loopback).then_some(port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn ports_are_those_that_others_reach() {
        let netns = Netns::current().unwrap();
        let bind = |address: &str| TcpListener::bind(address).unwrap();
        let (open, six, hidden) = (bind("0.0.0.0:0"), bind("[::]:0"), bind("127.0.0.1:0"));
        let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
        let found = listening(&netns).unwrap();
        assert!(
            found.contains(&port(&open)) && found.contains(&port(&six)),
            "{found:?}"
        );
        assert!(!found.contains(&port(&hidden)), "{found:?}");
        let gone = port(&open);
        drop(open);
        assert!(!listening(&netns).unwrap().contains(&gone));
    }
}
