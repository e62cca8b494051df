//! The crate's door: one node's networks, sandboxes and endpoints.

use crate::address::Subnet;
use crate::dns::Dns;
use crate::error::{Error, Kind, Result};
use crate::link::Links;
use crate::model::{BridgeSpec, Endpoint, HostConfig, OverlaySpec, Update};
use crate::netns::Netns;
use crate::state::State;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One node's network layer. Its calls block (a few milliseconds at most, see each), so an asynchronous
/// caller makes them on a blocking thread. They may be made from any thread at any time.
pub struct Host {
    state: Mutex<State>,
    /// Where the namespaces of sandboxes are bound.
    sandboxes: PathBuf,
}

impl Host {
    /// Opens the layer in the calling thread's network namespace, and takes over what an earlier process
    /// left: containers notice nothing.
    pub fn open(config: HostConfig) -> Result<Self> {
        let netns = Netns::current()?;
        let dns = Dns::start(netns.clone(), &config.resolvers)?;
        let state = State::open(config, netns, dns)?;
        Ok(Self {
            sandboxes: state.memory.sandboxes_folder(),
            state: Mutex::new(state),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a sandbox: a namespace with loopback up, bound at the path returned. `resolvers` are asked
    /// for names that no network knows; empty: the node's own. The namespace is a new one unless one is `given`.
    pub fn create_sandbox(&self, id: &str, resolvers: &[IpAddr], given: Option<Netns>) -> Result<PathBuf> {
        self.state().create_sandbox(id, resolvers, given)
    }

    /// Where a sandbox's namespace is bound as long as there is such a sandbox. Does not block.
    pub fn sandbox_path(&self, id: &str) -> PathBuf {
        self.sandboxes.join(id)
    }

    /// The ids of all sandboxes.
    pub fn sandboxes(&self) -> Vec<String> {
        self.state().sandbox_ids()
    }

    /// A sandbox's endpoints, with the ports that were chosen.
    pub fn endpoints(&self, sandbox: &str) -> Result<Vec<Endpoint>> {
        self.state().endpoints(sandbox)
    }

    /// Deletes sandboxes with their endpoints, in the time of one (about 20 ms): off the critical path, and
    /// several at a time. Ones that are gone already are no error.
    pub fn delete_sandboxes(&self, ids: &[String]) -> Result<()> {
        let removed = self.state().delete_sandboxes(ids)?;
        drop(removed);
        Ok(())
    }

    /// Makes a bridge network; the same again is no error.
    pub fn create_bridge(&self, spec: BridgeSpec) -> Result<()> {
        self.state().create_bridge(spec)
    }

    /// Makes this node's part of an overlay network; the same again is no error.
    pub fn create_overlay(&self, spec: OverlaySpec) -> Result<()> {
        self.state().create_overlay(spec)
    }

    /// Says which of this node's addresses other nodes reach its overlay networks by, and at which UDP port (0: the
    /// usual 4789). It cannot change while there are any. Without it, the first overlay takes the address of the
    /// default route's link.
    pub fn set_data_path(&self, address: Ipv4Addr, port: u16) -> Result<()> {
        self.state().set_data_path(address, port)
    }

    /// The ids of all networks.
    pub fn networks(&self) -> Vec<String> {
        self.state().network_ids()
    }

    /// Removes a network without endpoints; one that is gone already is no error.
    pub fn remove_network(&self, id: &str) -> Result<()> {
        self.state().remove_network(id)
    }

    /// Connects a sandbox to a network (about 2 ms). Returns the endpoint with the ports that were chosen.
    pub fn connect(&self, endpoint: Endpoint) -> Result<Endpoint> {
        self.state().connect(endpoint)
    }

    /// Disconnects a sandbox from a network; one that is not connected is no error.
    pub fn disconnect(&self, sandbox: &str, network: &str) -> Result<()> {
        self.state().disconnect(sandbox, network)
    }

    /// Changes the names an endpoint answers to.
    pub fn set_endpoint_names(&self, sandbox: &str, network: &str, names: Vec<String>) -> Result<()> {
        self.state().set_endpoint_names(sandbox, network, names)
    }

    /// Changes a network's peers and balancers. What leaves a balancer gets no new connections; those it
    /// has go on.
    pub fn apply(&self, network: &str, update: Update) -> Result<()> {
        self.state().apply(network, update)
    }

    /// The subnets this node routes already, so that a new network can keep clear of them.
    pub fn routed_subnets(&self) -> Result<Vec<Subnet>> {
        Links::open(&self.state().netns)?.routed_subnets()
    }

    /// Removes everything: sandboxes, networks, packet rules. For leaving a cluster, or uninstalling.
    pub fn purge(&self) -> Result<()> {
        self.state().purge()
    }
}

pub(crate) fn not_found(what: &str, id: &str) -> Error {
    Error::new(Kind::NotFound, format!("{what} {id} not found"))
}
