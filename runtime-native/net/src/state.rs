//! All that one node's network layer holds, behind one lock; networks and sandboxes come and go here.

use crate::dns::Dns;
use crate::error::{Error, Kind, Result};
use crate::forget::Forgetter;
use crate::host::not_found;
use crate::host_table::HostTable;
use crate::link::Links;
use crate::memory::Memory;
use crate::model::{Balancer, BridgeSpec, Endpoint, HostConfig, OverlaySpec};
use crate::netns::{self, Netns};
use crate::network::{Body, Network, Picture, Spec, ensure_bridge};
use crate::nft::Nft;
use crate::overlay::{Overlay, Underlay};
use crate::ports::Ports;
use crate::sandbox::Sandbox;
use crate::sysctl;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

const VXLAN_PORT: u16 = 4789;

pub(crate) struct State {
    pub(crate) netns: Netns,
    pub(crate) links: Links,
    pub(crate) table: HostTable,
    pub(crate) ports: Ports,
    pub(crate) memory: Memory,
    pub(crate) dns: Dns,
    pub(crate) forgetter: Forgetter,
    underlay: Option<Ipv4Addr>,
    vxlan_port: u16,
    pub(crate) networks: BTreeMap<String, Network>,
    pub(crate) sandboxes: BTreeMap<String, Sandbox>,
}

impl State {
    pub(crate) fn open(config: HostConfig, netns: Netns, dns: Dns) -> Result<Self> {
        let memory = Memory::open(&config.exec_root)?;
        sysctl::write(&netns, &[("ipv4/ip_forward".into(), "1")])?;
        let mut state = Self {
            links: Links::open(&netns)?,
            table: HostTable::new(netns.run(Nft::open_here)??),
            netns,
            ports: Ports::default(),
            memory,
            dns,
            forgetter: Forgetter::start()?,
            underlay: None,
            vxlan_port: port_or_usual(config.vxlan_port),
            networks: BTreeMap::new(),
            sandboxes: BTreeMap::new(),
        };
        state.underlay = match config.underlay {
            Some(address) => Some(address),
            None => state.memory.load("node")?.0.pop(),
        };
        state.adopt()?;
        state.rebuild_host_table()?;
        Ok(state)
    }

    pub(crate) fn body_of(&mut self, spec: &Spec) -> Result<Body> {
        match spec {
            Spec::Bridge(b) => Ok(Body::Bridge {
                index: ensure_bridge(&self.netns, &mut self.links, b)?,
            }),
            Spec::Overlay(o) => {
                let path = self.memory.overlay(&o.network_id);
                let underlay = Underlay {
                    address: self.data_path()?,
                    port: self.vxlan_port,
                };
                Overlay::ensure(&path, o, &self.netns, &mut self.links, &underlay).map(Body::Overlay)
            }
        }
    }

    pub(crate) fn tell_peers(&mut self, network: &mut Network) -> Result<()> {
        if let Body::Overlay(overlay) = &mut network.body {
            let here = self.data_path()?;
            for peer in network.picture.peers.values() {
                overlay.set_peer(peer, here)?;
            }
        }
        Ok(())
    }

    /// This node's data-path address: the one that was set, else the one the default route leaves from.
    pub(crate) fn data_path(&mut self) -> Result<Ipv4Addr> {
        if let Some(address) = self.underlay {
            return Ok(address);
        }
        let index = self.links.default_route_link()?;
        let addresses = self.links.addresses()?;
        let Some((_, address, _)) = addresses.into_iter().find(|(i, _, _)| Some(*i) == index) else {
            let text = "this node has no default route, so its data-path address must be given";
            return Err(Error::new(Kind::Invalid, text));
        };
        self.set_data_path(address, self.vxlan_port)?;
        Ok(address)
    }

    pub(crate) fn set_data_path(&mut self, address: Ipv4Addr, port: u16) -> Result<()> {
        let port = port_or_usual(port);
        if self.underlay == Some(address) && self.vxlan_port == port {
            return Ok(());
        }
        if let Some(network) = self
            .networks
            .values()
            .find(|n| matches!(n.body, Body::Overlay(_)))
        {
            let text = format!(
                "the data path cannot change while overlay network {} is here",
                network.picture.spec.id()
            );
            return Err(Error::new(Kind::InUse, text));
        }
        self.memory.save("node", "data-path", &address)?;
        self.underlay = Some(address);
        self.vxlan_port = port;
        Ok(())
    }

