//! Connecting sandboxes to networks, and what the cluster says about a network.

use crate::error::{Error, Kind, Result};
use crate::host::not_found;
use crate::link::Peer as LinkPeer;
use crate::model::{Endpoint, Update};
use crate::network::{Body, Spec, vip_of};
use crate::sandbox_table::{Arrival, Vip, mark_of};
use crate::state::{State, ingress_balancers, veth_name};
use crate::sysctl;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

impl State {
    pub(crate) fn connect(&mut self, mut endpoint: Endpoint) -> Result<Endpoint> {
        self.check(&endpoint)?;
        self.ports.hold(&self.netns, &mut endpoint)?;
        let done = self.wire(&endpoint);
        if done.is_err() {
            let _ = self.unwire(&endpoint);
        }
        done.map(|()| endpoint)
    }

    fn check(&self, endpoint: &Endpoint) -> Result<()> {
        let Endpoint {
            sandbox: id,
            network_id,
            address,
            ifname,
            ..
        } = endpoint;
        let sandbox = self.sandboxes.get(id).ok_or_else(|| not_found("sandbox", id))?;
        let network = self
            .networks
            .get(network_id)
            .ok_or_else(|| not_found("network", network_id))?;
        let conflict = |text| Err(Error::new(Kind::Conflict, text));
        if !network.picture.spec.subnet().contains(*address) {
            let text = format!("{address} is not in the subnet {}", network.picture.spec.subnet());
            return Err(Error::new(Kind::Invalid, text));
        }
        if ifname.is_empty() || ifname.len() > 15 {
            return Err(Error::new(
                Kind::Invalid,
                format!("{ifname:?} is no interface name"),
            ));
        }
        if sandbox.endpoint(network_id).is_some() {
            return conflict(format!(
                "sandbox {id} is connected to network {network_id} already"
            ));
        }
        if sandbox.record.endpoints.iter().any(|e| e.ifname == *ifname) {
            return conflict(format!("sandbox {id} has an interface {ifname} already"));
        }
        let mut others = self.sandboxes.values().filter_map(|s| s.endpoint(network_id));
        if others.any(|e| e.address == *address) {
            return conflict(format!("address {address} is in use on network {network_id}"));
        }
        if endpoint.default_route && network.gateway().is_none() {
            let text = format!("network {network_id} has no way out for a default route");
            return Err(Error::new(Kind::Invalid, text));
        }
        Ok(())
    }

    fn wire(&mut self, endpoint: &Endpoint) -> Result<()> {
        let network = self.networks.get_mut(&endpoint.network_id).expect("checked");
        let sandbox = self.sandboxes.get_mut(&endpoint.sandbox).expect("checked");
        let (mtu, gateway) = (network.mtu(), network.gateway());
        let isolated = matches!(&network.picture.spec, Spec::Bridge(b) if !b.icc);
        let (links, bridge) = match &mut network.body {
            Body::Bridge { index } => (&mut self.links, *index),
            Body::Overlay(overlay) => (&mut overlay.links, overlay.bridge),
        };
        let peer = LinkPeer {
            netns: &sandbox.netns,
            name: &endpoint.ifname,
            mac: Some(endpoint.mac()),
        };
        let outer = links.add_veth(&veth_name(endpoint), mtu, &peer)?;
        links.attach(outer, bridge)?;
        if isolated {
            links.isolate(outer)?;
        }
        if !endpoint.published.is_empty() {
            // With br_netfilter, a container's own published port leads back out of its own bridge port.
            links.hairpin(outer)?;
        }
        let prefix = network.picture.spec.subnet().prefix;
        let inner = sandbox.links.index(&endpoint.ifname)?;
        sandbox
            .links
            .add_address(inner, IpAddr::V4(endpoint.address), prefix)?;
        sandbox.links.set_up(inner)?;
        if endpoint.default_route {
            sandbox
                .links
                .add_route(None, gateway.map(IpAddr::V4), inner, None)?;
        }
        if endpoint.default_route {
            sandbox
                .record
                .endpoints
                .iter_mut()
                .for_each(|e| e.default_route = false);
        }
        sandbox.record.endpoints.push(endpoint.clone());
        self.forgetter.back(vec![endpoint.address]);
        self.table.publish(endpoint, true)?;
        self.rebuild_sandbox(&endpoint.sandbox)?;
        self.refresh_names(&endpoint.network_id);
        self.serve_names(&endpoint.sandbox)?;
        self.save_sandbox(&endpoint.sandbox)
    }

    /// Undoes as much of [`State::wire`] as was done.
    fn unwire(&mut self, endpoint: &Endpoint) -> Result<()> {
        self.close_ports(endpoint)?;
        let links = match self.networks.get_mut(&endpoint.network_id).map(|n| &mut n.body) {
            Some(Body::Overlay(overlay)) => &mut overlay.links,
            _ => &mut self.links,
        };
        links.delete(&veth_name(endpoint))?;
        if let Some(sandbox) = self.sandboxes.get_mut(&endpoint.sandbox) {
            sandbox
                .record
                .endpoints
                .retain(|e| e.network_id != endpoint.network_id);
            self.hand_over_default_route(endpoint)?;
            self.rebuild_sandbox(&endpoint.sandbox)?;
            self.refresh_names(&endpoint.network_id);
            self.serve_names(&endpoint.sandbox)?;
            self.save_sandbox(&endpoint.sandbox)?;
            self.forget_address(&endpoint.network_id, endpoint.address);
        }
        Ok(())
    }

