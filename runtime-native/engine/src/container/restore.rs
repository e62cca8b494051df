//! Taking over after a restart of the engine: what runs goes on, what ended meanwhile is learnt, what was left half
//! done is finished or swept.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use creel_runtime::ContainerState;
use creel_shim::client::{Shim, ShimError};

use super::create::wanted_networks;
use super::exit::{lost, wants_restart};
use super::lost::Run;
use super::record::{ContainerDir, Definition, Loaded, State, Status, UNKNOWN_EXIT};
use super::stop::shim_error;
use super::{Container, files};
use crate::engine::Engine;
use crate::error::{EngineError, Result};
use crate::network::blocking;
use crate::proto::RestartPolicy;
use crate::volume::storage_error;

impl Engine {
    /// Reads all records and brings each container to where it stands now.
    pub async fn restore(self: &Arc<Self>) -> Result<()> {
        let containers = self.load_records()?;
        for container in &containers {
            // Before anything new can take their addresses or names.
            let state = container.state();
            self.networks
                .keep(state.endpoints.iter().chain(&state.gateway_endpoint));
            self.containers.insert(container.clone());
            if !state.run.is_empty()
                && let Err(error) = self.volumes.hold(&container.definition().mounts, &container.id)
            {
                tracing::warn!(container = container.id, %error, "a volume of it could not be taken over");
            }
        }
        self.volumes.sweep();
        self.sweep(&containers).await?;
        let restored: Vec<_> = containers
            .into_iter()
            .map(|container| {
                let engine = self.clone();
                tokio::spawn(async move { engine.restore_one(container).await })
            })
            .collect();
        let mut again = Vec::new();
        for one in restored {
            match one.await {
                Ok(container) => again.extend(container),
                Err(error) => tracing::error!(%error, "a container could not be taken over"),
            }
        }
        // One waits for another that it joins, so all of them are known by then.
        for container in again {
            self.restart_after(container, Duration::ZERO);
        }
        Ok(())
    }

    fn load_records(&self) -> Result<Vec<Arc<Container>>> {
        let root = self.config.data_root.join("containers");
        let failed = |e| EngineError::io(format_args!("read {}", root.display()), e);
        let mut containers = Vec::new();
        for entry in fs::read_dir(&root).map_err(failed)? {
            let id = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
            let dir = ContainerDir::new(&self.config.data_root, &id);
            match self.load_record(&dir, &id) {
                Ok(Some((definition, state))) => {
                    match self.containers.reserve(&definition.name, &id) {
                        Ok(_) => {}
                        Err(error) => tracing::error!(container = id, %error, "its name is taken"),
                    }
                    containers.push(Arc::new(Container::new(dir, definition, state)));
                }
                Ok(None) => {
                    tracing::info!(
                        container = id,
                        "sweeping what is left of an unfinished creation or removal"
                    );
                    for volume in dir.begun() {
                        let _ = self.volumes.remove(&volume);
                    }
                    let _ = dir.remove();
                }
                Err(error) => {
                    tracing::error!(container = id, %error, "its record cannot be read; it is left alone")
                }
            }
        }
        Ok(containers)
    }

