//! Attaching containers: a sandbox for each start, an endpoint on each network in it.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;

use creel_net::PublishedPort;
use creel_net::netns::Netns;

use super::apply::{port, protocol};
use super::{Entry, GATEWAY_BRIDGE, Networks, blocking, net_error, parse_address};
use crate::container::merge;
use crate::error::{EngineError, ErrorCode, Result};
use crate::ids;
use crate::proto::{BoundPort, Endpoint, Network, NetworkAttachment, PortBinding};

/// What a container wants of the network at its start.
pub struct Wish {
    pub container_id: String,
    pub container_name: String,
    pub networks: Vec<NetworkAttachment>,
    pub ports: Vec<PortBinding>,
    /// Answers names that no network knows; empty: the host's own resolvers.
    pub dns_servers: Vec<IpAddr>,
    /// A network namespace that exists, for the sandbox; none: a new one.
    pub namespace: Option<Netns>,
}

/// What it got.
#[derive(Debug, Default)]
pub struct Attachment {
    pub sandbox: String,
    pub path: PathBuf,
    pub endpoints: Vec<Endpoint>,
    pub gateway_endpoint: Option<Endpoint>,
    pub ports: Vec<BoundPort>,
}

struct Plan {
    entry: Arc<Entry>,
    wanted: NetworkAttachment,
    default_route: bool,
    published: bool,
    hidden: bool,
}

impl Networks {
    /// Refuses attachments to networks that are not there, or that cannot be had together.
    pub fn check(&self, networks: &[NetworkAttachment]) -> Result<()> {
        for wanted in networks {
            let entry = self.find(&wanted.network)?;
            if matches!(entry.record.driver.as_str(), "host" | "null") && networks.len() > 1 {
                let text = format!("the network {} cannot be had with others", entry.record.name);
                return Err(EngineError::conflict(text));
            }
            if !wanted.address.is_empty() {
                if entry.record.predefined && entry.is_bridge() {
                    let text = "user specified IP address is supported on user defined networks only";
                    return Err(EngineError::invalid(text));
                }
                parse_address(&wanted.address)?;
            }
        }
        Ok(())
    }

    /// Makes a sandbox with all endpoints. Nothing is left when it fails.
    pub async fn attach(&self, wish: Wish) -> Result<Attachment> {
        let sandbox = format!("{}-{}", ids::short(&wish.container_id), ids::random_hex(4));
        let plans = self.plan(&wish).await?;
        let (host, id, servers) = (self.host.clone(), sandbox.clone(), wish.dns_servers.clone());
        let given = wish.namespace.clone();
        let path = blocking(move || host.create_sandbox(&id, &servers, given).map_err(net_error)).await?;
        let mut attachment = Attachment {
            sandbox,
            path,
            ..Attachment::default()
        };
        for (index, plan) in plans.iter().enumerate() {
            if let Err(error) = self.attach_one(&wish, &mut attachment, index, plan).await {
                self.detach(&attachment.sandbox, addresses(&attachment), true);
                return Err(error);
            }
        }
        Ok(attachment)
    }

    async fn plan(&self, wish: &Wish) -> Result<Vec<Plan>> {
        let mut plans: Vec<Plan> = Vec::with_capacity(wish.networks.len() + 1);
        for wanted in &wish.networks {
            let entry = self.find(&wanted.network)?;
            if matches!(entry.record.driver.as_str(), "host" | "null") {
                continue;
            }
            plans.push(Plan {
                entry,
                wanted: wanted.clone(),
                default_route: false,
                published: false,
                hidden: false,
            });
        }
        let outward = |plan: &Plan| plan.entry.is_bridge() && !plan.entry.record.internal;
        let needs_gateway = plans
            .iter()
            .any(|p| p.entry.record.driver == "overlay" && !p.entry.record.internal)
            && !plans.iter().any(outward);
        if needs_gateway {
            let entry = self.gateway_bridge().await?;
            let wanted = NetworkAttachment {
                network: entry.record.id.clone(),
                ..NetworkAttachment::default()
            };
            plans.push(Plan {
                entry,
                wanted,
                default_route: false,
                published: false,
                hidden: true,
            });
        }
        let chosen = plans.iter().position(|p| outward(p) && p.wanted.default_route);
        if let Some(first) = chosen.or_else(|| plans.iter().position(outward)) {
            plans[first].default_route = true;
            plans[first].published = true;
        } else if let Some(bridge) = plans.iter_mut().find(|p| p.entry.is_bridge()) {
            bridge.published = true;
        }
        Ok(plans)
    }

