//! What the agent says of an overlay: who balances where, which address lives on which node.

use creel_net::{Backend, Balancer, IngressPort, Peer, Protocol, Update};

use super::{Networks, blocking, net_error, parse_address};
use crate::error::{EngineError, Result};
use crate::proto;

impl Networks {
    /// Changes the picture of a network.
    pub async fn apply(&self, request: proto::ApplyRequest) -> Result<()> {
        let entry = self.find(&request.network_id)?;
        let update = Update {
            full: request.full,
            set: request.set.into_iter().map(balancer).collect::<Result<_>>()?,
            remove: request.remove,
            set_peers: request.set_peers.iter().map(peer).collect::<Result<_>>()?,
            remove_peers: request
                .remove_peers
                .iter()
                .map(|a| parse_address(a))
                .collect::<Result<_>>()?,
        };
        let host = self.host.clone();
        blocking(move || host.apply(&entry.record.id, update).map_err(net_error)).await
    }
}

fn balancer(given: proto::Balancer) -> Result<Balancer> {
    let backend = |b: proto::Backend| {
        Ok(Backend {
            address: parse_address(&b.address)?,
            names: b.names,
        })
    };
    Ok(Balancer {
        id: given.id,
        vip: if given.vip.is_empty() {
            None
        } else {
            Some(parse_address(&given.vip)?)
        },
        names: given.names,
        backends: given.backends.into_iter().map(backend).collect::<Result<_>>()?,
        ports: given.ports.iter().map(ingress_port).collect::<Result<_>>()?,
    })
}

fn ingress_port(given: &proto::PublishedPort) -> Result<IngressPort> {
    Ok(IngressPort {
        published: port(given.published_port)?,
        target: port(given.target_port)?,
        protocol: protocol(&given.protocol)?,
    })
}

fn peer(given: &proto::Peer) -> Result<Peer> {
    let address = parse_address(&given.address)?;
    let mac = match given.mac.as_str() {
        "" => creel_net::Mac::derived(address),
        text => text.parse().map_err(net_error)?,
    };
    Ok(Peer {
        address,
        mac,
        vtep: parse_address(&given.vtep)?,
        node: given.node,
    })
}

/// A port number out of a message.
pub(super) fn port(number: u32) -> Result<u16> {
    u16::try_from(number).map_err(|_| EngineError::invalid(format!("invalid port number {number}")))
}

/// A protocol out of a message; nothing stands for TCP.
pub(super) fn protocol(text: &str) -> Result<Protocol> {
    match text {
        "" | "tcp" => Ok(Protocol::Tcp),
        "udp" => Ok(Protocol::Udp),
        other => Err(EngineError::invalid(format!(
            "invalid protocol {other:?}: tcp or udp"
        ))),
    }
}