    pub(crate) fn create_bridge(&mut self, mut spec: BridgeSpec) -> Result<()> {
        if spec.name.is_empty() {
            spec.name = format!("cr-{:.10}", short_id(&[&spec.network_id]));
        }
        if spec.name.len() > 15 || spec.name.contains(['/', ' ']) {
            return Err(Error::new(
                Kind::Invalid,
                format!("{:?} is no interface name", spec.name),
            ));
        }
        if !spec.subnet.contains(spec.gateway) {
            let text = format!(
                "the gateway {} is not in the subnet {}",
                spec.gateway, spec.subnet
            );
            return Err(Error::new(Kind::Invalid, text));
        }
        self.create_network(Spec::Bridge(spec))
    }

    pub(crate) fn create_overlay(&mut self, spec: OverlaySpec) -> Result<()> {
        if spec.vni == 0 || spec.vni >= 1 << 24 {
            return Err(Error::new(
                Kind::Invalid,
                format!("{} is no VXLAN network identifier", spec.vni),
            ));
        }
        self.create_network(Spec::Overlay(spec))
    }

    fn create_network(&mut self, spec: Spec) -> Result<()> {
        let id = checked_id(spec.id())?.to_string();
        if let Some(existing) = self.networks.get(&id) {
            return if existing.picture.spec == spec {
                Ok(())
            } else {
                Err(Error::new(
                    Kind::Conflict,
                    format!("network {id} exists with other properties"),
                ))
            };
        }
        let body = self.body_of(&spec)?;
        let picture = Picture {
            spec,
            peers: BTreeMap::new(),
            balancers: BTreeMap::new(),
        };
        self.networks.insert(id.clone(), Network { picture, body });
        let finish = |state: &mut Self| {
            state.rebuild_host_table()?;
            state.save_network(&id)
        };
        finish(self).inspect_err(|_| {
            let _ = self.remove_network(&id);
        })
    }

    pub(crate) fn remove_network(&mut self, id: &str) -> Result<()> {
        if let Some(user) = self.sandboxes.values().find(|s| s.endpoint(id).is_some()) {
            let text = format!("network {id} has active endpoints (sandbox {})", user.record.id);
            return Err(Error::new(Kind::InUse, text));
        }
        let Some(network) = self.networks.remove(id) else {
            return self.memory.forget("networks", id);
        };
        match &network.picture.spec {
            Spec::Bridge(b) => self.links.delete(&b.name)?,
            Spec::Overlay(o) => Overlay::remove(&self.memory.overlay(id), o, &mut self.links)?,
        }
        self.dns.forget_network(id);
        self.hold_ingress_ports()?;
        self.rebuild_host_table()?;
        self.memory.forget("networks", id)
    }

    pub(crate) fn network_ids(&self) -> Vec<String> {
        self.networks.keys().cloned().collect()
    }

    pub(crate) fn create_sandbox(
        &mut self,
        id: &str,
        resolvers: &[IpAddr],
        given: Option<Netns>,
    ) -> Result<PathBuf> {
        let path = self.memory.netns(checked_id(id)?);
        if self.sandboxes.contains_key(id) {
            return Err(Error::new(Kind::Conflict, format!("sandbox {id} exists already")));
        }
        let sandbox = Sandbox::create(&path, id, resolvers.to_vec(), given)?;
        self.sandboxes.insert(id.to_string(), sandbox);
        let finish = |state: &mut Self| {
            state.serve_names(id)?;
            state.save_sandbox(id)
        };
        finish(self).inspect_err(|_| {
            let _ = self.delete_sandboxes(&[id.to_string()]);
        })?;
        Ok(path)
    }