    async fn gateway_bridge(&self) -> Result<Arc<Entry>> {
        if let Some(entry) = self.by_name(GATEWAY_BRIDGE) {
            return Ok(entry);
        }
        let record = Network {
            name: GATEWAY_BRIDGE.into(),
            driver: "bridge".into(),
            predefined: true,
            options: [(
                "com.docker.network.bridge.enable_icc".to_owned(),
                "false".to_owned(),
            )]
            .into(),
            ..Network::default()
        };
        match self.create(record).await {
            Ok(record) => self.find(&record.id),
            // Another container was first.
            Err(error) if error.code == ErrorCode::NetworkNameTaken => self.find(GATEWAY_BRIDGE),
            Err(error) => Err(error),
        }
    }

    async fn attach_one(&self, wish: &Wish, got: &mut Attachment, index: usize, plan: &Plan) -> Result<()> {
        let address = self.address_for(plan).await?;
        let published = if plan.published {
            published(&wish.ports)?
        } else {
            Vec::new()
        };
        let names = names(wish, plan);
        let endpoint = creel_net::Endpoint {
            sandbox: got.sandbox.clone(),
            network_id: plan.entry.record.id.clone(),
            ifname: format!("eth{index}"),
            address,
            mac: if plan.wanted.mac.is_empty() {
                None
            } else {
                Some(plan.wanted.mac.parse().map_err(net_error)?)
            },
            default_route: plan.default_route,
            published,
            dns_names: names,
        };
        let id = ids::new_id();
        let connected = match self.connect_endpoint(endpoint).await {
            Ok(connected) => connected,
            Err(error) => {
                self.release(&plan.entry, address);
                return Err(match error.code {
                    ErrorCode::PortTaken => error.context(format_args!(
                        "driver failed programming external connectivity on endpoint {} ({id})",
                        wish.container_name
                    )),
                    _ => error,
                });
            }
        };
        let shown = describe(id, &plan.entry.record, &connected, &plan.wanted.aliases);
        got.ports.extend(connected.published.iter().map(bound));
        if plan.hidden {
            got.gateway_endpoint = Some(shown);
        } else {
            got.endpoints.push(shown);
        }
        Ok(())
    }

    /// Connects; a port or an address that a container just gave up may still be on its way back, once.
    async fn connect_endpoint(&self, endpoint: creel_net::Endpoint) -> Result<creel_net::Endpoint> {
        let attempt = async |endpoint: creel_net::Endpoint| {
            let host = self.host.clone();
            blocking(move || host.connect(endpoint).map_err(net_error)).await
        };
        match attempt(endpoint.clone()).await {
            Err(error) if matches!(error.code, ErrorCode::PortTaken | ErrorCode::Conflict) => {
                self.reaper.flush().await;
                attempt(endpoint).await
            }
            other => other,
        }
    }

    async fn address_for(&self, plan: &Plan) -> Result<Ipv4Addr> {
        let record = &plan.entry.record;
        let Some(pool) = &plan.entry.pool else {
            if plan.wanted.address.is_empty() {
                let text = format!("an address is needed on the network {}", record.name);
                return Err(EngineError::invalid(text));
            }
            return parse_address(&plan.wanted.address);
        };
        if plan.wanted.address.is_empty() {
            return pool.lock().expect("no panic while locked").take();
        }
        let address = parse_address(&plan.wanted.address)?;
        let taken = pool.lock().expect("no panic while locked").take_this(address);
        match taken {
            Err(error) if error.code == ErrorCode::Conflict => {
                self.reaper.flush().await;
                pool.lock()
                    .expect("no panic while locked")
                    .take_this(address)
                    .map(|()| address)
            }
            other => other.map(|()| address),
        }
    }

    fn release(&self, entry: &Entry, address: Ipv4Addr) {
        if let Some(pool) = &entry.pool {
            pool.lock().expect("no panic while locked").release(address);
        }
    }

    /// Has a sandbox deleted with its endpoints; their addresses are free once it is gone. Urgent is one that holds
    /// ports of the node, which other programs may want.
    pub fn detach(&self, sandbox: &str, addresses: Vec<(String, Ipv4Addr)>, urgent: bool) {
        if sandbox.is_empty() {
            return;
        }
        let entries: Vec<_> = addresses
            .iter()
            .filter_map(|(id, a)| Some((self.find(id).ok()?, *a)))
            .collect();
        self.reaper.delete(sandbox.into(), urgent, move || {
            for (entry, address) in entries {
                if let Some(pool) = &entry.pool {
                    pool.lock().expect("no panic while locked").release(address);
                }
            }
        });
    }

