//! A sandbox: the network namespace of one container (or of several that share it).

use crate::error::Result;
use crate::link::Links;
use crate::model::Endpoint;
use crate::netns::Netns;
use crate::nft::Nft;
use crate::sandbox_table::SandboxTable;
use crate::sysctl;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

/// What is remembered of a sandbox, over restarts too.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) resolvers: Vec<IpAddr>,
    #[serde(default)]
    pub(crate) endpoints: Vec<Endpoint>,
    /// The ingress nodes that policy rules lead back to.
    #[serde(default)]
    pub(crate) nodes: BTreeSet<Ipv4Addr>,
}

pub(crate) struct Sandbox {
    pub(crate) record: Record,
    pub(crate) netns: Netns,
    pub(crate) links: Links,
    pub(crate) table: SandboxTable,
}

impl Sandbox {
    /// Makes a namespace bound at `path`, loopback up and settings in place.
    pub(crate) fn create(path: &Path, id: &str, resolvers: Vec<IpAddr>) -> Result<Self> {
        let netns = Netns::create(path)?;
        let record = Record { id: id.to_string(), resolvers, ..Record::default() };
        let finish = || {
            let mut sandbox = Self::over(netns, record)?;
            let lo = sandbox.links.index("lo")?;
            sandbox.links.set_up(lo)?;
            sysctl::without_ipv6(&sandbox.netns, "default")?;
            // Clients behind an ingress node come in by another interface than the default route's, so
            // reverse-path filtering must not judge; neighbours hear of a new address at once.
            let settings = [
                ("ipv4/conf/all/rp_filter".to_string(), "0"),
                ("ipv4/conf/default/rp_filter".to_string(), "0"),
                ("ipv4/conf/default/arp_notify".to_string(), "1"),
            ];
            sysctl::write(&sandbox.netns, &settings)?;
            Ok(sandbox)
        };
        finish().inspect_err(|_| {
            let _ = crate::netns::remove(path);
        })
    }

    /// Takes over the namespace bound at `path`.
    pub(crate) fn adopt(path: &Path, record: Record) -> Result<Self> {
        Self::over(Netns::open(path)?, record)
    }

    fn over(netns: Netns, record: Record) -> Result<Self> {
        let links = Links::open(&netns)?;
        let table = SandboxTable::new(Nft::open(&netns)?);
        Ok(Self { record, netns, links, table })
    }

    pub(crate) fn endpoint(&self, network: &str) -> Option<&Endpoint> {
        self.record.endpoints.iter().find(|e| e.network_id == network)
    }

    /// The address that leaves by the default route.
    pub(crate) fn default_source(&self) -> Option<Ipv4Addr> {
        self.record.endpoints.iter().find(|e| e.default_route).map(|e| e.address)
    }
}
