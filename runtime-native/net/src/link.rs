//! Links, by netlink: a toolkit for whoever builds networks out of namespaces.

use crate::address::Mac;
use crate::error::{Context, Error, Kind, Result};
use crate::netlink::{Attributes, Message, Socket};
use crate::netns::Netns;
use std::net::Ipv4Addr;

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_GROUP: u16 = 27;
const IFLA_NET_NS_FD: u16 = 28;
const INFO_KIND: u16 = 1;
const INFO_DATA: u16 = 2;
const INFO_SLAVE_KIND: u16 = 4;
const INFO_SLAVE_DATA: u16 = 5;
const VETH_PEER: u16 = 1;
const BRPORT_MODE: u16 = 4;
const BRPORT_LEARNING: u16 = 8;
const BRPORT_ISOLATED: u16 = 33;
const VXLAN_ID: u16 = 1;
const VXLAN_LOCAL: u16 = 4;
const VXLAN_LEARNING: u16 = 7;
const VXLAN_PROXY: u16 = 11;
const VXLAN_PORT: u16 = 15;
/// The link group used only while several links are being deleted at once.
const DOOMED: u32 = 0x0c4e_e100;

/// The other end of a veth pair, made straight in the namespace it belongs to.
pub struct Peer<'a> {
    /// Where the end is made.
    pub netns: &'a Netns,
    /// Its name there.
    pub name: &'a str,
    /// Its hardware address; the kernel picks one if none is given.
    pub mac: Option<Mac>,
}

/// A link as the kernel reports it.
#[derive(Debug, Clone)]
pub struct Link {
    /// Its index in the namespace.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its hardware address.
    pub mac: Option<Mac>,
    /// Its MTU.
    pub mtu: u32,
    /// `bridge`, `veth`, `vxlan`, …; empty for devices that were not made.
    pub kind: String,
}

/// An open door to the links, addresses and routes of one namespace.
pub struct Links {
    pub(crate) socket: Socket,
}

impl Links {
    /// Opens the door to `netns`; it may be used from any thread afterwards.
    pub fn open(netns: &Netns) -> Result<Self> {
        netns.run(Self::open_here)?
    }

    /// The same for the calling thread's own namespace.
    pub fn open_here() -> Result<Self> {
        let socket = Socket::open(libc::NETLINK_ROUTE).context(|| "open a routing netlink socket".into())?;
        Ok(Self { socket })
    }

    fn make(&mut self, name: &str, kind: &str, fill: impl FnOnce(&mut Message)) -> Result<u32> {
        let mut m = Message::new(
            libc::RTM_NEWLINK,
            libc::NLM_F_CREATE | libc::NLM_F_EXCL,
            &ifinfo(0, 0, 0),
        );
        m.string(IFLA_IFNAME, name);
        fill(&mut m);
        self.socket.request(m).map_err(|e| match e.raw_os_error() {
            Some(libc::EEXIST) => Error::new(Kind::Conflict, format!("the link {name} exists already")),
            _ => Error::system(format!("make the {kind} {name}"), e),
        })?;
        self.index(name)
    }

    /// Makes a bridge and returns its index.
    pub fn add_bridge(&mut self, name: &str, mac: Option<Mac>, mtu: u32) -> Result<u32> {
        self.make(name, "bridge", |m| {
            if let Some(mac) = mac {
                m.attribute(IFLA_ADDRESS, &mac.0);
            }
            if mtu > 0 {
                m.u32(IFLA_MTU, mtu);
            }
            m.nested(IFLA_LINKINFO, |m| {
                m.string(INFO_KIND, "bridge");
            });
        })
    }

