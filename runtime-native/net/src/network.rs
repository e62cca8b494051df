//! A network on this node: its bridge or overlay, and the cluster's picture of it.

use crate::address::Subnet;
use crate::error::{Error, Kind, Result};
use crate::host_table::Door;
use crate::link::Links;
use crate::model::{Balancer, BridgeSpec, OverlaySpec, Peer};
use crate::netns::Netns;
use crate::overlay::Overlay;
use crate::sandbox_table::Vip;
use crate::sysctl;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

/// What is remembered of a network, over restarts too.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Picture {
    pub(crate) spec: Spec,
    #[serde(default)]
    pub(crate) peers: BTreeMap<Ipv4Addr, Peer>,
    #[serde(default)]
    pub(crate) balancers: BTreeMap<String, Balancer>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Spec {
    Bridge(BridgeSpec),
    Overlay(OverlaySpec),
}

impl Spec {
    pub(crate) fn id(&self) -> &str {
        match self {
            Self::Bridge(b) => &b.network_id,
            Self::Overlay(o) => &o.network_id,
        }
    }

    pub(crate) fn subnet(&self) -> Subnet {
        match self {
            Self::Bridge(b) => b.subnet,
            Self::Overlay(o) => o.subnet,
        }
    }

    pub(crate) fn is_ingress(&self) -> bool {
        matches!(self, Self::Overlay(o) if o.ingress)
    }
}

/// What a network consists of in the kernel.
pub(crate) enum Body {
    Bridge { index: u32 },
    Overlay(Overlay),
}

pub(crate) struct Network {
    pub(crate) picture: Picture,
    pub(crate) body: Body,
}

impl Network {
    /// The network's interface in the node's own namespace, if it has one.
    pub(crate) fn door(&self) -> Option<Door> {
        match &self.picture.spec {
            Spec::Bridge(b) => Some(Door {
                interface: b.name.clone(),
                closed: b.internal,
                within: b.icc,
                masquerade: (b.masquerade && !b.internal).then_some(b.subnet),
            }),
            Spec::Overlay(o) => o.ingress.then(|| Door {
                interface: crate::overlay::door_name(o),
                closed: true,
                within: false,
                masquerade: None,
            }),
        }
    }

    pub(crate) fn mtu(&self) -> u32 {
        match (&self.picture.spec, &self.body) {
            (Spec::Bridge(b), _) if b.mtu > 0 => b.mtu,
            (_, Body::Overlay(o)) => o.mtu,
            _ => 1500,
        }
    }

    /// Where a default route on this network leads.
    pub(crate) fn gateway(&self) -> Option<Ipv4Addr> {
        match &self.picture.spec {
            Spec::Bridge(b) if !b.internal => Some(b.gateway),
            _ => None,
        }
    }

    pub(crate) fn vips(&self) -> Vec<Vip> {
        self.picture.balancers.values().filter_map(vip_of).collect()
    }

    /// The ingress nodes' own addresses, this one's among them.
    pub(crate) fn nodes(&self) -> Vec<Ipv4Addr> {
        match &self.picture.spec {
            Spec::Overlay(o) if o.ingress => {
                let others = self.picture.peers.values().filter(|p| p.node).map(|p| p.address);
                o.node_address.into_iter().chain(others).collect()
            }
            _ => Vec::new(),
        }
    }
}

pub(crate) fn vip_of(balancer: &Balancer) -> Option<Vip> {
    let vip = balancer.vip?;
    Some((vip, Some(balancer.backends.iter().map(|b| b.address).collect())))
}

/// Makes a bridge with its address, or takes over one that has it already. Returns its index.
pub(crate) fn ensure_bridge(host: &Netns, links: &mut Links, spec: &BridgeSpec) -> Result<u32> {
    if let Some(link) = links.get(&spec.name)? {
        let ours = links
            .addresses()?
            .contains(&(link.index, spec.gateway, spec.subnet.prefix));
        if link.kind != "bridge" || !ours {
            let text = format!("the interface {} exists already and is something else", spec.name);
            return Err(Error::new(Kind::Conflict, text));
        }
        return Ok(link.index);
    }
    if let Some(other) = links.routed_subnets()?.iter().find(|s| s.overlaps(&spec.subnet)) {
        let text = format!(
            "the subnet {} overlaps {other}, which this node routes already",
            spec.subnet
        );
        return Err(Error::new(Kind::Conflict, text));
    }
    let index = links.add_bridge(&spec.name, Some(crate::Mac::derived(spec.gateway)), spec.mtu)?;
    let finish = |links: &mut Links| {
        sysctl::without_ipv6(host, &spec.name)?;
        sysctl::write(host, &[(sysctl::of_interface(&spec.name, "route_localnet"), "1")])?;
        links.add_address(index, IpAddr::V4(spec.gateway), spec.subnet.prefix)?;
        links.set_up(index)
    };
    finish(links).inspect_err(|_| {
        let _ = links.delete(&spec.name);
    })?;
    Ok(index)
}
