//! What is known of each container between calls: a directory of its own below the root, with `state.json` in it.

use std::collections::HashMap;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use creel_runtime::{Bundle, ContainerFormat, ContainerState, NativeFormat, OciState};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{Outcome, process};

const RECORD: &str = "state.json";
const FILTERS: &str = ".filters";
/// The spec as it was when the container was made.
pub const SPEC: &str = "config.json";

/// The containers below one root directory.
pub struct Store {
    root: PathBuf,
}

/// One container.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    pub oci_version: String,
    pub id: String,
    pub pid: i32,
    pub start_time: u64,
    pub bundle: PathBuf,
    pub rootfs: PathBuf,
    pub created: String,
    pub owner: String,
    pub cgroup: String,
    /// The unit of systemd that it is.
    #[serde(default)]
    pub unit: Option<String>,
    #[serde(default)]
    pub annotations: HashMap<String, String>,
}

/// What a container is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Created,
    Running,
    Paused,
    Stopped,
}

impl Status {
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }
}

impl Store {
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }

    /// Takes an id; the same id cannot be taken twice before it is given back.
    pub fn claim(&self, id: &str) -> Outcome<()> {
        let mut builder = fs::DirBuilder::new();
        builder.mode(0o711);
        let made = builder
            .recursive(true)
            .create(&self.root)
            .and_then(|()| builder.recursive(false).mode(0o700).create(self.directory(id)));
        made.map_err(|err| match err.kind() {
            ErrorKind::AlreadyExists => format!("container with id exists: {id}"),
            _ => format!("create {}: {err}", self.directory(id).display()),
        })
    }

    /// Gives an id back, with all that was kept for it.
    pub fn forget(&self, id: &str) -> Outcome<()> {
        let path = self.directory(id);
        fs::remove_dir_all(&path).map_err(|err| format!("remove {}: {err}", path.display()))
    }

    pub fn save(&self, record: &Record) -> Outcome<()> {
        let text = serde_json::to_vec(record).map_err(|err| err.to_string())?;
        replace(&self.directory(&record.id).join(RECORD), &text)
    }

    pub fn load(&self, id: &str) -> Outcome<Record> {
        crate::bundle::check_id(id)?;
        let path = self.directory(id).join(RECORD);
        let text = fs::read(&path).map_err(|err| match err.kind() {
            ErrorKind::NotFound => format!("container does not exist: {id}"),
            _ => format!("read {}: {err}", path.display()),
        })?;
        serde_json::from_slice(&text).map_err(|err| format!("{}: {err}", path.display()))
    }

    /// All containers, by id.
    pub fn list(&self) -> Outcome<Vec<Record>> {
        let entries = match fs::read_dir(&self.root) {
            Err(err) if err.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(|err| format!("read {}: {err}", self.root.display()))?,
        };
        let mut names: Vec<String> = entries
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| !name.starts_with('.'))
            .collect();
        names.sort();
        // One that is being made or deleted is not there yet or any more.
        Ok(names.iter().filter_map(|id| self.load(id).ok()).collect())
    }

    /// Where the container's own files are.
    pub fn directory(&self, id: &str) -> PathBuf {
        self.root.join(id)
    }

    /// The container as the container formats know it; its spec is the copy kept here. `bundle` is the user's path.
    pub fn bundle(&self, id: &str, bundle: &Path, cgroup: &str, keep_fds: u32) -> Bundle {
        Bundle {
            id: id.to_owned(),
            bundle_dir: self.directory(id),
            state_dir: self.directory(id),
            filter_cache: self.root.join(FILTERS),
            cgroup: cgroup.to_owned(),
            keep_fds,
            sub_cgroup: None,
            shown_dir: Some(bundle.to_owned()),
        }
    }

    /// The same for a container that has been made.
    pub fn made(&self, record: &Record) -> Bundle {
        self.bundle(&record.id, &record.bundle, &record.cgroup, 0)
    }

    pub fn status(&self, record: &Record) -> Status {
        if process::start_time(record.pid) != Some(record.start_time) {
            return Status::Stopped;
        }
        match NativeFormat.state(&self.made(record)) {
            Ok(ContainerState::Created) => Status::Created,
            Ok(ContainerState::Running) => Status::Running,
            Ok(ContainerState::Paused) => Status::Paused,
            Ok(ContainerState::Stopped) | Err(_) => Status::Stopped,
        }
    }
}

impl Record {
    /// The state as the specification has it.
    pub fn state(&self, status: Status) -> OciState {
        OciState {
            oci_version: self.oci_version.clone(),
            id: self.id.clone(),
            status: status.name().to_owned(),
            pid: if status == Status::Stopped { 0 } else { self.pid },
            bundle: self.bundle.clone(),
            annotations: self.annotations.clone(),
        }
    }

    /// The same with what runc tells besides, as `state` and `list` print it.
    pub fn shown(&self, status: Status) -> Value {
        let state = self.state(status);
        let mut shown = json!({
            "ociVersion": state.oci_version,
            "id": state.id,
            "pid": state.pid,
            "status": state.status,
            "bundle": state.bundle,
            "rootfs": self.rootfs,
            "created": self.created,
        });
        if !state.annotations.is_empty() {
            shown["annotations"] = json!(state.annotations);
        }
        shown["owner"] = json!(self.owner);
        shown
    }
}

/// Writes a file so that a reader finds it whole or not at all.
pub fn replace(path: &Path, bytes: &[u8]) -> Outcome<()> {
    let begun = path.with_extension(format!("{}.tmp", std::process::id()));
    fs::write(&begun, bytes)
        .and_then(|()| fs::rename(&begun, path))
        .map_err(|err| {
            let _ = fs::remove_file(&begun);
            format!("write {}: {err}", path.display())
        })
}
