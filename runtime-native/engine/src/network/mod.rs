//! Networks of the node: their records, their addresses, and what containers have on them.

mod apply;
mod attach;
mod data_path;
pub mod ipam;
mod reaper;
mod store;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, RwLock};

use creel_net::{BridgeSpec, Host, OverlaySpec, Subnet};

use crate::clock::now_nanos;
use crate::error::{EngineError, ErrorCode, Result};
use crate::ids;
use crate::proto::Network;
pub use attach::{Attachment, Wish, addresses};
pub use data_path::DataPath;
use ipam::{Pool, free_subnet, parse_subnet};
use reaper::Reaper;

/// The network that containers without another one get.
pub const DEFAULT_BRIDGE: &str = "bridge";
/// The bridge that gives containers on overlays alone their way out.
pub const GATEWAY_BRIDGE: &str = "creel_gwbridge";

/// All networks of the node.
pub struct Networks {
    dir: PathBuf,
    pub host: Arc<Host>,
    reaper: Reaper,
    known: RwLock<BTreeMap<String, Arc<Entry>>>,
    /// Held while a network is made or removed.
    changing: tokio::sync::Mutex<()>,
}

/// One network.
pub struct Entry {
    pub record: Network,
    /// Addresses of a bridge; overlays are told theirs.
    pool: Option<Mutex<Pool>>,
}

impl Entry {
    /// Whether names of containers resolve on it.
    pub fn has_names(&self) -> bool {
        self.record.driver == "overlay"
            || (self.record.driver == "bridge" && self.record.name != DEFAULT_BRIDGE)
    }

    fn is_bridge(&self) -> bool {
        self.record.driver == "bridge"
    }
}

pub(crate) fn net_error(error: creel_net::Error) -> EngineError {
    use creel_net::Kind;
    let code = match error.kind {
        Kind::NotFound => ErrorCode::NoSuchNetwork,
        Kind::Conflict => ErrorCode::Conflict,
        Kind::PortInUse => ErrorCode::PortTaken,
        Kind::Invalid => ErrorCode::InvalidParameter,
        Kind::Unsupported => ErrorCode::Unsupported,
        Kind::InUse => ErrorCode::NetworkInUse,
        Kind::System => ErrorCode::Internal,
    };
    EngineError::new(code, error.to_string())
}

/// Runs a call that blocks for a moment on a thread that may.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(EngineError::internal(format!(
            "an operation ended unexpectedly: {error}"
        ))),
    }
}

impl Networks {
    /// Reads the records, makes the predefined networks, and has `host` make or take over each.
    pub async fn open(dir: PathBuf, host: Host) -> Result<Self> {
        let host = Arc::new(host);
        let reaper = Reaper::start(host.clone());
        let known = store::load(&dir)?
            .into_iter()
            .map(|record| (record.id.clone(), Arc::new(entry(record))));
        let networks = Self {
            dir,
            host,
            reaper,
            known: RwLock::new(known.collect()),
            changing: tokio::sync::Mutex::new(()),
        };
        for entry in networks.all() {
            if let Err(error) = networks.realize(&entry.record).await {
                tracing::error!(network = entry.record.name, %error, "this network cannot be used");
            }
        }
        for (name, driver) in [(DEFAULT_BRIDGE, "bridge"), ("host", "host"), ("none", "null")] {
            if networks.by_name(name).is_none() {
                let record = Network {
                    name: name.into(),
                    driver: driver.into(),
                    predefined: true,
                    ..Network::default()
                };
                networks.create(record).await?;
            }
        }
        Ok(networks)
    }

    /// All networks.
    pub fn all(&self) -> Vec<Arc<Entry>> {
        self.known
            .read()
            .expect("no panic while locked")
            .values()
            .cloned()
            .collect()
    }

    fn by_name(&self, name: &str) -> Option<Arc<Entry>> {
        self.known
            .read()
            .expect("no panic while locked")
            .values()
            .find(|e| e.record.name == name)
            .cloned()
    }

