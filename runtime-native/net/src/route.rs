//! Addresses, routes, policy rules and neighbours of a namespace.

use crate::address::{Mac, Subnet};
use crate::error::{Context, Error, Result};
use crate::link::Links;
use crate::netlink::{Attributes, Message};
use std::io;
use std::net::{IpAddr, Ipv4Addr};

const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_TABLE: u16 = 15;
const FRA_PRIORITY: u16 = 6;
const FRA_FWMARK: u16 = 10;
const FRA_TABLE: u16 = 15;
const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;
const NUD_NOARP: u16 = 0x40;
const NUD_PERMANENT: u16 = 0x80;
const NTF_SELF: u8 = 2;
const NTF_MASTER: u8 = 4;
const RTPROT_STATIC: u8 = 4;
const RTNH_F_ONLINK: u32 = 4;
/// Before the main table's rule (32766), after the local one (0).
const RULE_PRIORITY: u32 = 1000;

impl Links {
    /// Gives a link an address.
    pub fn add_address(&mut self, index: u32, address: IpAddr, prefix: u8) -> Result<()> {
        let mut fixed = vec![family(address), prefix, 0, 0];
        fixed.extend_from_slice(&index.to_ne_bytes());
        let mut m = Message::new(
            libc::RTM_NEWADDR,
            libc::NLM_F_CREATE | libc::NLM_F_REPLACE,
            &fixed,
        );
        m.attribute(IFA_LOCAL, &octets(address))
            .attribute(IFA_ADDRESS, &octets(address));
        if let (IpAddr::V4(v4), true) = (address, prefix < 31) {
            m.attribute(IFA_BROADCAST, &Subnet::new(v4, prefix).broadcast().octets());
        }
        self.socket
            .request(m)
            .context(|| format!("give link {index} the address {address}/{prefix}"))
    }

    /// Adds or replaces a route: `destination` is an address and a prefix length, none for the default route.
    pub fn add_route(
        &mut self,
        destination: Option<(IpAddr, u8)>,
        gateway: Option<IpAddr>,
        index: u32,
        table: Option<u32>,
    ) -> Result<()> {
        let of = destination
            .map(|d| d.0)
            .or(gateway)
            .unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let scope = if gateway.is_some() {
            libc::RT_SCOPE_UNIVERSE
        } else {
            libc::RT_SCOPE_LINK
        };
        let mut fixed = vec![family(of), destination.map_or(0, |d| d.1), 0, 0];
        fixed.extend_from_slice(&[libc::RT_TABLE_MAIN, RTPROT_STATIC, scope, libc::RTN_UNICAST]);
        fixed.extend_from_slice(&(if table.is_some() { RTNH_F_ONLINK } else { 0 }).to_ne_bytes());
        let mut m = Message::new(
            libc::RTM_NEWROUTE,
            libc::NLM_F_CREATE | libc::NLM_F_REPLACE,
            &fixed,
        );
        if let Some((address, _)) = destination {
            m.attribute(RTA_DST, &octets(address));
        }
        if let Some(gateway) = gateway {
            m.attribute(RTA_GATEWAY, &octets(gateway));
        }
        m.u32(RTA_OIF, index)
            .u32(RTA_TABLE, table.unwrap_or(u32::from(libc::RT_TABLE_MAIN)));
        self.socket
            .request(m)
            .context(|| format!("add a route by link {index}"))
    }

    /// Sends what carries `mark` through `table`.
    pub fn add_mark_rule(&mut self, mark: u32, table: u32) -> Result<()> {
        match self.mark_rule(
            libc::RTM_NEWRULE,
            libc::NLM_F_CREATE | libc::NLM_F_EXCL,
            mark,
            table,
        ) {
            Err(e) if e.raw_os_error() != Some(libc::EEXIST) => {
                Err(Error::system(format!("add the rule of mark {mark:#x}"), e))
            }
            _ => Ok(()),
        }
    }

    /// Undoes [`Links::add_mark_rule`].
    pub fn delete_mark_rule(&mut self, mark: u32, table: u32) -> Result<()> {
        match self.mark_rule(libc::RTM_DELRULE, 0, mark, table) {
            Err(e) if e.raw_os_error() != Some(libc::ENOENT) => {
                Err(Error::system(format!("delete the rule of mark {mark:#x}"), e))
            }
            _ => Ok(()),
        }
    }

    fn mark_rule(&mut self, kind: u16, flags: i32, mark: u32, table: u32) -> io::Result<()> {
        const TO_TABLE: u8 = 1;
        let mut fixed = [0u8; 12];
        fixed[0] = libc::AF_INET as u8;
        fixed[7] = TO_TABLE;
        let mut m = Message::new(kind, flags, &fixed);
        m.u32(FRA_PRIORITY, RULE_PRIORITY)
            .u32(FRA_FWMARK, mark)
            .u32(FRA_TABLE, table);
        self.socket.request(m)
    }

    /// Adds or replaces a permanent neighbour: `address` is at `mac` behind the link.
    pub fn set_neighbour(&mut self, index: u32, address: Ipv4Addr, mac: Mac) -> Result<()> {
        let mut m = neighbour(libc::RTM_NEWNEIGH, libc::AF_INET as u8, index, NUD_PERMANENT, 0);
        m.attribute(NDA_DST, &address.octets())
            .attribute(NDA_LLADDR, &mac.0);
        self.socket
            .request(m)
            .context(|| format!("set the neighbour {address}"))
    }

