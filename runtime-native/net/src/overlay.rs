//! An overlay network: a bridge and a VXLAN device in a namespace of their own, told where every address is.

use crate::address::Mac;
use crate::error::{Error, Kind, Result};
use crate::link::{Links, Peer as LinkPeer};
use crate::model::{OverlaySpec, Peer};
use crate::netns::{self, Netns};
use crate::sysctl;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

const BRIDGE: &str = "br0";
const VXLAN: &str = "vxlan0";
const HOST_SIDE: &str = "host0";
const OVERHEAD: u32 = 50;

/// The running half of an overlay.
pub(crate) struct Overlay {
    pub(crate) netns: Netns,
    pub(crate) links: Links,
    pub(crate) bridge: u32,
    pub(crate) mtu: u32,
    vxlan: u32,
}

/// How this node reaches the others.
pub(crate) struct Underlay {
    pub(crate) address: Ipv4Addr,
    pub(crate) port: u16,
}

/// The name of the node's own interface on the ingress network.
pub(crate) fn door_name(spec: &OverlaySpec) -> String {
    format!("ci{:06x}", spec.vni)
}

impl Overlay {
    /// Takes over the overlay bound at `path`, or makes it.
    pub(crate) fn ensure(
        path: &Path,
        spec: &OverlaySpec,
        host: &Netns,
        host_links: &mut Links,
        underlay: &Underlay,
    ) -> Result<Self> {
        if netns::is_bound(path) {
            if let Ok(overlay) = Self::adopt(path) {
                return Ok(overlay);
            }
            Self::remove(path, spec, host_links)?;
        }
        let _ = std::fs::remove_file(path);
        let made = Self::create(path, spec, host, host_links, underlay);
        if made.is_err() {
            let _ = Self::remove(path, spec, host_links);
        }
        made
    }

    fn adopt(path: &Path) -> Result<Self> {
        let netns = Netns::open(path)?;
        let mut links = Links::open(&netns)?;
        let missing = || Error::new(Kind::NotFound, "the overlay is incomplete");
        let vxlan = links.get(VXLAN)?.ok_or_else(missing)?;
        let bridge = links.get(BRIDGE)?.ok_or_else(missing)?.index;
        Ok(Self {
            netns,
            links,
            bridge,
            mtu: vxlan.mtu,
            vxlan: vxlan.index,
        })
    }

    fn create(
        path: &Path,
        spec: &OverlaySpec,
        host: &Netns,
        host_links: &mut Links,
        underlay: &Underlay,
    ) -> Result<Self> {
        let mtu = if spec.mtu > 0 {
            spec.mtu
        } else {
            underlay_mtu(host_links, underlay.address)? - OVERHEAD
        };
        let (netns, mut links) = Netns::create(path, None, || {
            sysctl::without_ipv6_here("default")?;
            sysctl::without_bridge_filter_here()?;
            Links::open_here()
        })?;
        let bridge = links.add_bridge(BRIDGE, None, mtu)?;

        // Made in the host's namespace so that its packets travel there, then moved to its own.
        let passing = format!("cx{:06x}", spec.vni);
        host_links.delete(&passing)?;
        let index = host_links.add_vxlan(&passing, spec.vni, underlay.address, underlay.port, mtu)?;
        let moved = host_links.move_to(index, &netns, Some(VXLAN));
        if moved.is_err() {
            let _ = host_links.delete(&passing);
        }
        moved?;
        let vxlan = links.index(VXLAN)?;
        links.attach(vxlan, bridge)?;
        // Where addresses live is told, here as for VXLAN: what the bridge had learned would outlive an address's move
        // to this node by minutes.
        links.unlearning(vxlan)?;
        links.set_up(bridge)?;
        let mut overlay = Self {
            netns,
            links,
            bridge,
            mtu,
            vxlan,
        };
        if spec.ingress {
            overlay.open_door(spec, host, host_links)?;
        }
        Ok(overlay)
    }

    /// Gives the node itself an interface on the overlay.
    fn open_door(&mut self, spec: &OverlaySpec, host: &Netns, host_links: &mut Links) -> Result<()> {
        let address = spec.node_address.ok_or_else(|| {
            Error::new(
                Kind::Invalid,
                "the ingress network needs this node's own address on it",
            )
        })?;
        let door = door_name(spec);
        host_links.delete(&door)?;
        let peer = LinkPeer {
            netns: &self.netns,
            name: HOST_SIDE,
            mac: None,
        };
        let index = host_links.add_veth(&door, self.mtu, &peer)?;
        host_links.set_mac(index, Mac::derived(address))?;
        sysctl::without_ipv6(host, &door)?;
        let setting = |name| sysctl::of_interface(&door, name);
        sysctl::write(
            host,
            &[(setting("route_localnet"), "1"), (setting("arp_announce"), "2")],
        )?;
        let inside = self.links.index(HOST_SIDE)?;
        self.links.attach(inside, self.bridge)?;
        host_links.set_up(index)?;
        host_links.add_address(index, IpAddr::V4(address), spec.subnet.prefix)
    }

    /// Removes an overlay; the kernel takes its devices with the namespace.
    pub(crate) fn remove(path: &Path, spec: &OverlaySpec, host_links: &mut Links) -> Result<()> {
        if spec.ingress {
            host_links.delete(&door_name(spec))?;
        }
        // Deleted by name, so that the identifier is free when this returns and not some time later.
        if let Ok(mut overlay) = Self::adopt(path) {
            overlay.links.delete(VXLAN)?;
        }
        netns::remove(path)
    }

    /// Says where an address lives; `here` is this node's own data-path address, whose containers answer
    /// for themselves.
    pub(crate) fn set_peer(&mut self, peer: &Peer, here: Ipv4Addr) -> Result<()> {
        if peer.vtep == here {
            return self.delete_peer(peer);
        }
        self.links.set_forwarding(self.vxlan, peer.mac, peer.vtep)?;
        self.links.set_port_of(self.vxlan, peer.mac)?;
        self.links.set_neighbour(self.vxlan, peer.address, peer.mac)
    }

    /// Forgets where an address lives.
    pub(crate) fn delete_peer(&mut self, peer: &Peer) -> Result<()> {
        self.links.delete_neighbour(self.vxlan, peer.address)?;
        self.links.delete_port_of(self.vxlan, peer.mac)?;
        self.links.delete_forwarding(self.vxlan, peer.mac)
    }
}

fn underlay_mtu(links: &mut Links, address: Ipv4Addr) -> Result<u32> {
    let found = links.addresses()?.into_iter().find(|(_, a, _)| *a == address);
    let Some((index, _, _)) = found else {
        let text = format!("no interface of this node has the data-path address {address}");
        return Err(Error::new(Kind::NotFound, text));
    };
    let mtu = links
        .list()?
        .into_iter()
        .find(|l| l.index == index)
        .map_or(1500, |l| l.mtu);
    // Loopback's 65536 is more than a VXLAN device takes.
    Ok(mtu.clamp(OVERHEAD + 576, 65_000))
}