    /// The network that `reference` means: an id, a name, or a unique prefix of an id.
    pub fn find(&self, reference: &str) -> Result<Arc<Entry>> {
        let known = self.known.read().expect("no panic while locked");
        if let Some(entry) = known.get(reference) {
            return Ok(entry.clone());
        }
        let mut named = known.values().filter(|e| e.record.name == reference);
        let missing = || EngineError::new(ErrorCode::NoSuchNetwork, format!("network {reference} not found"));
        if let Some(entry) = named.next() {
            if named.next().is_some() {
                let text = format!(
                    "network {reference} is ambiguous ({} matches found on name)",
                    2 + named.count()
                );
                return Err(EngineError::new(ErrorCode::AmbiguousId, text));
            }
            return Ok(entry.clone());
        }
        let mut prefixed = known
            .values()
            .filter(|e| !reference.is_empty() && e.record.id.starts_with(reference));
        let first = prefixed.next().ok_or_else(missing)?;
        if prefixed.next().is_some() {
            let text = format!("multiple IDs found with provided prefix: {reference}");
            return Err(EngineError::new(ErrorCode::AmbiguousId, text));
        }
        Ok(first.clone())
    }

    /// Makes a network. One with the id of a known one takes its place if it says the same, else it is refused.
    pub async fn create(&self, mut wanted: Network) -> Result<Network> {
        let _changing = self.changing.lock().await;
        if wanted.name.is_empty() || wanted.name.contains(['/', ' ']) {
            let text = format!(
                "invalid name {:?}: a network's name has no slash and no blank",
                wanted.name
            );
            return Err(EngineError::new(ErrorCode::InvalidName, text));
        }
        if wanted.driver.is_empty() {
            wanted.driver = "bridge".into();
        }
        if wanted.driver == "none" {
            wanted.driver = "null".into();
        }
        if !wanted.id.is_empty()
            && let Ok(known) = self.find(&wanted.id)
            && known.record.id == wanted.id
        {
            return self.create_again(&known, wanted).await;
        }
        if self.by_name(&wanted.name).is_some() {
            let text = format!("network with name {} already exists", wanted.name);
            return Err(EngineError::new(ErrorCode::NetworkNameTaken, text));
        }
        if wanted.id.is_empty() {
            wanted.id = ids::new_id();
        }
        if wanted.scope.is_empty() {
            wanted.scope = if wanted.driver == "overlay" {
                "swarm"
            } else {
                "local"
            }
            .into();
        }
        wanted.created_nanos = now_nanos();
        wanted.endpoints.clear();
        wanted.endpoint_container_ids.clear();
        wanted.endpoint_names.clear();
        self.complete(&mut wanted)?;
        self.realize(&wanted).await?;
        if let Err(error) = store::save(&self.dir, &wanted) {
            let (host, id) = (self.host.clone(), wanted.id.clone());
            let _ = blocking(move || host.remove_network(&id).map_err(net_error)).await;
            return Err(error);
        }
        let made = Arc::new(entry(wanted.clone()));
        self.known
            .write()
            .expect("no panic while locked")
            .insert(wanted.id.clone(), made);
        Ok(wanted)
    }

    async fn create_again(&self, known: &Entry, wanted: Network) -> Result<Network> {
        let old = &known.record;
        let same = old.name == wanted.name
            && old.driver == wanted.driver
            && (wanted.subnet.is_empty() || old.subnet == wanted.subnet)
            && old.vni == wanted.vni;
        if !same {
            let text = format!("network {} exists with other properties", old.name);
            return Err(EngineError::conflict(text));
        }
        self.realize(old).await?;
        Ok(old.clone())
    }