    /// Gives the default route of an endpoint that is gone to the next that has a way out.
    fn hand_over_default_route(&mut self, gone: &Endpoint) -> Result<()> {
        let Some(sandbox) = self.sandboxes.get_mut(&gone.sandbox) else {
            return Ok(());
        };
        if !gone.default_route || sandbox.default_source().is_some() {
            return Ok(());
        }
        for endpoint in &mut sandbox.record.endpoints {
            let network = self.networks.get(&endpoint.network_id);
            if let Some(gateway) = network.and_then(|n| n.gateway()) {
                let index = sandbox.links.index(&endpoint.ifname)?;
                sandbox
                    .links
                    .add_route(None, Some(IpAddr::V4(gateway)), index, None)?;
                endpoint.default_route = true;
                break;
            }
        }
        Ok(())
    }

    /// Closes an endpoint's published ports and lets them go.
    pub(crate) fn close_ports(&mut self, endpoint: &Endpoint) -> Result<()> {
        let open = self.sandboxes.get(&endpoint.sandbox).is_some_and(|s| {
            s.endpoint(&endpoint.network_id)
                .is_some_and(|e| e.published == endpoint.published)
        });
        if open && !endpoint.published.is_empty() && self.table.publish(endpoint, false).is_err() {
            // Not as remembered: written anew without this endpoint.
            if let Some(sandbox) = self.sandboxes.get_mut(&endpoint.sandbox) {
                for e in sandbox
                    .record
                    .endpoints
                    .iter_mut()
                    .filter(|e| e.network_id == endpoint.network_id)
                {
                    e.published.clear();
                }
            }
            self.rebuild_host_table()?;
        }
        self.ports.release(endpoint);
        Ok(())
    }

    pub(crate) fn disconnect(&mut self, sandbox: &str, network: &str) -> Result<()> {
        let found = self
            .sandboxes
            .get(sandbox)
            .ok_or_else(|| not_found("sandbox", sandbox))?;
        match found.endpoint(network).cloned() {
            Some(endpoint) => self.unwire(&endpoint),
            None => Ok(()),
        }
    }

    pub(crate) fn set_endpoint_names(&mut self, id: &str, network: &str, names: Vec<String>) -> Result<()> {
        let sandbox = self
            .sandboxes
            .get_mut(id)
            .ok_or_else(|| not_found("sandbox", id))?;
        let endpoint = sandbox
            .record
            .endpoints
            .iter_mut()
            .find(|e| e.network_id == network);
        endpoint
            .ok_or_else(|| not_found("endpoint of sandbox", id))?
            .dns_names = names;
        self.refresh_names(network);
        self.save_sandbox(id)
    }

    /// Writes a sandbox's packet rules anew, if any of its networks needs them.
    fn rebuild_sandbox(&mut self, id: &str) -> Result<()> {
        let Some(sandbox) = self.sandboxes.get_mut(id) else {
            return Ok(());
        };
        let networks = &self.networks;
        let of = |network: &str| networks.get(network);
        let attached = || {
            sandbox
                .record
                .endpoints
                .iter()
                .filter_map(|e| Some((e, of(&e.network_id)?)))
        };
        if !attached().any(|(_, n)| matches!(n.body, Body::Overlay(_))) && sandbox.table.is_stale() {
            return Ok(());
        }
        let vips: Vec<Vip> = attached().flat_map(|(_, n)| n.vips()).collect();
        let arriving = attached().find(|(_, n)| n.picture.spec.is_ingress());
        let arrival = arriving.map(|(e, n)| Arrival {
            ifname: e.ifname.clone(),
            address: e.address,
            subnet: n.picture.spec.subnet(),
            default_source: sandbox.default_source(),
        });
        let nodes: BTreeSet<_> = arriving
            .map(|(_, n)| n.nodes())
            .unwrap_or_default()
            .into_iter()
            .collect();
        if arrival.is_some() {
            // A server's answer to a SYN then looks up its route with the mark the SYN came with.
            sysctl::write(&sandbox.netns, &[("ipv4/tcp_fwmark_accept".into(), "1")])?;
        }
        let ifname = arrival.as_ref().map(|a| a.ifname.clone());
        sandbox.table.rebuild(vips, arrival.as_ref())?;
        // Routes go with their interface; rules do not.
        self.lead_back(id, nodes, ifname.as_deref())
    }

