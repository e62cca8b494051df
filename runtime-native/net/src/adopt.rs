//! Taking over what an earlier process left in the kernel. What cannot be taken over is said and left out:
//! one broken sandbox must not keep a node from starting.

use crate::error::Result;
use crate::netns;
use crate::network::{Network, Picture};
use crate::sandbox::{Record, Sandbox};
use crate::state::State;
use std::path::Path;

impl State {
    pub(crate) fn adopt(&mut self) -> Result<()> {
        self.adopt_networks()?;
        self.adopt_sandboxes()?;
        self.sweep()?;
        self.hold_ingress_ports()?;
        for id in self.network_ids() {
            self.refresh_names(&id);
        }
        for id in self.sandbox_ids() {
            self.serve_names(&id)?;
        }
        Ok(())
    }

    fn adopt_networks(&mut self) -> Result<()> {
        let (pictures, unreadable) = self.memory.load::<Picture>("networks")?;
        for path in unreadable {
            tracing::warn!(path = %path.display(), "a network's record cannot be read");
        }
        for picture in pictures {
            let id = picture.spec.id().to_string();
            match self.body_of(&picture.spec) {
                Ok(body) => {
                    let mut network = Network { picture, body };
                    self.tell_peers(&mut network)?;
                    self.networks.insert(id, network);
                }
                Err(error) => tracing::warn!(network = id, %error, "a network cannot be taken over"),
            }
        }
        Ok(())
    }

    fn adopt_sandboxes(&mut self) -> Result<()> {
        let (records, unreadable) = self.memory.load::<Record>("sandboxes")?;
        for path in unreadable {
            tracing::warn!(path = %path.display(), "a sandbox's record cannot be read");
        }
        for mut record in records {
            let (id, path) = (record.id.clone(), self.memory.netns(&record.id));
            if !netns::is_bound(&path) {
                self.memory.forget("sandboxes", &id)?;
                continue;
            }
            record
                .endpoints
                .retain(|e| self.networks.contains_key(&e.network_id));
            for endpoint in &mut record.endpoints {
                if let Err(error) = self.ports.hold(&self.netns, endpoint) {
                    // Packets are translated before they would reach whoever took it.
                    tracing::warn!(sandbox = id, %error, "a published port is not held");
                }
            }
            match Sandbox::adopt(&path, record) {
                Ok(sandbox) => drop(self.sandboxes.insert(id, sandbox)),
                Err(error) => tracing::warn!(sandbox = id, %error, "a sandbox cannot be taken over"),
            }
        }
        Ok(())
    }

    /// Removes namespaces that no record speaks of: their making was cut short.
    fn sweep(&mut self) -> Result<()> {
        for path in netns::bound_in(&self.memory.sandboxes_folder()) {
            if !self.memory.knows("sandboxes", &name_of(&path)) {
                netns::remove(&path)?;
            }
        }
        for path in netns::bound_in(&self.memory.overlays_folder()) {
            if !self.memory.knows("networks", &name_of(&path)) {
                netns::remove(&path)?;
            }
        }
        Ok(())
    }
}

fn name_of(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}