    /// Makes a veth pair: `name` here, the peer straight in its own namespace. Returns this end's index.
    pub fn add_veth(&mut self, name: &str, mtu: u32, peer: &Peer) -> Result<u32> {
        self.make(name, "veth pair", |m| {
            if mtu > 0 {
                m.u32(IFLA_MTU, mtu);
            }
            m.nested(IFLA_LINKINFO, |m| {
                m.string(INFO_KIND, "veth").nested(INFO_DATA, |m| {
                    m.nested(VETH_PEER, |m| {
                        m.raw(&ifinfo(0, 0, 0)).string(IFLA_IFNAME, peer.name);
                        if let Some(mac) = peer.mac {
                            m.attribute(IFLA_ADDRESS, &mac.0);
                        }
                        if mtu > 0 {
                            m.u32(IFLA_MTU, mtu);
                        }
                        m.u32(IFLA_NET_NS_FD, peer.netns.fd() as u32);
                    });
                });
            });
        })
    }

    /// Makes a VXLAN device that learns nothing by itself and answers ARP from its neighbour table.
    pub fn add_vxlan(&mut self, name: &str, vni: u32, local: Ipv4Addr, port: u16, mtu: u32) -> Result<u32> {
        self.make(name, "VXLAN device", |m| {
            if mtu > 0 {
                m.u32(IFLA_MTU, mtu);
            }
            m.nested(IFLA_LINKINFO, |m| {
                m.string(INFO_KIND, "vxlan").nested(INFO_DATA, |m| {
                    m.u32(VXLAN_ID, vni)
                        .attribute(VXLAN_LOCAL, &local.octets())
                        .u8(VXLAN_LEARNING, 0)
                        .u8(VXLAN_PROXY, 1)
                        .attribute(VXLAN_PORT, &port.to_be_bytes());
                });
            });
        })
    }

    fn change(
        &mut self,
        index: u32,
        flags: u32,
        mask: u32,
        what: &str,
        fill: impl FnOnce(&mut Message),
    ) -> Result<()> {
        let mut m = Message::new(libc::RTM_NEWLINK, 0, &ifinfo(index, flags, mask));
        fill(&mut m);
        self.socket.request(m).context(|| format!("{what} link {index}"))
    }

    /// Brings a link up.
    pub fn set_up(&mut self, index: u32) -> Result<()> {
        let up = libc::IFF_UP as u32;
        self.change(index, up, up, "bring up", |_| {})
    }

    /// Puts a link on a bridge (0: takes it off).
    pub fn set_master(&mut self, index: u32, master: u32) -> Result<()> {
        self.change(index, 0, 0, "put on a bridge", |m| {
            m.u32(IFLA_MASTER, master);
        })
    }

    /// Puts a link on a bridge and brings it up, in one request.
    pub fn attach(&mut self, index: u32, master: u32) -> Result<()> {
        let up = libc::IFF_UP as u32;
        self.change(index, up, up, "put on a bridge", |m| {
            m.u32(IFLA_MASTER, master);
        })
    }

    fn set_port(&mut self, index: u32, what: &str, option: u16, value: u8) -> Result<()> {
        self.change(index, 0, 0, what, |m| {
            m.nested(IFLA_LINKINFO, |m| {
                m.string(INFO_SLAVE_KIND, "bridge").nested(INFO_SLAVE_DATA, |m| {
                    m.u8(option, value);
                });
            });
        })
    }

    /// Keeps a bridge port from talking to other ports so marked.
    pub fn isolate(&mut self, index: u32) -> Result<()> {
        self.set_port(index, "isolate", BRPORT_ISOLATED, 1)
    }

    /// Lets a bridge port learn no addresses from what comes in by it.
    pub fn unlearning(&mut self, index: u32) -> Result<()> {
        self.set_port(index, "turn learning off for", BRPORT_LEARNING, 0)
    }

    /// Lets a bridge port send back what came in by it.
    pub fn hairpin(&mut self, index: u32) -> Result<()> {
        self.set_port(index, "turn hairpin mode on for", BRPORT_MODE, 1)
    }

    /// Sets a link's hardware address.
    pub fn set_mac(&mut self, index: u32, mac: Mac) -> Result<()> {
        self.change(index, 0, 0, "set the hardware address of", |m| {
            m.attribute(IFLA_ADDRESS, &mac.0);
        })
    }