    /// Remembers the addresses of a container that runs since before the engine started.
    pub fn keep<'a>(&self, endpoints: impl Iterator<Item = &'a Endpoint>) {
        for endpoint in endpoints {
            let Ok(entry) = self.find(&endpoint.network_id) else {
                continue;
            };
            if let (Some(pool), Ok(address)) = (&entry.pool, endpoint.address.parse()) {
                pool.lock().expect("no panic while locked").keep(address);
            }
        }
    }

    /// Adds an endpoint to the sandbox of a running container.
    pub async fn connect(&self, wish: &Wish, sandbox: &str, index: usize) -> Result<Endpoint> {
        let wanted = wish.networks.last().cloned().unwrap_or_default();
        let entry = self.find(&wanted.network)?;
        let plan = Plan {
            entry,
            wanted,
            default_route: false,
            published: false,
            hidden: false,
        };
        let mut got = Attachment {
            sandbox: sandbox.into(),
            ..Attachment::default()
        };
        self.attach_one(wish, &mut got, index, &plan).await?;
        got.endpoints
            .pop()
            .ok_or_else(|| EngineError::internal("the endpoint was not made"))
    }

    /// Takes an endpoint out of the sandbox of a running container.
    pub async fn disconnect(&self, sandbox: &str, endpoint: &Endpoint) -> Result<()> {
        let (host, sandbox, network) = (self.host.clone(), sandbox.to_owned(), endpoint.network_id.clone());
        blocking(move || host.disconnect(&sandbox, &network).map_err(net_error)).await?;
        if let (Ok(entry), Ok(address)) = (self.find(&endpoint.network_id), endpoint.address.parse()) {
            self.release(&entry, address);
        }
        Ok(())
    }

    /// Gives an endpoint other names, after its container was renamed.
    pub async fn rename(&self, wish: &Wish, sandbox: &str, endpoint: &Endpoint) -> Result<()> {
        let entry = self.find(&endpoint.network_id)?;
        let wanted = NetworkAttachment {
            aliases: endpoint.aliases.clone(),
            ..NetworkAttachment::default()
        };
        let names = names(
            wish,
            &Plan {
                entry,
                wanted,
                default_route: false,
                published: false,
                hidden: false,
            },
        );
        let (host, sandbox, network) = (self.host.clone(), sandbox.to_owned(), endpoint.network_id.clone());
        blocking(move || {
            host.set_endpoint_names(&sandbox, &network, names)
                .map_err(net_error)
        })
        .await
    }
}

/// The addresses of an attachment, by network.
pub fn addresses(attachment: &Attachment) -> Vec<(String, Ipv4Addr)> {
    let all = attachment.endpoints.iter().chain(&attachment.gateway_endpoint);
    all.filter_map(|e| Some((e.network_id.clone(), e.address.parse().ok()?)))
        .collect()
}

fn names(wish: &Wish, plan: &Plan) -> Vec<String> {
    if plan.hidden || !plan.entry.has_names() {
        return Vec::new();
    }
    let mut names = vec![
        wish.container_name.clone(),
        ids::short(&wish.container_id).to_owned(),
    ];
    names.extend(plan.wanted.aliases.iter().cloned());
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

fn published(ports: &[PortBinding]) -> Result<Vec<PublishedPort>> {
    let one = |binding: &PortBinding| {
        let host_ip = match binding.host_ip.as_str() {
            "" => None,
            text => Some(
                text.parse()
                    .map_err(|_| EngineError::invalid(format!("invalid IP address: {text}")))?,
            ),
        };
        Ok(PublishedPort {
            host_ip,
            host_port: port(binding.host_port)?,
            host_port_end: port(binding.host_port_end)?,
            container_port: port(binding.container_port)?,
            protocol: protocol(merge::protocol(&binding.protocol))?,
        })
    };
    ports.iter().map(one).collect()
}

fn bound(port: &PublishedPort) -> BoundPort {
    BoundPort {
        host_ip: port
            .host_ip
            .map_or_else(|| "0.0.0.0".to_owned(), |ip| ip.to_string()),
        host_port: port.host_port.into(),
        container_port: port.container_port.into(),
        protocol: match port.protocol {
            creel_net::Protocol::Tcp => "tcp".into(),
            creel_net::Protocol::Udp => "udp".into(),
        },
    }
}

fn describe(id: String, network: &Network, endpoint: &creel_net::Endpoint, aliases: &[String]) -> Endpoint {
    let prefix = network
        .subnet
        .split_once('/')
        .and_then(|(_, p)| p.parse().ok())
        .unwrap_or(0);
    Endpoint {
        id,
        network_id: network.id.clone(),
        network_name: network.name.clone(),
        address: endpoint.address.to_string(),
        prefix_length: prefix,
        gateway: network.gateway.clone(),
        mac: endpoint.mac().to_string(),
        aliases: aliases.to_vec(),
    }
}
