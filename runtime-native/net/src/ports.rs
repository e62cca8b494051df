//! Holding published ports, so that no other program of the node takes one, and none is taken twice.

use crate::error::{Error, Kind, Result};
use crate::host_table::bound_address;
use crate::model::{Endpoint, IngressPort, Protocol, PublishedPort};
use crate::netns::Netns;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Sockets bound and never used: packets are translated before they would reach them.
#[derive(Default)]
pub(crate) struct Ports {
    published: HashMap<(String, String), Vec<OwnedFd>>,
    ingress: HashMap<(u8, u16), Option<OwnedFd>>,
}

impl Ports {
    /// Binds the ports of an endpoint; one that is 0 becomes a free one.
    pub(crate) fn hold(&mut self, host: &Netns, endpoint: &mut Endpoint) -> Result<()> {
        if endpoint.published.is_empty() {
            return Ok(());
        }
        let published = &mut endpoint.published;
        let held = host.run(|| published.iter_mut().map(hold_one).collect::<Result<Vec<_>>>())??;
        self.published.insert(key(endpoint), held);
        Ok(())
    }

    /// Lets the ports of an endpoint go.
    pub(crate) fn release(&mut self, endpoint: &Endpoint) {
        self.published.remove(&key(endpoint));
    }

    /// Holds exactly these ingress ports. One that another program has keeps working for other nodes'
    /// clients too: translation comes first, so it is taken away from that program, not refused.
    pub(crate) fn hold_ingress(&mut self, host: &Netns, ports: &[IngressPort]) -> Result<()> {
        let wanted: Vec<_> = ports.iter().map(|p| (p.protocol, p.published)).collect();
        self.ingress
            .retain(|(n, port), _| wanted.iter().any(|w| w.0.number() == *n && w.1 == *port));
        let held = &self.ingress;
        let new: Vec<_> = wanted
            .iter()
            .filter(|(p, port)| !held.contains_key(&(p.number(), *port)))
            .collect();
        if new.is_empty() {
            return Ok(());
        }
        let bound = host.run(|| {
            let bind_one = |(p, port): &&(Protocol, u16)| {
                (
                    (p.number(), *port),
                    bind(*p, Ipv4Addr::UNSPECIFIED, *port).ok().map(|b| b.0),
                )
            };
            new.iter().map(bind_one).collect::<Vec<_>>()
        })?;
        self.ingress.extend(bound);
        Ok(())
    }
}

fn key(endpoint: &Endpoint) -> (String, String) {
    (endpoint.sandbox.clone(), endpoint.network_id.clone())
}

fn hold_one(port: &mut PublishedPort) -> Result<OwnedFd> {
    if let Some(IpAddr::V6(v6)) = port.host_ip
        && !v6.is_unspecified()
    {
        let text = format!("a port cannot be published on the IPv6 address {v6}");
        return Err(Error::new(Kind::Unsupported, text));
    }
    let address = bound_address(port).unwrap_or(Ipv4Addr::UNSPECIFIED);
    let last = port.host_port_end.max(port.host_port);
    let mut bound = bind(port.protocol, address, port.host_port);
    for next in port.host_port.saturating_add(1)..=last {
        if !matches!(&bound, Err(e) if e.kind() == io::ErrorKind::AddrInUse) {
            break;
        }
        bound = bind(port.protocol, address, next);
    }
    match bound {
        Ok((socket, chosen)) => {
            (port.host_port, port.host_port_end) = (chosen, 0);
            Ok(socket)
        }
        Err(e) if e.kind() == io::ErrorKind::AddrInUse && last > port.host_port => Err(Error::new(
            Kind::PortInUse,
            format!(
                "Bind for {address}:{}-{last} failed: all ports are allocated",
                port.host_port
            ),
        )),
        Err(e) if e.kind() == io::ErrorKind::AddrInUse => Err(Error::new(
            Kind::PortInUse,
            format!(
                "Bind for {address}:{} failed: port is already allocated",
                port.host_port
            ),
        )),
        Err(e) => Err(Error::system(format!("bind {address}:{}", port.host_port), e)),
    }
}

fn bind(protocol: Protocol, address: Ipv4Addr, port: u16) -> io::Result<(OwnedFd, u16)> {
    let kind = match protocol {
        Protocol::Tcp => libc::SOCK_STREAM,
        Protocol::Udp => libc::SOCK_DGRAM,
    };
    // SAFETY: plain system calls on a descriptor owned at once and structures of their own size.
    unsafe {
        let raw = libc::socket(libc::AF_INET, kind | libc::SOCK_CLOEXEC, 0);
        if raw < 0 {
            return Err(io::Error::last_os_error());
        }
        let socket = OwnedFd::from_raw_fd(raw);
        let mut name: libc::sockaddr_in = std::mem::zeroed();
        let mut length = size_of::<libc::sockaddr_in>() as libc::socklen_t;
        name.sin_family = libc::AF_INET as libc::sa_family_t;
        name.sin_port = port.to_be();
        name.sin_addr.s_addr = u32::from_ne_bytes(address.octets());
        if libc::bind(socket.as_raw_fd(), (&raw const name).cast(), length) < 0
            || libc::getsockname(socket.as_raw_fd(), (&raw mut name).cast(), &mut length) < 0
        {
            return Err(io::Error::last_os_error());
        }
        Ok((socket, u16::from_be(name.sin_port)))
    }
}