    /// Moves a link into another namespace, under a new name if one is given.
    pub fn move_to(&mut self, index: u32, netns: &Netns, name: Option<&str>) -> Result<()> {
        self.change(index, 0, 0, "move", |m| {
            m.u32(IFLA_NET_NS_FD, netns.fd() as u32);
            if let Some(name) = name {
                m.string(IFLA_IFNAME, name);
            }
        })
    }

    /// Deletes a link, and a veth's other end with it; one that is gone already is no error.
    pub fn delete(&mut self, name: &str) -> Result<()> {
        let mut m = Message::new(libc::RTM_DELLINK, 0, &ifinfo(0, 0, 0));
        m.string(IFLA_IFNAME, name);
        match self.socket.request(m) {
            Err(e) if e.raw_os_error() != Some(libc::ENODEV) => {
                Err(Error::system(format!("delete the link {name}"), e))
            }
            _ => Ok(()),
        }
    }

    /// Deletes many links in the time of one: the kernel waits for its readers once, not once a link.
    pub fn delete_all(&mut self, names: &[String]) -> Result<()> {
        let mut marked = 0;
        for name in names {
            let mut m = Message::new(libc::RTM_NEWLINK, 0, &ifinfo(0, 0, 0));
            m.string(IFLA_IFNAME, name).u32(IFLA_GROUP, DOOMED);
            match self.socket.request(m) {
                Ok(()) => marked += 1,
                Err(e) if e.raw_os_error() == Some(libc::ENODEV) => {}
                Err(e) => return Err(Error::system(format!("delete the link {name}"), e)),
            }
        }
        if marked == 0 {
            return Ok(());
        }
        let mut m = Message::new(libc::RTM_DELLINK, 0, &ifinfo(0, 0, 0));
        m.u32(IFLA_GROUP, DOOMED);
        self.socket
            .request(m)
            .context(|| format!("delete {marked} links"))
    }

    /// Looks a link up by its name.
    pub fn get(&mut self, name: &str) -> Result<Option<Link>> {
        let mut m = Message::new(libc::RTM_GETLINK, 0, &ifinfo(0, 0, 0));
        m.string(IFLA_IFNAME, name);
        match self.socket.query(m, false) {
            Ok(found) => Ok(found.iter().find_map(|(_, p)| parse(p))),
            Err(e) if e.raw_os_error() == Some(libc::ENODEV) => Ok(None),
            Err(e) => Err(Error::system(format!("look up the link {name}"), e)),
        }
    }

    /// A link's index by its name.
    pub fn index(&mut self, name: &str) -> Result<u32> {
        match self.get(name)? {
            Some(link) => Ok(link.index),
            None => Err(Error::new(Kind::NotFound, format!("no link {name}"))),
        }
    }

    /// All links of the namespace.
    pub fn list(&mut self) -> Result<Vec<Link>> {
        let m = Message::new(libc::RTM_GETLINK, 0, &ifinfo(0, 0, 0));
        let found = self.socket.query(m, true).context(|| "list the links".into())?;
        Ok(found.iter().filter_map(|(_, p)| parse(p)).collect())
    }
}

fn parse(payload: &[u8]) -> Option<Link> {
    let index = u32::from_ne_bytes(payload.get(4..8)?.try_into().ok()?);
    let attributes = Attributes::parse(payload.get(16..)?);
    let kind = attributes
        .get(IFLA_LINKINFO)
        .and_then(|info| Attributes::parse(info).string(INFO_KIND))
        .unwrap_or_default();
    Some(Link {
        index,
        name: attributes.string(IFLA_IFNAME)?,
        mac: attributes
            .get(IFLA_ADDRESS)
            .and_then(|b| b.try_into().ok())
            .map(Mac),
        mtu: attributes.u32(IFLA_MTU).unwrap_or(0),
        kind,
    })
}

fn ifinfo(index: u32, flags: u32, mask: u32) -> [u8; 16] {
    let mut bytes = [0u8; 16];
    bytes[4..8].copy_from_slice(&index.to_ne_bytes());
    bytes[8..12].copy_from_slice(&flags.to_ne_bytes());
    bytes[12..16].copy_from_slice(&mask.to_ne_bytes());
    bytes
}
