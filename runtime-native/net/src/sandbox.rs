//! A sandbox: the network namespace of one container (or of several that share it).

use crate::dns::Sockets;
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
    /// The resolver's, until it takes them.
    pub(crate) sockets: Option<Sockets>,
}

struct Doors {
    links: Links,
    nft: Nft,
}

impl Doors {
    fn open_here() -> Result<Self> {
        Ok(Self {
            links: Links::open_here()?,
            nft: Nft::open_here()?,
        })
    }
}

impl Sandbox {
    /// Binds a new namespace, or the one `given`, at `path`, loopback up and settings in place.
    pub(crate) fn create(
        path: &Path,
        id: &str,
        resolvers: Vec<IpAddr>,
        given: Option<Netns>,
    ) -> Result<Self> {
        let record = Record {
            id: id.to_string(),
            resolvers,
            ..Record::default()
        };
        let (netns, doors) = Netns::create(path, given, || {
            let mut doors = Doors::open_here()?;
            let lo = doors.links.index("lo")?;
            doors.links.set_up(lo)?;
            sysctl::without_ipv6_here("default")?;
            // Clients behind an ingress node come in by another interface than the default route's, so
            // reverse-path filtering must not judge; neighbours hear of a new address at once.
            sysctl::write_here("ipv4/conf/all/rp_filter", "0")?;
            sysctl::write_here("ipv4/conf/default/rp_filter", "0")?;
            sysctl::write_here("ipv4/conf/default/arp_notify", "1")?;
            Ok((doors, Sockets::bind_here()?))
        })?;
        Ok(Self::over(netns, record, doors))
    }

    /// Takes over the namespace bound at `path`.
    pub(crate) fn adopt(path: &Path, record: Record) -> Result<Self> {
        let netns = Netns::open(path)?;
        let doors = netns.run(|| Ok((Doors::open_here()?, Sockets::bind_here()?)))??;
        Ok(Self::over(netns, record, doors))
    }

    fn over(netns: Netns, record: Record, (doors, sockets): (Doors, Sockets)) -> Self {
        let table = SandboxTable::new(doors.nft);
        Self {
            record,
            netns,
            links: doors.links,
            table,
            sockets: Some(sockets),
        }
    }

    pub(crate) fn endpoint(&self, network: &str) -> Option<&Endpoint> {
        self.record.endpoints.iter().find(|e| e.network_id == network)
    }

    /// The address that leaves by the default route.
    pub(crate) fn default_source(&self) -> Option<Ipv4Addr> {
        self.record
            .endpoints
            .iter()
            .find(|e| e.default_route)
            .map(|e| e.address)
    }
}
