//! Networks and the containers on them: connecting, disconnecting, showing who is there.

use super::Container;
use super::record::Status;
use crate::engine::Engine;
use crate::error::{EngineError, ErrorCode, Result};
use crate::network::blocking;
use crate::proto::{ConnectRequest, DisconnectRequest, Endpoint, Network, NetworkAttachment};

impl Engine {
    /// Makes a network.
    pub async fn network_create(&self, wanted: Network) -> Result<Network> {
        let made = self.networks.create(wanted).await?;
        self.emit_network(&made, "create", []);
        Ok(made)
    }

    /// Removes a network that no container uses.
    pub async fn network_remove(&self, reference: &str) -> Result<()> {
        let entry = self.networks.find(reference)?;
        let users: Vec<String> = self
            .containers
            .all()
            .iter()
            .filter(|c| self.endpoints_on(c, &entry.record.id).next().is_some())
            .map(|c| format!("name:\"{}\" id:\"{}\"", c.name(), crate::ids::short(&c.id)))
            .collect();
        let removed = self.networks.remove(&entry.record.id, &users).await?;
        self.emit_network(&removed, "destroy", []);
        Ok(())
    }

    fn endpoints_on(&self, container: &Container, network_id: &str) -> impl Iterator<Item = Endpoint> {
        let state = container.state();
        let all = state.endpoints.into_iter().chain(state.gateway_endpoint);
        let network_id = network_id.to_owned();
        all.filter(move |e| e.network_id == network_id)
    }

    /// A network with the containers on it.
    pub fn describe_network(&self, record: &Network) -> Network {
        let mut shown = record.clone();
        for container in self.containers.all() {
            for endpoint in self.endpoints_on(&container, &record.id) {
                shown.endpoints.push(endpoint);
                shown.endpoint_container_ids.push(container.id.clone());
                shown.endpoint_names.push(container.name());
            }
        }
        shown
    }

    /// Connects a container to one more network: at once if it runs, else at its next start.
    pub async fn network_connect(&self, request: ConnectRequest) -> Result<Endpoint> {
        let container = self.containers.find(&request.container_id)?;
        let _operation = container.operation.lock().await;
        let entry = self.networks.find(&request.network)?;
        let record = &entry.record;
        let mut state = container.state();
        if matches!(record.driver.as_str(), "host" | "null") {
            let text = format!("container cannot be connected to the network {}", record.name);
            return Err(EngineError::conflict(text));
        }
        let known = state.networks.iter().any(|n| {
            self.networks
                .find(&n.network)
                .is_ok_and(|e| e.record.id == record.id)
        });
        if known {
            let text = format!(
                "endpoint with name {} already exists in network {}",
                container.name(),
                record.name
            );
            return Err(EngineError::new(ErrorCode::Conflict, text));
        }
        let attachment = NetworkAttachment {
            network: record.id.clone(),
            address: request.address,
            aliases: request.aliases,
            ..NetworkAttachment::default()
        };
        state.networks.push(attachment.clone());
        self.networks.check(&state.networks)?;
        let endpoint = if container.status() == Status::Running && !state.sandbox.is_empty() {
            let mut wish = self.wish(&container)?;
            wish.networks.push(attachment.clone());
            let taken = state.endpoints.len() + usize::from(state.gateway_endpoint.is_some());
            let index = taken.max(state.networks.len() - 1);
            self.networks.connect(&wish, &state.sandbox, index).await?
        } else {
            Endpoint {
                network_id: record.id.clone(),
                network_name: record.name.clone(),
                aliases: attachment.aliases.clone(),
                ..Endpoint::default()
            }
        };
        container.update(|state| {
            state.networks.push(attachment);
            if !endpoint.address.is_empty() {
                state.endpoints.push(endpoint.clone());
            }
        })?;
        let dir = container.dir.clone();
        blocking(move || dir.sync_state()).await?;
        if !endpoint.address.is_empty() {
            self.write_etc(&container, false)?;
        }
        self.emit_network(
            record,
            "connect",
            [("container".to_owned(), container.id.clone())],
        );
        Ok(endpoint)
    }

    /// Disconnects a container from a network.
    pub async fn network_disconnect(&self, request: DisconnectRequest) -> Result<()> {
        let entry = self.networks.find(&request.network)?;
        let record = &entry.record;
        let container = match self.containers.find(&request.container_id) {
            Err(error) if error.code == ErrorCode::NoSuchContainer && request.force => return Ok(()),
            other => other?,
        };
        let _operation = container.operation.lock().await;
        let state = container.state();
        let same = |n: &NetworkAttachment| {
            self.networks
                .find(&n.network)
                .is_ok_and(|e| e.record.id == record.id)
        };
        if !state.networks.iter().any(same) {
            let text = format!(
                "container {} is not connected to the network {}",
                container.id, record.name
            );
            return Err(EngineError::conflict(text));
        }
        if let Some(endpoint) = state.endpoints.iter().find(|e| e.network_id == record.id) {
            self.networks.disconnect(&state.sandbox, endpoint).await?;
        }
        container.update(|state| {
            state.networks.retain(|n| !same(n));
            state.endpoints.retain(|e| e.network_id != record.id);
        })?;
        let dir = container.dir.clone();
        blocking(move || dir.sync_state()).await?;
        if container.status() == Status::Running {
            self.write_etc(&container, false)?;
        }
        self.emit_network(
            record,
            "disconnect",
            [("container".to_owned(), container.id.clone())],
        );
        Ok(())
    }

    /// Tells that a container has its networks and volumes now, or has them no longer.
    pub(super) fn emit_attachments(&self, container: &Container, begun: bool) {
        let (joined, mounted) = if begun {
            ("connect", "mount")
        } else {
            ("disconnect", "unmount")
        };
        let of = || ("container".to_owned(), container.id.clone());
        for endpoint in container.state().endpoints {
            if let Ok(entry) = self.networks.find(&endpoint.network_id) {
                self.emit_network(&entry.record, joined, [of()]);
            }
        }
        for mount in &container.definition().mounts {
            if mount.r#type != "volume" {
                continue;
            }
            let attributes = [
                of(),
                ("driver".to_owned(), "local".to_owned()),
                ("destination".to_owned(), mount.target.clone()),
                ("read/write".to_owned(), (!mount.read_only).to_string()),
            ];
            self.events.emit("volume", mounted, &mount.source, attributes);
        }
    }

    fn emit_network(
        &self,
        network: &Network,
        action: &str,
        more: impl IntoIterator<Item = (String, String)>,
    ) {
        let attributes = [
            ("name".to_owned(), network.name.clone()),
            ("type".to_owned(), network.driver.clone()),
        ];
        self.events
            .emit("network", action, &network.id, attributes.into_iter().chain(more));
    }
}
