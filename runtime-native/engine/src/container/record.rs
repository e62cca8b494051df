//! What is kept of a container on disk: its definition, written once, and its state, written at each change.

use std::fs;
use std::path::{Path, PathBuf};

use creel_runtime::user_namespace::IdMap;
use creel_shim::protocol::LogDriver;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::state_file::{self, Found};
use crate::error::{EngineError, Result};
use crate::logs::driver;
use crate::proto::{BoundPort, ContainerSpec, Endpoint, Healthcheck, Mount, NetworkAttachment};

const FORMAT: u32 = 1;
/// What a process that the engine lost with the machine ended with.
pub const UNKNOWN_EXIT: i32 = 255;
const DEFINITION: &str = "container.json";
const STATE: &str = "state.json";
const BEGUN: &str = "volumes.json";

/// What a container is. After its creation only its name, limits and restart policy change.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Definition {
    pub format: u32,
    pub id: String,
    pub name: String,
    pub created_nanos: i64,
    pub spec: ContainerSpec,
    pub image_id: String,
    pub merged: Merged,
    /// Every mount with its source on the host resolved.
    pub mounts: Vec<Mount>,
    /// Volumes that were made for this container alone.
    pub anonymous_volumes: Vec<String>,
    pub log_path: String,
    pub storage_driver: String,
}

impl Definition {
    /// The log's path as it is told: only files of Docker's own form are for others to read.
    pub fn shown_log_path(&self) -> String {
        match driver::of(self.spec.log.as_ref()) {
            LogDriver::JsonFile => self.log_path.clone(),
            _ => String::new(),
        }
    }

    /// Whether something of the caller's is mounted there.
    pub fn has_mount(&self, target: &str) -> bool {
        self.mounts.iter().any(|mount| mount.target == target)
    }
}

/// The spec with the image's defaults filled in.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Merged {
    pub entrypoint: Vec<String>,
    pub cmd: Vec<String>,
    pub env: Vec<String>,
    pub working_dir: String,
    pub user: String,
    pub labels: std::collections::BTreeMap<String, String>,
    pub stop_signal: i32,
    pub healthcheck: Option<Healthcheck>,
    pub hostname: String,
    pub exposed_ports: Vec<String>,
}

impl Merged {
    /// The executable with its arguments.
    pub fn argv(&self) -> Vec<String> {
        self.entrypoint.iter().chain(&self.cmd).cloned().collect()
    }
}

/// Where a container stands in its life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    #[default]
    Created,
    Running,
    Paused,
    Restarting,
    Removing,
    Exited,
    Dead,
}

impl Status {
    /// Docker's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Removing => "removing",
            Self::Exited => "exited",
            Self::Dead => "dead",
        }
    }

    /// Whether it has a process.
    pub fn has_process(self) -> bool {
        matches!(self, Self::Running | Self::Paused)
    }
}

/// What changes while a container lives.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// How often it was written.
    pub version: u64,
    pub status: Status,
    pub pid: i32,
    pub exit_code: i32,
    pub error: String,
    pub oom_killed: bool,
    pub started_nanos: i64,
    pub finished_nanos: i64,
    pub restart_count: i32,
    /// A person stopped it: its restart policy does not start it again.
    pub manually_stopped: bool,
    /// Paused by the engine for as long as it commits.
    pub paused_to_commit: bool,
    /// Whether the removal that has begun takes its own volumes, too.
    pub remove_volumes: bool,
    /// What it is, or at its next start will be, attached to.
    pub networks: Vec<NetworkAttachment>,
    pub endpoints: Vec<Endpoint>,
    /// The endpoint on the gateway bridge that gives overlay-only containers their way out.
    pub gateway_endpoint: Option<Endpoint>,
    pub ports: Vec<BoundPort>,
    /// What the ids of its user namespace are outside; none: it has the host's.
    pub ids: Option<IdMap>,
    /// The sandbox (network namespace) it runs in.
    pub sandbox: String,
    /// Tells this run from the one before, whose shim may still be putting its things away.
    pub run: String,
}

impl State {
    /// Where a container stands of which nobody knows: it ran, and its restart policy is asked.
    pub fn lost(error: String, created_nanos: i64) -> Self {
        Self {
            status: Status::Exited,
            exit_code: UNKNOWN_EXIT,
            error,
            started_nanos: created_nanos,
            finished_nanos: created_nanos,
            ..Self::default()
        }
    }
}

/// What is found of a record.
pub enum Loaded<T> {
    Whole(T),
    /// With the words for it.
    Damaged(String),
    Nothing,
}

/// The folder of one container below the data root.
#[derive(Debug, Clone)]
pub struct ContainerDir(PathBuf);