    /// What a container's records say; none: its creation was never finished.
    fn load_record(&self, dir: &ContainerDir, id: &str) -> Result<Option<(Definition, State)>> {
        let state = dir.load_state()?;
        let lived =
            |state: &State| state.version > 0 && !matches!(state.status, Status::Removing | Status::Dead);
        let unfinished = !matches!(&state, Loaded::Whole(state) if lived(state));
        let (definition, lost) = match dir.load_definition()? {
            Loaded::Whole(definition) if definition.id == id => (definition, None),
            Loaded::Damaged(error) => (Definition::lost(id, self.storage.name()), Some(error)),
            _ if unfinished => return Ok(None),
            _ => {
                let error = format!("{} has no record", dir.path().display());
                (Definition::lost(id, self.storage.name()), Some(error))
            }
        };
        if let Some(error) = &lost {
            tracing::error!(
                container = id,
                error,
                "it is known by its id alone, and can only be removed"
            );
        }
        let mut state = match state {
            Loaded::Whole(state) => state,
            unknown => {
                // Its networks are those that it was made with.
                let networks = wanted_networks(&definition.spec);
                let mut state = State::default();
                if let Loaded::Damaged(error) = unknown {
                    tracing::error!(
                        container = id,
                        error,
                        "where it stood is not known; it counts as ended"
                    );
                    state = State::lost(error, definition.created_nanos);
                }
                State { networks, ..state }
            }
        };
        if let Some(error) = lost {
            state.error = error;
        }
        Ok(Some((definition, state)))
    }

    /// Removes root file systems, sandboxes and folders that belong to no container.
    async fn sweep(self: &Arc<Self>, containers: &[Arc<Container>]) -> Result<()> {
        let known: HashSet<String> = containers.iter().map(|c| c.id.clone()).collect();
        let records = self.config.data_root.join("containers");
        let sandboxes: HashSet<String> = containers.iter().map(|c| c.state().sandbox).collect();
        let runs: HashSet<PathBuf> = containers.iter().map(|c| self.places(c).state_dir).collect();
        for sandbox in self.networks.host.sandboxes() {
            if !sandboxes.contains(&sandbox) {
                self.networks.detach(&sandbox, Vec::new(), false);
            }
        }
        let (storage, exec_root) = (self.storage.clone(), self.config.exec_root.join("containers"));
        let cgroup_parent = self.config.cgroup_parent.trim_end_matches('/').to_owned();
        let subpaths = self.config.exec_root.join("subpaths");
        let lost = blocking(move || {
            super::subpaths::sweep(&subpaths);
            let mut lost = Vec::new();
            // A damaged record keeps what belongs to it.
            let unknown = |id: &String| !known.contains(id) && !records.join(id).exists();
            for info in storage.containers().into_iter().filter(|i| unknown(&i.id)) {
                storage.remove(&info.id).map_err(storage_error)?;
            }
            for entry in fs::read_dir(&exec_root).into_iter().flatten().flatten() {
                let id = entry.file_name().to_string_lossy().into_owned();
                for shim in fs::read_dir(entry.path()).into_iter().flatten().flatten() {
                    let name = shim.file_name().to_string_lossy().into_owned();
                    let Some(run) = name.strip_prefix("shim-") else {
                        continue;
                    };
                    if runs.contains(&shim.path()) || !(known.contains(&id) || unknown(&id)) {
                        continue;
                    }
                    let cgroup = format!("{cgroup_parent}/{id}-{run}");
                    if let Err(error) = creel_shim::cleanup(&shim.path(), &cgroup) {
                        tracing::warn!(container = id, %error, "what is left of it stays");
                    }
                    let state_dir = shim.path();
                    lost.push(Run { state_dir, cgroup });
                }
                if unknown(&id) {
                    for mounted in ["files", "shm", "rootfs"] {
                        files::remove(&entry.path().join(mounted));
                    }
                    let _ = fs::remove_dir(entry.path());
                }
            }
            Ok(lost)
        })
        .await?;
        for run in lost {
            run.forget(self);
        }
        Ok(())
    }

