//! Which namespaces a container starts with: its own, the host's, or another container's.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use creel_runtime::spec::NamespaceMode;
use creel_runtime::user_namespace::{IdMap, UserNamespace};

use super::record::{Definition, Status};
use super::{Container, files};
use crate::engine::Engine;
use crate::error::{EngineError, ErrorCode, Result};
use crate::proto::ContainerSpec;

/// How long the start of a container that joins another waits for that one's own.
const PATIENCE: Duration = Duration::from_secs(30);
const CONTAINER: &str = "container:";
const SHM: &str = "/dev/shm";

/// The user namespace of one start.
pub(super) struct Users {
    pub(super) ids: IdMap,
    namespace: UserNamespace,
}

impl Users {
    /// Where it is found as long as this lives.
    pub(super) fn mode(&self) -> NamespaceMode {
        let fd = self.namespace.users.as_raw_fd();
        NamespaceMode::Path(format!("/proc/{}/fd/{fd}", std::process::id()).into())
    }

    /// A network namespace that belongs to it.
    pub(super) fn network(&self) -> Result<OwnedFd> {
        let copy = self.namespace.network.try_clone();
        copy.map_err(|e| EngineError::io("keep a network namespace", e))
    }
}

/// The namespaces of other processes than its own that a container has.
pub(super) struct Shared {
    pub(super) pid: NamespaceMode,
    pub(super) ipc: NamespaceMode,
    /// Whose /dev/shm it sees; none: its own, if any.
    pub(super) shm: Option<PathBuf>,
}

impl Engine {
    /// The process and IPC namespaces of a container, as they are now.
    pub(super) fn shared_namespaces(&self, container: &Container) -> Result<Shared> {
        let definition = container.definition();
        let spec = &definition.spec;
        let pid = self.namespace_of(&spec.pid_mode, "pid", "PID")?;
        let ipc = self.namespace_of(&spec.ipc_mode, "ipc", "IPC")?;
        let shm = self.shm_of(container).filter(|_| !definition.has_mount(SHM));
        if spec.ipc_mode == "shareable"
            && let Some(own) = &shm
        {
            files::put_shm(own, spec.shm_size)?;
        }
        Ok(Shared { pid, ipc, shm })
    }

    /// The /dev/shm of those who join a container's IPC namespace; none: it lets nobody join.
    fn shm_of(&self, container: &Container) -> Option<PathBuf> {
        let definition = container.definition();
        match definition.spec.ipc_mode.as_str() {
            "host" => Some(SHM.into()),
            "shareable" if !definition.has_mount(SHM) => Some(self.places(container).shm_dir),
            mode => {
                let giver = self.containers.find(mode.strip_prefix(CONTAINER)?).ok()?;
                self.shm_of(&giver)
            }
        }
    }

    fn namespace_of(&self, mode: &str, file: &str, name: &str) -> Result<NamespaceMode> {
        let Some(reference) = mode.strip_prefix(CONTAINER) else {
            return Ok(match mode {
                "host" => NamespaceMode::Host,
                _ => NamespaceMode::New,
            });
        };
        let failed = |error: EngineError| error.context(format_args!("failed to join {name} namespace"));
        let other = self.running(reference).map_err(failed)?;
        Ok(NamespaceMode::Path(
            format!("/proc/{}/ns/{file}", other.state().pid).into(),
        ))
    }

    /// A container that must run for another to join it.
    pub(super) fn running(&self, reference: &str) -> Result<Arc<Container>> {
        let other = self.containers.find(reference)?;
        match other.status() {
            Status::Running | Status::Paused => Ok(other),
            _ => Err(other.not_running()),
        }
    }