    fn complete(&self, network: &mut Network) -> Result<()> {
        match network.driver.as_str() {
            "bridge" => {
                let mut taken: Vec<Subnet> = self
                    .all()
                    .iter()
                    .filter_map(|e| parse_subnet(&e.record.subnet).ok())
                    .collect();
                let subnet = if network.subnet.is_empty() {
                    taken.extend(self.host.routed_subnets().map_err(net_error)?);
                    free_subnet(&taken)?
                } else {
                    let subnet = parse_subnet(&network.subnet)?;
                    if let Some(other) = taken.iter().find(|t| t.overlaps(&subnet)) {
                        let text = format!(
                            "invalid pool request: Pool overlaps with other one on this address space: {other}"
                        );
                        return Err(EngineError::new(ErrorCode::PredefinedNetwork, text));
                    }
                    subnet
                };
                network.subnet = subnet.to_string();
                if network.gateway.is_empty() {
                    let range = (!network.ip_range.is_empty())
                        .then(|| parse_subnet(&network.ip_range))
                        .transpose()?;
                    let first = range.unwrap_or(subnet).nth(1).or(subnet.nth(1));
                    network.gateway = first.unwrap_or(subnet.network).to_string();
                }
                Ok(())
            }
            "overlay" => parse_subnet(&network.subnet).map(|_| ()),
            "host" | "null" if network.predefined => Ok(()),
            "host" => Err(EngineError::new(
                ErrorCode::PredefinedNetwork,
                "only one instance of \"host\" network is allowed",
            )),
            "null" => Err(EngineError::new(
                ErrorCode::PredefinedNetwork,
                "only one instance of \"null\" network is allowed",
            )),
            other => Err(EngineError::new(
                ErrorCode::NoSuchNetwork,
                format!("could not find plugin {other} in v1 plugin registry: plugin not found"),
            )),
        }
    }

    async fn realize(&self, network: &Network) -> Result<()> {
        let host = self.host.clone();
        let option = |key: &str| network.options.get(key).map(String::as_str);
        match network.driver.as_str() {
            "bridge" => {
                let default_name = match network.name.as_str() {
                    DEFAULT_BRIDGE => "creel0",
                    GATEWAY_BRIDGE => GATEWAY_BRIDGE,
                    _ => "",
                };
                let spec = BridgeSpec {
                    network_id: network.id.clone(),
                    name: option("com.docker.network.bridge.name")
                        .unwrap_or(default_name)
                        .into(),
                    subnet: parse_subnet(&network.subnet)?,
                    gateway: parse_address(&network.gateway)?,
                    mtu: network.mtu,
                    internal: network.internal,
                    icc: option("com.docker.network.bridge.enable_icc") != Some("false"),
                    masquerade: option("com.docker.network.bridge.enable_ip_masquerade") != Some("false"),
                };
                blocking(move || host.create_bridge(spec).map_err(net_error)).await
            }
            "overlay" => {
                let node_address = match network.node_address.as_str() {
                    "" => None,
                    text => Some(parse_address(text)?),
                };
                let spec = OverlaySpec {
                    network_id: network.id.clone(),
                    vni: network.vni,
                    subnet: parse_subnet(&network.subnet)?,
                    mtu: network.mtu,
                    ingress: network.ingress,
                    node_address,
                };
                blocking(move || host.create_overlay(spec).map_err(net_error)).await
            }
            _ => Ok(()),
        }
    }

    /// Removes a network that no container is attached to; `users` are those that say they are.
    pub async fn remove(&self, reference: &str, users: &[String]) -> Result<Network> {
        let _changing = self.changing.lock().await;
        let entry = self.find(reference)?;
        let record = &entry.record;
        if record.predefined && record.name != GATEWAY_BRIDGE {
            let text = format!("{} is a pre-defined network and cannot be removed", record.name);
            return Err(EngineError::new(ErrorCode::PredefinedNetwork, text));
        }
        if !users.is_empty() {
            let text = format!(
                "error while removing network: network {} id {} has active endpoints ({})",
                record.name,
                record.id,
                users.join(", ")
            );
            return Err(EngineError::new(ErrorCode::NetworkInUse, text));
        }
        self.reaper.flush().await;
        let (host, id) = (self.host.clone(), record.id.clone());
        blocking(move || host.remove_network(&id).map_err(net_error)).await?;
        store::delete(&self.dir, &record.id)?;
        self.known
            .write()
            .expect("no panic while locked")
            .remove(&record.id);
        Ok(record.clone())
    }
}

fn entry(record: Network) -> Entry {
    let pool = match (record.driver.as_str(), parse_subnet(&record.subnet)) {
        ("bridge", Ok(subnet)) => {
            let range = parse_subnet(&record.ip_range).ok();
            Some(Mutex::new(Pool::new(subnet, range, record.gateway.parse().ok())))
        }
        _ => None,
    };
    Entry { record, pool }
}

/// Reads an IPv4 address.
pub(crate) fn parse_address(text: &str) -> Result<Ipv4Addr> {
    text.parse()
        .map_err(|_| EngineError::invalid(format!("invalid IPv4 address: {text:?}")))
}
