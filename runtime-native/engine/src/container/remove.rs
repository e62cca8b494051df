//! Removing a container, and all that is left of it.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use super::record::Status;
use super::{Container, files};
use crate::engine::Engine;
use crate::error::{EngineError, Result};
use crate::network::blocking;
use crate::volume::storage_error;

impl Engine {
    /// Removes a container; one that runs only by force. `volumes` removes those made for it alone, too.
    pub async fn remove(self: &Arc<Self>, reference: &str, force: bool, volumes: bool) -> Result<()> {
        let container = self.containers.find(reference)?;
        self.remove_one(&container, force, volumes).await
    }

    async fn remove_one(
        self: &Arc<Self>,
        container: &Arc<Container>,
        force: bool,
        volumes: bool,
    ) -> Result<()> {
        if container.status() == Status::Removing {
            return Err(in_progress(container));
        }
        let _operation = container.operation.lock().await;
        if container.watch().borrow().removed {
            return Err(in_progress(container));
        }
        let status = container.status();
        if status.has_process() || status == Status::Restarting {
            if !force {
                let why = match status {
                    Status::Paused => "container is paused and must be unpaused first".to_owned(),
                    _ => format!(
                        "container is {}: stop the container before removing or force remove",
                        status.name()
                    ),
                };
                let text = format!("cannot remove container \"/{}\": {why}", container.name());
                return Err(EngineError::conflict(text));
            }
            container.update(|state| state.manually_stopped = true)?;
            self.cancel_restart(container)?;
            self.end(container, libc::SIGKILL, Duration::from_secs(10))
                .await?;
            self.cancel_restart(container)?;
        }
        container.update(|state| {
            state.status = Status::Removing;
            state.remove_volumes = volumes;
        })?;
        let removed = self.remove_parts(container, volumes).await;
        if let Err(error) = removed {
            let _ = container.update(|state| {
                state.status = Status::Dead;
                state.error.clone_from(&error.text);
            });
            return Err(error.context(format_args!("cannot remove container \"/{}\"", container.name())));
        }
        self.containers.remove(&container.id);
        self.emit_container(container, "destroy", []);
        container.announce_removal();
        Ok(())
    }

    /// Removes everything of a container but its entry in the registry. May be done again after a failure.
    pub(super) async fn remove_parts(
        self: &Arc<Self>,
        container: &Arc<Container>,
        volumes: bool,
    ) -> Result<()> {
        container
            .pending_attaches
            .lock()
            .expect("no panic while locked")
            .clear();
        self.execs.forget_container(&container.id);
        let places = self.places(container);
        let storage = self.storage.clone();
        let (id, dir) = (container.id.clone(), container.dir.clone());
        let anonymous = if volumes {
            container.definition().anonymous_volumes.clone()
        } else {
            Vec::new()
        };
        let all_volumes = self.volumes.clone();
        blocking(move || {
            storage.remove(&id).map_err(storage_error)?;
            files::remove(&places.files_dir);
            if let Some(own) = places.state_dir.parent() {
                remove_empty(own)?;
            }
            for name in anonymous {
                if let Err(error) = all_volumes.remove(&name) {
                    tracing::warn!(volume = name, %error, "it could not be removed with its container");
                }
            }
            // Last: while the record is there, a restart of the engine goes on with the removal.
            dir.remove()
        })
        .await
    }

    /// Removes a container that has ended and should not stay.
    pub(super) fn remove_later(self: &Arc<Self>, container: Arc<Container>) {
        let engine = self.clone();
        tokio::spawn(async move {
            match engine.remove_one(&container, true, true).await {
                Ok(()) => {}
                // Somebody else removes it already.
                Err(error) if error.code == crate::error::ErrorCode::Conflict => {}
                Err(error) => tracing::warn!(container = container.id, %error, "it could not be removed"),
            }
        });
    }

    /// Gives a container another name.
    pub async fn rename(&self, reference: &str, name: &str) -> Result<()> {
        let container = self.containers.find(reference)?;
        let name = name.strip_prefix('/').unwrap_or(name);
        if name.is_empty() {
            return Err(EngineError::invalid("Neither old nor new names may be empty"));
        }
        let _operation = container.operation.lock().await;
        let old = container.name();
        if old == name {
            return Err(EngineError::invalid(
                "Renaming a container with the same name as its current name",
            ));
        }
        self.containers.reserve(name, &container.id)?;
        if let Err(error) = container.set_name(name) {
            self.containers.release(name, &container.id);
            return Err(error);
        }
        self.containers.release(&old, &container.id);
        let state = container.state();
        let wish = self.wish(&container)?;
        for endpoint in &state.endpoints {
            if let Err(error) = self.networks.rename(&wish, &state.sandbox, endpoint).await {
                tracing::warn!(container = container.id, %error, "its new name does not resolve");
            }
        }
        self.emit_container(&container, "rename", [("oldName".to_owned(), format!("/{old}"))]);
        Ok(())
    }
}

fn in_progress(container: &Container) -> EngineError {
    EngineError::conflict(format!(
        "removal of container {} is already in progress",
        container.id
    ))
}

/// What is in it is a lost run, and goes with that.
fn remove_empty(dir: &std::path::Path) -> Result<()> {
    use std::io::ErrorKind::{DirectoryNotEmpty, NotFound};
    match fs::remove_dir(dir) {
        Err(e) if !matches!(e.kind(), DirectoryNotEmpty | NotFound) => {
            Err(EngineError::io(format_args!("remove {}", dir.display()), e))
        }
        _ => Ok(()),
    }
}