    /// Makes the policy routes back to the ingress nodes what they should be.
    fn lead_back(&mut self, id: &str, nodes: BTreeSet<Ipv4Addr>, ifname: Option<&str>) -> Result<()> {
        let Some(sandbox) = self.sandboxes.get_mut(id) else {
            return Ok(());
        };
        let old = std::mem::take(&mut sandbox.record.nodes);
        for gone in old.difference(&nodes) {
            sandbox.links.delete_mark_rule(mark_of(*gone), mark_of(*gone))?;
        }
        if let Some(ifname) = ifname {
            let index = sandbox.links.index(ifname)?;
            for node in &nodes {
                let mark = mark_of(*node);
                sandbox
                    .links
                    .add_route(None, Some(IpAddr::V4(*node)), index, Some(mark))?;
                if !old.contains(node) {
                    sandbox.links.add_mark_rule(mark, mark)?;
                }
            }
        }
        sandbox.record.nodes = nodes;
        Ok(())
    }

    pub(crate) fn apply(&mut self, id: &str, update: Update) -> Result<()> {
        let nodes_changed = update.full || !update.set_peers.is_empty() || !update.remove_peers.is_empty();
        self.apply_peers(id, &update)?;
        let vips = self.apply_balancers(id, update)?;
        self.hold_ingress_ports()?;
        let network = self.networks.get(id).ok_or_else(|| not_found("network", id))?;
        if network.picture.spec.is_ingress() {
            if self.table.is_stale() {
                self.rebuild_host_table()?;
            } else {
                self.table.balance(ingress_balancers(&self.networks))?;
            }
        }
        let ingress_nodes = self.networks[id].nodes().into_iter().collect::<BTreeSet<_>>();
        let attached: Vec<_> = self
            .sandboxes
            .values()
            .filter(|s| s.endpoint(id).is_some())
            .map(|s| s.record.id.clone())
            .collect();
        for sandbox_id in attached {
            let sandbox = self.sandboxes.get_mut(&sandbox_id).expect("just listed");
            if sandbox.table.is_stale() {
                self.rebuild_sandbox(&sandbox_id)?;
                self.save_sandbox(&sandbox_id)?;
                continue;
            }
            sandbox.table.change(vips.clone())?;
            if nodes_changed
                && self.networks[id].picture.spec.is_ingress()
                && sandbox.record.nodes != ingress_nodes
            {
                let ifname = sandbox.endpoint(id).map(|e| e.ifname.clone());
                self.lead_back(&sandbox_id, ingress_nodes.clone(), ifname.as_deref())?;
                self.save_sandbox(&sandbox_id)?;
            }
        }
        self.refresh_names(id);
        self.save_network(id)
    }

    fn apply_peers(&mut self, id: &str, update: &Update) -> Result<()> {
        let network = self.networks.get(id).ok_or_else(|| not_found("network", id))?;
        if !matches!(network.body, Body::Overlay(_)) {
            return Ok(());
        }
        let here = self.data_path()?;
        let network = self
            .networks
            .get_mut(id)
            .ok_or_else(|| not_found("network", id))?;
        let Body::Overlay(overlay) = &mut network.body else {
            return Ok(());
        };
        self.forgetter
            .back(update.set_peers.iter().map(|p| p.address).collect());
        let peers = &mut network.picture.peers;
        let mut gone: BTreeSet<_> = update.remove_peers.iter().copied().collect();
        if update.full {
            gone.extend(peers.keys());
        }
        for peer in &update.set_peers {
            gone.remove(&peer.address);
            match peers.get(&peer.address) {
                Some(old) if old == peer => continue,
                Some(old) if old.mac != peer.mac => overlay.delete_peer(old)?,
                _ => {}
            }
            overlay.set_peer(peer, here)?;
            peers.insert(peer.address, peer.clone());
        }
        let mut lost = Vec::new();
        for address in gone {
            if let Some(old) = peers.remove(&address) {
                overlay.delete_peer(&old)?;
                lost.push(address);
            }
        }
        lost.iter().for_each(|address| self.forget_address(id, *address));
        Ok(())
    }

    /// Takes the balancers over and returns what became of their virtual addresses.
    fn apply_balancers(&mut self, id: &str, update: Update) -> Result<Vec<Vip>> {
        let network = self
            .networks
            .get_mut(id)
            .ok_or_else(|| not_found("network", id))?;
        let balancers = &mut network.picture.balancers;
        let mut gone: BTreeSet<String> = update.remove.into_iter().collect();
        if update.full {
            gone.extend(balancers.keys().cloned());
        }
        let (mut freed, mut vips) = (BTreeSet::new(), Vec::new());
        for balancer in update.set {
            gone.remove(&balancer.id);
            vips.extend(vip_of(&balancer));
            let old = balancers.insert(balancer.id.clone(), balancer);
            freed.extend(old.and_then(|b| b.vip));
        }
        freed.extend(gone.iter().filter_map(|id| balancers.remove(id)?.vip));
        let removed = freed.into_iter().filter(|vip| !vips.iter().any(|v| v.0 == *vip));
        let removed: Vec<Vip> = removed.map(|vip| (vip, None)).collect();
        Ok(removed.into_iter().chain(vips).collect())
    }

    pub(crate) fn hold_ingress_ports(&mut self) -> Result<()> {
        let ports: Vec<_> = ingress_balancers(&self.networks)
            .flat_map(|b| b.ports.iter().copied())
            .collect();
        self.ports.hold_ingress(&self.netns, &ports)
    }
}
