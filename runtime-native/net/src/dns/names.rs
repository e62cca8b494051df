//! Which names a network knows, and which networks a sandbox sees.

use crate::error::Result;
use crate::network::Network;
use crate::state::State;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// The names of one network, in lower case.
#[derive(Default)]
pub(crate) struct Names {
    forward: HashMap<String, Vec<Ipv4Addr>>,
    reverse: HashMap<Ipv4Addr, String>,
}

impl Names {
    fn add(&mut self, name: &str, address: Ipv4Addr) {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        if name.is_empty() {
            return;
        }
        self.reverse.entry(address).or_insert_with(|| name.clone());
        let addresses = self.forward.entry(name).or_default();
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }

    /// What the cluster says of a network, and what this node's own endpoints add.
    pub(crate) fn of(network: &Network, endpoints: &[(Ipv4Addr, Vec<String>)]) -> Self {
        let mut names = Self::default();
        for (address, own) in endpoints {
            own.iter().for_each(|name| names.add(name, *address));
        }
        for balancer in network.picture.balancers.values() {
            for backend in &balancer.backends {
                backend
                    .names
                    .iter()
                    .for_each(|name| names.add(name, backend.address));
            }
            for name in &balancer.names {
                match balancer.vip {
                    Some(vip) => names.add(name, vip),
                    None => balancer.backends.iter().for_each(|b| names.add(name, b.address)),
                }
                let each = format!("tasks.{name}");
                balancer.backends.iter().for_each(|b| names.add(&each, b.address));
            }
        }
        names
    }
}

/// What one sandbox sees.
#[derive(Clone, Default)]
pub(crate) struct View {
    /// Its networks, in the order of its endpoints.
    pub(crate) networks: Vec<String>,
    /// Who is asked for other names; empty: nobody.
    pub(crate) upstreams: Vec<IpAddr>,
}

/// All names of the node.
#[derive(Default)]
pub(crate) struct Tables {
    pub(crate) networks: HashMap<String, Arc<Names>>,
    pub(crate) views: HashMap<String, View>,
}

impl Tables {
    fn seen_by(&self, view: &View) -> impl Iterator<Item = &Names> {
        view.networks
            .iter()
            .filter_map(|n| self.networks.get(n).map(|n| &**n))
    }

    /// The addresses of a name: those of the first network that knows it.
    pub(crate) fn addresses(&self, view: &View, name: &str) -> Option<&[Ipv4Addr]> {
        self.seen_by(view)
            .find_map(|n| n.forward.get(name))
            .map(Vec::as_slice)
    }

    /// The name of an address.
    pub(crate) fn name(&self, view: &View, address: Ipv4Addr) -> Option<&str> {
        self.seen_by(view)
            .find_map(|n| n.reverse.get(&address))
            .map(String::as_str)
    }
}

impl State {
    /// Tells the resolver a network's names anew.
    pub(crate) fn refresh_names(&mut self, id: &str) {
        let Some(network) = self.networks.get(id) else {
            return;
        };
        let endpoints = self.sandboxes.values().filter_map(|s| s.endpoint(id));
        let own: Vec<_> = endpoints.map(|e| (e.address, e.dns_names.clone())).collect();
        self.dns.set_network(id, Names::of(network, &own));
    }

    /// Makes the resolver answer in a sandbox, with what it sees now.
    pub(crate) fn serve_names(&mut self, id: &str) -> Result<()> {
        let Some(sandbox) = self.sandboxes.get_mut(id) else {
            return Ok(());
        };
        let networks = sandbox
            .record
            .endpoints
            .iter()
            .map(|e| e.network_id.clone())
            .collect();
        let has_way_out = sandbox.default_source().is_some();
        let upstreams = match has_way_out {
            true if sandbox.record.resolvers.is_empty() => self.dns.resolvers().to_vec(),
            true => sandbox.record.resolvers.clone(),
            false => Vec::new(),
        };
        self.dns.serve(
            id,
            sandbox.sockets.take(),
            &mut sandbox.table.nft,
            View { networks, upstreams },
        )
    }
}