    /// Gives the container if it is to be started.
    async fn restore_one(self: Arc<Self>, container: Arc<Container>) -> Option<Arc<Container>> {
        let state = container.state();
        self.recall_health(&container);
        match state.status {
            Status::Running | Status::Paused => self.take_over(container).await,
            Status::Removing | Status::Dead => {
                if let Err(error) = self.finish_removal(&container).await {
                    tracing::error!(container = container.id, %error, "its removal could not be finished");
                }
            }
            Status::Created | Status::Exited | Status::Restarting => {
                // A start that the engine did not live to see, if there is anything.
                self.adopt_for_tear_down(&container).await;
                self.tear_down(&container).await;
                if let Err(error) = self.settle(&container, |_| {}) {
                    tracing::error!(container = container.id, %error, "its state could not be recorded");
                }
                let policy = container.definition().spec.restart.clone().unwrap_or_default();
                if state.status == Status::Restarting || restarts_with_the_engine(&policy, &state) {
                    let _ = container.update(|s| {
                        if s.status != Status::Restarting {
                            s.restart_count = 0;
                        }
                        s.status = Status::Restarting;
                    });
                    return Some(container);
                } else if state.status == Status::Exited {
                    self.forget_files(&container);
                    if container.definition().spec.auto_remove {
                        self.remove_later(container);
                    }
                }
            }
        }
        None
    }

    async fn take_over(self: &Arc<Self>, container: Arc<Container>) {
        let places = self.places(&container);
        match Shim::connect(&places.state_dir).await {
            Ok((shim, now)) => {
                let shim = Arc::new(shim);
                container.set_shim(Some(shim.clone()));
                self.thaw(&container, &shim, now.status).await;
                self.watch_exit(container.clone(), shim);
                self.resume_health(&container);
            }
            Err(ShimError::Gone(exit)) => {
                self.clean_up_after_shim(&container).await;
                let exit = exit.unwrap_or_else(|| lost(UNKNOWN_EXIT));
                tracing::info!(
                    container = container.id,
                    code = exit.code,
                    "it ended while the engine was away"
                );
                self.ended(container.clone(), exit).await;
                // It starts with the engine: that is none of its restarts.
                let _ = container.update(|state| {
                    if matches!(state.status, Status::Restarting | Status::Running) {
                        state.restart_count = 0;
                    }
                });
            }
            Err(error) => {
                tracing::error!(container = container.id, %error, "its shim does not answer; what it left is removed");
                self.clean_up_after_shim(&container).await;
                self.ended(container, lost(UNKNOWN_EXIT)).await;
            }
        }
    }

    /// Pauses that nobody was told of any more, or that were a commit's, end: a container that is to run runs, one that
    /// runs is not paused.
    async fn thaw(&self, container: &Container, shim: &Shim, now: ContainerState) {
        let frozen = now == ContainerState::Paused;
        let state = container.state();
        if state.status == Status::Paused && frozen && !state.paused_to_commit {
            return;
        }
        let resumed = match frozen {
            true => shim.resume().await.map_err(shim_error),
            false => Ok(()),
        };
        let running = |state: &mut State| state.status = Status::Running;
        if let Err(error) = resumed.and_then(|()| match state.status {
            Status::Paused => container.update(running),
            _ => Ok(()),
        }) {
            tracing::error!(container = container.id, %error, "it could not be let go on");
        }
    }

    async fn adopt_for_tear_down(&self, container: &Arc<Container>) {
        let places = self.places(container);
        if container.state().run.is_empty() {
            return;
        }
        match Shim::connect(&places.state_dir).await {
            Ok((shim, _)) => container.set_shim(Some(Arc::new(shim))),
            Err(_) => self.clean_up_after_shim(container).await,
        }
    }

    async fn finish_removal(self: &Arc<Self>, container: &Arc<Container>) -> Result<()> {
        self.adopt_for_tear_down(container).await;
        self.tear_down(container).await;
        self.settle(container, |_| {})?;
        self.remove_parts(container, container.state().remove_volumes)
            .await?;
        self.containers.remove(&container.id);
        Ok(())
    }
}

/// Docker's rules for what starts again with the engine: `always` also where a person stopped it.
fn restarts_with_the_engine(policy: &RestartPolicy, state: &State) -> bool {
    let was_up = state.started_nanos != 0 && state.status == Status::Exited;
    was_up && (policy.name == "always" || wants_restart(policy, state, state.exit_code))
}
