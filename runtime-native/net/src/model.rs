//! What callers say: networks, endpoints, peers and balancers, in plain data.

use crate::address::{Mac, Subnet};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

/// How a node's network layer is opened.
#[derive(Clone, Debug)]
pub struct HostConfig {
    /// Where bound namespaces and the layer's memory live; one folder per engine, on a tmpfs as a rule.
    pub exec_root: PathBuf,
    /// This node's data-path address; without one there are no overlays.
    pub underlay: Option<Ipv4Addr>,
    /// The UDP port of VXLAN; 0 takes the usual 4789.
    pub vxlan_port: u16,
    /// Where names that no network knows are asked for; empty: as /etc/resolv.conf says.
    pub resolvers: Vec<IpAddr>,
}

/// A bridge network of this node alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BridgeSpec {
    /// The network's id.
    pub network_id: String,
    /// The bridge interface's name; empty: one made from the id.
    pub name: String,
    /// The containers' subnet.
    pub subnet: Subnet,
    /// The bridge's own address, the containers' default gateway.
    pub gateway: Ipv4Addr,
    /// 0: 1500.
    pub mtu: u32,
    /// No way out, and none in.
    pub internal: bool,
    /// Whether its containers may talk to each other.
    pub icc: bool,
    /// Whether what leaves takes the node's address.
    pub masquerade: bool,
}

/// A network that spans nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverlaySpec {
    /// The network's id.
    pub network_id: String,
    /// The VXLAN network identifier, the same on all nodes.
    pub vni: u32,
    /// The containers' subnet, the same on all nodes.
    pub subnet: Subnet,
    /// 0: the underlay's less 50.
    pub mtu: u32,
    /// Whether published ports of the cluster arrive by it.
    pub ingress: bool,
    /// This node's own address on it; required on the ingress network.
    pub node_address: Option<Ipv4Addr>,
}

/// A transport protocol that ports are published for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP
    Tcp,
    /// UDP
    Udp,
}

impl Protocol {
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Tcp => libc::IPPROTO_TCP as u8,
            Self::Udp => libc::IPPROTO_UDP as u8,
        }
    }
}

/// A port of this node that leads to one of a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedPort {
    /// The node's address; none (or unspecified) means any.
    pub host_ip: Option<IpAddr>,
    /// The node's port; 0: a free one is taken.
    pub host_port: u16,
    /// The last of those of which a free one is taken; 0: `host_port` alone.
    #[serde(default)]
    pub host_port_end: u16,
    /// The container's port.
    pub container_port: u16,
    /// The protocol.
    pub protocol: Protocol,
}

/// A sandbox's place on a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// The sandbox's id.
    pub sandbox: String,
    /// The network's id.
    pub network_id: String,
    /// The interface's name inside (`eth0`, …).
    pub ifname: String,
    /// Its address, in the network's subnet.
    pub address: Ipv4Addr,
    /// Its hardware address; none: derived from the address.
    pub mac: Option<Mac>,
    /// Whether the default route goes out here (bridge networks that are not internal).
    pub default_route: bool,
    /// Ports of the node that lead here (bridge networks).
    pub published: Vec<PublishedPort>,
    /// Names this endpoint answers to on its network; the first is also its reverse name.
    pub dns_names: Vec<String>,
}

impl Endpoint {
    /// The hardware address the endpoint has.
    pub fn mac(&self) -> Mac {
        self.mac.unwrap_or_else(|| Mac::derived(self.address))
    }
}

/// Where an overlay address lives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// The address on the overlay.
    pub address: Ipv4Addr,
    /// Its hardware address.
    pub mac: Mac,
    /// The data-path address of its node.
    pub vtep: Ipv4Addr,
    /// Whether it is a whole node's own address on the ingress network.
    pub node: bool,
}

/// One address behind a balancer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backend {
    /// Its address on the network.
    pub address: Ipv4Addr,
    /// Names of this one alone.
    pub names: Vec<String>,
}

/// A port that every node answers, on the ingress network only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IngressPort {
    /// The port on every node.
    pub published: u16,
    /// The port of the backends.
    pub target: u16,
    /// The protocol.
    pub protocol: Protocol,
}

/// A virtual address, or names alone, with what stands behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balancer {
    /// Unique on its network.
    pub id: String,
    /// The virtual address; none: names resolve to the backends themselves.
    pub vip: Option<Ipv4Addr>,
    /// Names of the whole; `tasks.NAME` gives the backends.
    pub names: Vec<String>,
    /// What gets new connections.
    pub backends: Vec<Backend>,
    /// Ports that every node answers.
    pub ports: Vec<IngressPort>,
}

/// A change of one network's picture: `full` replaces all of it, else what is named is set and removed.
#[derive(Clone, Debug, Default)]
pub struct Update {
    /// Whether what is not named here goes away.
    pub full: bool,
    /// Balancers to add or replace.
    pub set: Vec<Balancer>,
    /// Ids of balancers to remove.
    pub remove: Vec<String>,
    /// Peers to add or replace.
    pub set_peers: Vec<Peer>,
    /// Addresses of peers to remove.
    pub remove_peers: Vec<Ipv4Addr>,
}