    /// Returns what is left to be dropped, which takes the kernel a while each: best done without the lock.
    pub(crate) fn delete_sandboxes(&mut self, ids: &[String]) -> Result<Vec<Sandbox>> {
        let mut doomed: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut touched = Vec::new();
        for sandbox in ids.iter().filter_map(|id| self.sandboxes.get(id)) {
            for endpoint in &sandbox.record.endpoints {
                touched.push(endpoint.clone());
                let link = veth_name(endpoint);
                doomed.entry(endpoint.network_id.clone()).or_default().push(link);
            }
        }
        for endpoint in &touched {
            self.close_ports(endpoint)?;
        }
        let mut on_host = Vec::new();
        for (network, links) in doomed {
            match self.networks.get_mut(&network).map(|n| &mut n.body) {
                Some(Body::Overlay(overlay)) => overlay.links.delete_all(&links)?,
                _ => on_host.extend(links),
            }
        }
        self.links.delete_all(&on_host)?;
        self.dns.stop(ids);
        let mut removed = Vec::new();
        for id in ids {
            removed.extend(self.sandboxes.remove(id));
            netns::remove(&self.memory.netns(checked_id(id)?))?;
            self.memory.forget("sandboxes", id)?;
        }
        for endpoint in touched {
            self.refresh_names(&endpoint.network_id);
            self.forget_address(&endpoint.network_id, endpoint.address);
        }
        Ok(removed)
    }

    /// Has connections forgotten that were led to an address which is gone.
    pub(crate) fn forget_address(&self, network: &str, address: Ipv4Addr) {
        let inside = self.sandboxes.values().filter(|s| s.endpoint(network).is_some());
        let on_overlay = self
            .networks
            .get(network)
            .is_some_and(|n| matches!(n.body, Body::Overlay(_)));
        let mut namespaces = vec![self.netns.clone()];
        if on_overlay {
            namespaces.extend(inside.map(|s| s.netns.clone()));
        }
        self.forgetter.gone(namespaces, vec![address]);
    }

    pub(crate) fn sandbox_ids(&self) -> Vec<String> {
        self.sandboxes.keys().cloned().collect()
    }

    pub(crate) fn endpoints(&self, sandbox: &str) -> Result<Vec<Endpoint>> {
        let found = self
            .sandboxes
            .get(sandbox)
            .ok_or_else(|| not_found("sandbox", sandbox))?;
        Ok(found.record.endpoints.clone())
    }

    pub(crate) fn rebuild_host_table(&mut self) -> Result<()> {
        let doors: Vec<_> = self.networks.values().filter_map(Network::door).collect();
        let endpoints = self.sandboxes.values().flat_map(|s| &s.record.endpoints);
        self.table
            .rebuild(&doors, endpoints, ingress_balancers(&self.networks))
    }

    pub(crate) fn save_network(&self, id: &str) -> Result<()> {
        match self.networks.get(id) {
            Some(network) => self.memory.save("networks", id, &network.picture),
            None => Ok(()),
        }
    }

    pub(crate) fn save_sandbox(&self, id: &str) -> Result<()> {
        match self.sandboxes.get(id) {
            Some(sandbox) => self.memory.save("sandboxes", id, &sandbox.record),
            None => Ok(()),
        }
    }

    pub(crate) fn purge(&mut self) -> Result<()> {
        self.delete_sandboxes(&self.sandbox_ids())?;
        for id in self.network_ids() {
            self.remove_network(&id)?;
        }
        self.table.clear()
    }
}

/// The balancers of the ingress network.
pub(crate) fn ingress_balancers(networks: &BTreeMap<String, Network>) -> impl Iterator<Item = &Balancer> {
    networks
        .values()
        .filter(|n| n.picture.spec.is_ingress())
        .flat_map(|n| n.picture.balancers.values())
}

/// The name of an endpoint's outer end.
pub(crate) fn veth_name(endpoint: &Endpoint) -> String {
    format!("cv{:.12}", short_id(&[&endpoint.sandbox, &endpoint.network_id]))
}

/// Sixteen hexadecimal digits that stand for longer names (FNV-1a): interface names have fifteen bytes.
pub(crate) fn short_id(parts: &[&str]) -> String {
    let bytes = parts.iter().flat_map(|p| p.bytes().chain([0]));
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325u64, |h, b| {
        (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3)
    });
    format!("{hash:016x}")
}

fn port_or_usual(port: u16) -> u16 {
    if port == 0 { VXLAN_PORT } else { port }
}

fn checked_id(id: &str) -> Result<&str> {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if id.is_empty() || id.len() > 200 || id.starts_with('.') || !id.chars().all(fine) {
        return Err(Error::new(Kind::Invalid, format!("{id:?} is no id")));
    }
    Ok(id)
}