    /// Forgets a neighbour; one that is gone already is no error.
    pub fn delete_neighbour(&mut self, index: u32, address: Ipv4Addr) -> Result<()> {
        let mut m = neighbour(libc::RTM_DELNEIGH, libc::AF_INET as u8, index, 0, 0);
        m.attribute(NDA_DST, &address.octets());
        gone_is_fine(self.socket.request(m)).context(|| format!("forget the neighbour {address}"))
    }

    /// Adds or replaces a VXLAN forwarding entry: frames for `mac` go to the node at `vtep`.
    pub fn set_forwarding(&mut self, index: u32, mac: Mac, vtep: Ipv4Addr) -> Result<()> {
        let state = NUD_PERMANENT | NUD_NOARP;
        let mut m = neighbour(libc::RTM_NEWNEIGH, libc::AF_BRIDGE as u8, index, state, NTF_SELF);
        m.attribute(NDA_DST, &vtep.octets()).attribute(NDA_LLADDR, &mac.0);
        self.socket
            .request(m)
            .context(|| format!("forward {mac} to {vtep}"))
    }

    /// Deletes a forwarding entry; one that is gone already is no error.
    pub fn delete_forwarding(&mut self, index: u32, mac: Mac) -> Result<()> {
        let mut m = neighbour(libc::RTM_DELNEIGH, libc::AF_BRIDGE as u8, index, 0, NTF_SELF);
        m.attribute(NDA_LLADDR, &mac.0);
        gone_is_fine(self.socket.request(m)).context(|| format!("forward {mac} no more"))
    }

    /// Says that a bridge reaches `mac` by the port `index`; it is learned anew when its owner speaks elsewhere.
    pub fn set_port_of(&mut self, index: u32, mac: Mac) -> Result<()> {
        let bridge = libc::AF_BRIDGE as u8;
        let mut m = neighbour(libc::RTM_NEWNEIGH, bridge, index, NUD_NOARP, NTF_MASTER);
        m.attribute(NDA_LLADDR, &mac.0);
        self.socket.request(m).context(|| format!("bridge {mac}"))
    }

    /// Forgets that a bridge reaches `mac` by the port `index`; no error where it does not.
    pub fn delete_port_of(&mut self, index: u32, mac: Mac) -> Result<()> {
        let mut m = neighbour(libc::RTM_DELNEIGH, libc::AF_BRIDGE as u8, index, 0, NTF_MASTER);
        m.attribute(NDA_LLADDR, &mac.0);
        gone_is_fine(self.socket.request(m)).context(|| format!("bridge {mac} no more"))
    }

    /// The IPv4 addresses of the namespace: link index, address, prefix length.
    pub fn addresses(&mut self) -> Result<Vec<(u32, Ipv4Addr, u8)>> {
        let m = Message::new(libc::RTM_GETADDR, 0, &[libc::AF_INET as u8, 0, 0, 0, 0, 0, 0, 0]);
        let found = self
            .socket
            .query(m, true)
            .context(|| "list the addresses".into())?;
        Ok(found
            .iter()
            .filter_map(|(_, p)| {
                let index = u32::from_ne_bytes(p.get(4..8)?.try_into().ok()?);
                let bytes: [u8; 4] = Attributes::parse(p.get(8..)?).get(IFA_LOCAL)?.try_into().ok()?;
                Some((index, Ipv4Addr::from(bytes), p[1]))
            })
            .collect())
    }

    /// The link that the IPv4 default route of the main table leaves by.
    pub fn default_route_link(&mut self) -> Result<Option<u32>> {
        let mut fixed = [0u8; 12];
        fixed[0] = libc::AF_INET as u8;
        let m = Message::new(libc::RTM_GETROUTE, 0, &fixed);
        let found = self.socket.query(m, true).context(|| "list the routes".into())?;
        let default = |p: &[u8]| p.len() >= 12 && p[1] == 0 && p[4] == libc::RT_TABLE_MAIN;
        Ok(found
            .iter()
            .filter(|(_, p)| default(p))
            .find_map(|(_, p)| Attributes::parse(&p[12..]).u32(RTA_OIF)))
    }

    /// The IPv4 subnets that the namespace has routes for, default routes left out.
    pub fn routed_subnets(&mut self) -> Result<Vec<Subnet>> {
        let mut fixed = [0u8; 12];
        fixed[0] = libc::AF_INET as u8;
        let m = Message::new(libc::RTM_GETROUTE, 0, &fixed);
        let found = self.socket.query(m, true).context(|| "list the routes".into())?;
        Ok(found
            .iter()
            .filter(|(_, p)| p.len() >= 12 && p[1] > 0 && p[7] == libc::RTN_UNICAST)
            .filter_map(|(_, p)| {
                let bytes: [u8; 4] = Attributes::parse(&p[12..]).get(RTA_DST)?.try_into().ok()?;
                Some(Subnet::new(Ipv4Addr::from(bytes), p[1]))
            })
            .collect())
    }
}

fn neighbour(kind: u16, family: u8, index: u32, state: u16, flags: u8) -> Message {
    let mut fixed = [0u8; 12];
    fixed[0] = family;
    fixed[4..8].copy_from_slice(&index.to_ne_bytes());
    fixed[8..10].copy_from_slice(&state.to_ne_bytes());
    fixed[10] = flags;
    let create = if kind == libc::RTM_NEWNEIGH {
        libc::NLM_F_CREATE | libc::NLM_F_REPLACE
    } else {
        0
    };
    Message::new(kind, create, &fixed)
}

fn gone_is_fine(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(e) if e.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        other => other,
    }
}

fn family(address: IpAddr) -> u8 {
    if address.is_ipv4() {
        libc::AF_INET as u8
    } else {
        libc::AF_INET6 as u8
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}