impl ContainerDir {
    /// The folder of container `id`; nothing is touched.
    pub fn new(data_root: &Path, id: &str) -> Self {
        Self(data_root.join("containers").join(id))
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Makes the folder, and notes the volumes that are going to be made for the container alone: a creation that is not
    /// finished leaves none.
    pub fn begin(&self, anonymous_volumes: &[String]) -> Result<()> {
        fs::create_dir_all(&self.0)
            .map_err(|e| EngineError::io(format_args!("create {}", self.0.display()), e))?;
        if anonymous_volumes.is_empty() {
            return Ok(());
        }
        self.save(BEGUN, &anonymous_volumes)
    }

    /// The volumes of a creation that was not finished.
    pub fn begun(&self) -> Vec<String> {
        match read(&self.file(BEGUN)) {
            Ok(Loaded::Whole(volumes)) => volumes,
            _ => Vec::new(),
        }
    }

    /// Removes the folder. While its record is there, a restart of the engine goes on with what was begun.
    pub fn remove(&self) -> Result<()> {
        for name in [BEGUN, DEFINITION] {
            let _ = fs::remove_file(self.file(name));
        }
        match fs::remove_dir_all(&self.0) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(EngineError::io(format_args!("remove {}", self.0.display()), e))
            }
            _ => Ok(()),
        }
    }

    /// Writes the first definition so that it outlives a power cut. There is nothing to replace, so one wait for the disk
    /// is enough.
    pub fn create_definition(&self, definition: &Definition) -> Result<()> {
        let path = self.file(DEFINITION);
        let text = encode(DEFINITION, definition)?;
        fs::File::create_new(&path)
            .and_then(|mut file| std::io::Write::write_all(&mut file, &text).and_then(|()| file.sync_all()))
            .map_err(|e| EngineError::io(format_args!("write {}", path.display()), e))
    }

    /// Replaces the definition so that it outlives a power cut.
    pub fn save_definition(&self, definition: &Definition) -> Result<()> {
        self.save(DEFINITION, definition)
    }

    /// Writes the state, to outlive the engine.
    pub fn save_state(&self, state: &State) -> Result<()> {
        state_file::write(&self.file(STATE), state.version, &encode(STATE, state)?)
    }

    /// Waits until the state that was written would outlive a power cut.
    pub fn sync_state(&self) -> Result<()> {
        state_file::sync(&self.file(STATE))
    }

    fn save(&self, name: &str, value: &impl Serialize) -> Result<()> {
        write_file(&self.0.join(name), &encode(name, value)?, true)
    }

    /// Reads the definition.
    pub fn load_definition(&self) -> Result<Loaded<Definition>> {
        let loaded = read::<Definition>(&self.file(DEFINITION))?;
        if let Loaded::Whole(definition) = &loaded
            && definition.format > FORMAT
        {
            let found = definition.format;
            let text = format!(
                "{} was written by a newer Creel (format {found}; this one knows {FORMAT})",
                self.0.display()
            );
            return Err(EngineError::internal(text));
        }
        Ok(loaded)
    }

    /// Reads the last state that was written whole.
    pub fn load_state(&self) -> Result<Loaded<State>> {
        let path = self.file(STATE);
        Ok(match state_file::read(&path)? {
            Found::Nothing => Loaded::Nothing,
            Found::Damaged => Loaded::Damaged(format!("{} is damaged", path.display())),
            Found::Version { text, torn } => {
                if torn {
                    tracing::warn!(file = %path.display(), "its last write is damaged: the one before counts");
                }
                parse(&path, &text)
            }
        })
    }
}

impl Definition {
    /// The format that this engine writes.
    pub const FORMAT: u32 = FORMAT;

    /// What is left of one whose record is lost: enough to be seen and removed.
    pub fn lost(id: &str, storage_driver: &str) -> Self {
        Self {
            format: FORMAT,
            id: id.into(),
            name: id.into(),
            storage_driver: storage_driver.into(),
            ..Self::default()
        }
    }
}

fn encode(name: &str, value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|e| EngineError::internal(format!("encode {name}: {e}")))
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<Loaded<T>> {
    match fs::read(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Loaded::Nothing),
        Err(e) => Err(EngineError::io(format_args!("read {}", path.display()), e)),
        // It was begun and never written.
        Ok(bytes) if bytes.is_empty() => Ok(Loaded::Nothing),
        Ok(bytes) => Ok(parse(path, &bytes)),
    }
}

fn parse<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Loaded<T> {
    match serde_json::from_slice(bytes) {
        Ok(value) => Loaded::Whole(value),
        Err(error) => Loaded::Damaged(format!("{} is damaged: {error}", path.display())),
    }
}

/// Replaces a file at once; `durable` also waits for the disk.
pub fn write_file(path: &Path, bytes: &[u8], durable: bool) -> Result<()> {
    let failed = |e| EngineError::io(format_args!("write {}", path.display()), e);
    let temporary = path.with_extension("tmp");
    let mut file = fs::File::create(&temporary).map_err(failed)?;
    std::io::Write::write_all(&mut file, bytes).map_err(failed)?;
    if durable {
        file.sync_data().map_err(failed)?;
    }
    fs::rename(&temporary, path).map_err(failed)?;
    if durable && let Some(parent) = path.parent() {
        fs::File::open(parent)
            .and_then(|d| d.sync_all())
            .map_err(failed)?;
    }
    Ok(())
}
