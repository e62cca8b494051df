//! Containers: their records, their life cycle, and everything that is done to them.

mod archive;
pub mod attach;
mod checks;
pub mod create;
pub mod etc_files;
pub mod exec;
pub mod exit;
pub mod files;
mod filesystem;
mod given;
pub mod health;
mod image;
pub mod inspect;
mod kernel_limits;
mod limits;
pub mod log_options;
mod lost;
pub mod merge;
pub mod mounts;
pub mod namespaces;
mod networking;
mod propagation;
pub mod record;
pub mod registry;
pub mod remove;
pub mod restore;
pub mod runtime_spec;
pub mod signals;
pub mod start;
mod state_file;
mod stats;
pub mod stop;
mod subpaths;
pub mod top;
mod update;
pub mod wait;

use std::sync::{Arc, Mutex, RwLock};

use creel_shim::client::Shim;
use tokio::sync::watch;

use crate::error::{EngineError, Result};
use crate::network::blocking;
use attach::PendingAttach;
use health::Health;
use record::{ContainerDir, Definition, State, Status};

/// One container of the node.
pub struct Container {
    pub id: String,
    pub dir: ContainerDir,
    definition: RwLock<Arc<Definition>>,
    state: Mutex<State>,
    life: watch::Sender<Life>,
    /// Held by whoever starts, stops, renames or removes it: one at a time.
    pub operation: tokio::sync::Mutex<()>,
    shim: Mutex<Option<Arc<Shim>>>,
    pub pending_attaches: Mutex<Vec<PendingAttach>>,
    pub health: Mutex<Health>,
    restart_delay: Mutex<std::time::Duration>,
}

/// What those who wait for a container look at.
#[derive(Debug, Clone, Default)]
pub struct Life {
    /// How often it has ended since the engine knows it.
    pub exits: u64,
    pub has_process: bool,
    pub restarting: bool,
    pub exit_code: i32,
    pub error: String,
    pub removed: bool,
}

impl Container {
    /// A container out of its records.
    pub fn new(dir: ContainerDir, definition: Definition, state: State) -> Self {
        let life = Life {
            has_process: state.status.has_process(),
            restarting: state.status == Status::Restarting,
            exit_code: state.exit_code,
            error: state.error.clone(),
            ..Life::default()
        };
        Self {
            id: definition.id.clone(),
            dir,
            definition: RwLock::new(Arc::new(definition)),
            state: Mutex::new(state),
            life: watch::Sender::new(life),
            operation: tokio::sync::Mutex::new(()),
            shim: Mutex::new(None),
            pending_attaches: Mutex::new(Vec::new()),
            health: Mutex::new(Health::default()),
            restart_delay: Mutex::new(std::time::Duration::ZERO),
        }
    }

    /// What it is.
    pub fn definition(&self) -> Arc<Definition> {
        self.definition.read().expect("no panic while locked").clone()
    }

    /// Its name, without a slash.
    pub fn name(&self) -> String {
        self.definition().name.clone()
    }

    /// Gives it another name, also on disk.
    pub fn set_name(&self, name: &str) -> Result<()> {
        let mut definition = (*self.definition()).clone();
        definition.name = name.into();
        self.set_definition(definition)
    }

    /// Makes it something else, also on disk. The caller holds the operation lock.
    pub fn set_definition(&self, definition: Definition) -> Result<()> {
        self.dir.save_definition(&definition)?;
        *self.definition.write().expect("no panic while locked") = Arc::new(definition);
        Ok(())
    }

    /// A copy of its state.
    pub fn state(&self) -> State {
        self.state.lock().expect("no panic while locked").clone()
    }

    /// Why nothing can be asked of its process, which it has not.
    fn not_running(&self) -> EngineError {
        EngineError::conflict(match self.status() {
            Status::Restarting => format!(
                "Container {} is restarting, wait until the container is running",
                self.id
            ),
            _ => format!("container {} is not running", self.id),
        })
    }

    /// Its status.
    pub fn status(&self) -> Status {
        self.state.lock().expect("no panic while locked").status
    }

    /// Changes its state, writes it down, and wakes those who wait.
    pub fn update(&self, change: impl FnOnce(&mut State)) -> Result<()> {
        let mut state = self.state.lock().expect("no panic while locked");
        change(&mut state);
        state.version += 1;
        let saved = self.dir.save_state(&state);
        self.life.send_modify(|life| {
            life.has_process = state.status.has_process();
            life.restarting = state.status == Status::Restarting;
            life.exit_code = state.exit_code;
            life.error.clone_from(&state.error);
        });
        saved
    }

    /// Waits until its state would outlive a power cut, if its restart policy is going to ask for it then.
    pub async fn remember(&self) {
        let restart = self.definition().spec.restart.clone().unwrap_or_default();
        if matches!(restart.name.as_str(), "" | "no") {
            return;
        }
        let dir = self.dir.clone();
        if let Err(error) = blocking(move || dir.sync_state()).await {
            tracing::warn!(container = self.id, %error, "a power cut would take its last change");
        }
    }

    /// Tells those who wait that it ended.
    pub fn announce_exit(&self) {
        self.life.send_modify(|life| life.exits += 1);
    }

    /// Tells those who wait that it is gone.
    pub fn announce_removal(&self) {
        self.life.send_modify(|life| life.removed = true);
    }

    /// Where those who wait look.
    pub fn watch(&self) -> watch::Receiver<Life> {
        self.life.subscribe()
    }

    /// The shim of its present process.
    pub fn shim(&self) -> Option<Arc<Shim>> {
        self.shim.lock().expect("no panic while locked").clone()
    }

    /// Remembers or forgets the shim.
    pub fn set_shim(&self, shim: Option<Arc<Shim>>) {
        *self.shim.lock().expect("no panic while locked") = shim;
    }
}