    /// The user namespace a container starts with; none: the host's. To join another container is to join its users, who
    /// own what is joined. Blocks for a moment.
    pub(super) fn users_of(&self, definition: &Definition) -> Result<Option<Users>> {
        let Some(remap) = self
            .remap
            .as_ref()
            .filter(|_| definition.spec.userns_mode != "host")
        else {
            return Ok(None);
        };
        let failed = |e| EngineError::io("make a user namespace", e);
        let namespace = match joined(&definition.spec).next() {
            None => UserNamespace::new(&remap.ids).map_err(failed)?,
            Some(reference) => {
                let other = self.running(reference)?;
                if other.state().ids.as_ref() != Some(&remap.ids) {
                    let text = format!(
                        "container {} has the host's user namespace: one that joins it needs --userns=host too",
                        other.id
                    );
                    return Err(EngineError::conflict(text));
                }
                let path = format!("/proc/{}/ns/user", other.state().pid);
                UserNamespace::join(Path::new(&path)).map_err(failed)?
            }
        };
        Ok(Some(Users {
            ids: remap.ids.clone(),
            namespace,
        }))
    }

    /// Refuses namespaces that no container can have, and puts ids in the place of other containers' names.
    pub(super) fn settle_namespaces(&self, spec: &mut ContainerSpec) -> Result<()> {
        let ContainerSpec {
            pid_mode,
            ipc_mode,
            uts_mode,
            cgroupns_mode,
            userns_mode,
            network_mode,
            ..
        } = spec;
        let known = [
            ("PID", &*pid_mode, &["", "private", "host"][..]),
            ("IPC", ipc_mode, &["", "private", "shareable", "none", "host"]),
            ("UTS", uts_mode, &["", "private", "host"]),
            ("cgroup namespace", cgroupns_mode, &["", "private", "host"]),
            ("userns", userns_mode, &["", "host"]),
        ];
        for (name, mode, modes) in known {
            let of_another = matches!(name, "PID" | "IPC") && mode.starts_with(CONTAINER);
            if !of_another && !modes.contains(&mode.as_str()) {
                return Err(EngineError::invalid(format!("invalid {name} mode: {mode}")));
            }
        }
        for (name, mode) in [
            ("PID", &mut *pid_mode),
            ("IPC", ipc_mode),
            ("network", network_mode),
        ] {
            let Some(reference) = mode.strip_prefix(CONTAINER) else {
                continue;
            };
            let other = self.containers.find(reference).map_err(|error| {
                EngineError::invalid(format!("failed to join {name} namespace: {}", error.text))
            })?;
            if name == "IPC" && self.shm_of(&other).is_none() {
                let text = format!(
                    "failed to join IPC namespace: container {reference}: non-shareable IPC (hint: use IpcMode:shareable for \
                     the donor container)"
                );
                return Err(EngineError::invalid(text));
            }
            *mode = format!("{CONTAINER}{}", other.id);
        }
        self.check_users(spec)
    }

    fn check_users(&self, spec: &ContainerSpec) -> Result<()> {
        if self.remap.is_none() || spec.userns_mode == "host" {
            return Ok(());
        }
        let privileged = spec.security.as_ref().is_some_and(|security| security.privileged);
        let on_host = spec.network_mode == "host" || super::merge::on_host_network(spec);
        let text = if privileged {
            "privileged mode is incompatible with user namespaces.  You must run the container in the host namespace when \
             running privileged mode"
        } else if on_host {
            "cannot share the host's network namespace when user namespaces are enabled"
        } else if spec.pid_mode == "host" {
            "cannot share the host PID namespace when user namespaces are enabled"
        } else if self.config.runtimes.program(&spec.runtime)?.is_some() {
            let text = format!(
                "the runtime {} cannot have user namespaces here; use --userns=host with it",
                spec.runtime
            );
            return Err(EngineError::new(ErrorCode::Unsupported, text));
        } else {
            return Ok(());
        };
        Err(EngineError::invalid(text))
    }

    /// Waits until the containers that this one joins have been started, where they are about to be.
    pub(super) async fn await_joined(&self, container: &Container) {
        let definition = container.definition();
        for reference in joined(&definition.spec) {
            let Ok(other) = self.containers.find(reference) else {
                continue;
            };
            let mut life = other.watch();
            let _ =
                tokio::time::timeout(PATIENCE, life.wait_for(|life| !life.restarting || life.removed)).await;
        }
    }
}

/// The containers whose namespaces one joins.
fn joined(spec: &ContainerSpec) -> impl Iterator<Item = &str> {
    [&spec.network_mode, &spec.pid_mode, &spec.ipc_mode]
        .into_iter()
        .filter_map(|mode| mode.strip_prefix(CONTAINER))
}
