//! Starting a container: root file system, network, spec, shim.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use creel_net::netns::Netns;
use creel_runtime::Bundle;
use creel_runtime::spec::{NamespaceMode, SpecInput};
use creel_shim::client::ShimError;
use creel_shim::protocol::{CreateRequest, FailureKind, PROTOCOL};

use super::etc_files::{EtcFiles, Resolver};
use super::exit::wants_restart;
use super::namespaces::Users;
use super::record::{Definition, Status};
use super::runtime_spec::{self, Surroundings, runtime_error};
use super::subpaths::Subpaths;
use super::{Container, given, log_options};
use crate::clock::now_nanos;
use crate::engine::Engine;
use crate::error::{EngineError, ErrorCode, Result};
use crate::ids;
use crate::init;
use crate::network::{Attachment, DEFAULT_BRIDGE, Wish, blocking};
use crate::volume::storage_error;

/// What a run's spec was made of, in its state directory.
pub(super) const INPUT: &str = "input.json";

/// Where a container's parts outside the data root are.
pub struct Places {
    /// The shim's socket and its record of the exit.
    pub state_dir: PathBuf,
    /// The tmpfs with secrets and configs.
    pub files_dir: PathBuf,
    /// Where parts of volumes are held while they are mounted.
    pub subpaths_dir: PathBuf,
    /// The tmpfs that is /dev/shm to those who share its IPC namespace.
    pub shm_dir: PathBuf,
    /// Its root, shown with other owners, for drivers without mounts.
    pub rootfs: PathBuf,
    pub cgroup: String,
}

/// The network a container starts with.
struct Joined {
    attachment: Attachment,
    mode: NamespaceMode,
    /// The container whose network it shares.
    of: Option<Arc<Container>>,
}

impl Engine {
    /// Where the parts of `container` outside the data root are.
    pub fn places(&self, container: &Container) -> Places {
        let root = self.config.exec_root.join("containers").join(&container.id);
        let run = container.state().run;
        let own_parent = &container.definition().spec.cgroup_parent;
        let parent = match own_parent.as_str() {
            "" => self.config.cgroup_parent.clone(),
            own if own.starts_with('/') => own.to_owned(),
            own => format!("{}/{own}", self.config.cgroup_parent),
        };
        Places {
            state_dir: root.join(format!("shim-{run}")),
            files_dir: root.join("files"),
            subpaths_dir: self.config.exec_root.join("subpaths").join(&container.id),
            shm_dir: root.join("shm"),
            rootfs: root.join("rootfs"),
            cgroup: format!("{}/{}-{run}", parent.trim_end_matches('/'), container.id),
        }
    }

    /// Starts a container. One that runs is `not_modified`.
    pub async fn start(self: &Arc<Self>, reference: &str) -> Result<()> {
        let container = self.containers.find(reference)?;
        let _operation = container.operation.lock().await;
        match container.status() {
            Status::Running => {
                let text = format!("container {} is already running", container.id);
                return Err(EngineError::new(ErrorCode::NotModified, text));
            }
            Status::Paused => {
                return Err(EngineError::conflict(
                    "cannot start a paused container, try unpause instead",
                ));
            }
            Status::Removing | Status::Dead => {
                return Err(EngineError::conflict(
                    "container is marked for removal and cannot be started",
                ));
            }
            Status::Created | Status::Exited | Status::Restarting => {}
        }
        self.start_held(&container, false).await
    }

    /// Starts a container whose operation lock the caller holds.
    pub(super) async fn start_held(self: &Arc<Self>, container: &Arc<Container>, again: bool) -> Result<()> {
        let Err(error) = self.bring_up(container, again).await else {
            return Ok(());
        };
        self.tear_down(container).await;
        let exit_code = match error.code {
            ErrorCode::CommandNotFound if error.text.contains("permission denied") => 126,
            ErrorCode::CommandNotFound => 127,
            _ => 128,
        };
        let was_restarting = container.status() == Status::Restarting;
        let definition = container.definition();
        let policy = definition.spec.restart.clone().unwrap_or_default();
        // What stood in the way may be gone by then: a shim that was killed, a runtime's failure.
        let passing = was_restarting && error.code == ErrorCode::ContainerFailed && !self.is_stopping();
        let mut retry = false;
        let _ = self.settle(container, |state| {
            retry = passing && wants_restart(&policy, state, exit_code);
            state.exit_code = exit_code;
            state.error.clone_from(&error.text);
            state.finished_nanos = now_nanos();
            if retry {
                state.restart_count += 1;
            } else if state.started_nanos != 0 || was_restarting {
                state.status = Status::Exited;
            }
        });
        if retry {
            self.restart_after(container.clone(), container.next_delay(0));
            return Err(error);
        }
        container.announce_exit();
        if definition.spec.auto_remove {
            self.remove_later(container.clone());
        }
        Err(error)
    }

    async fn bring_up(self: &Arc<Self>, container: &Arc<Container>, again: bool) -> Result<()> {
        let definition = container.definition();
        let (engine, of) = (self.clone(), definition.clone());
        let users = blocking(move || engine.users_of(&of)).await?;
        let (rootfs, joined) = tokio::join!(
            self.mount_rootfs(container, users.is_some()),
            self.join_network(container, users.as_ref())
        );
        let joined = match (joined, &rootfs) {
            (Ok(joined), Ok(_)) => joined,
            (Ok(joined), Err(_)) => {
                let addresses = crate::network::addresses(&joined.attachment);
                self.networks.detach(&joined.attachment.sandbox, addresses, true);
                return Err(rootfs
                    .err()
                    .unwrap_or_else(|| EngineError::internal("no root file system")));
            }
            (Err(error), _) => return Err(error.context("failed to set up container networking")),
        };
        let rootfs = rootfs?;
        let attachment = joined.attachment;
        container.update(|state| {
            state.run = ids::random_hex(4);
            state.ids = users.as_ref().map(|users| users.ids.clone());
            state.sandbox.clone_from(&attachment.sandbox);
            state.endpoints.clone_from(&attachment.endpoints);
            state.gateway_endpoint.clone_from(&attachment.gateway_endpoint);
            state.ports.clone_from(&attachment.ports);
        })?;
        let places = self.places(container);
        let etc = match &joined.of {
            Some(other) => other.dir.clone(),
            None => container.dir.clone(),
        };
        self.write_etc(container, joined.of.is_some())?;
        let shared = self.shared_namespaces(container)?;
        let subpaths = Subpaths::hold(places.subpaths_dir.clone(), &definition.mounts, &self.volumes)?;
        let around = Surroundings {
            dir: &container.dir,
            rootfs: &rootfs,
            files_dir: &places.files_dir,
            subpaths: &subpaths,
            network: joined.mode,
            pid: shared.pid,
            ipc: shared.ipc,
            users: users.as_ref().map_or(NamespaceMode::Host, Users::mode),
            ids: users.as_ref().map(|users| users.ids.clone()),
            cgroup: &places.cgroup,
            etc: &etc,
            shm: shared.shm,
            init: self.init_of(&definition),
        };
        let input = runtime_spec::build(&definition, &around, &self.volumes)?;
        write_bundle(&places.state_dir, &input)?;
        self.run_shim(container, &places, again).await
    }

    async fn run_shim(
        self: &Arc<Self>,
        container: &Arc<Container>,
        places: &Places,
        again: bool,
    ) -> Result<()> {
        let definition = container.definition();
        let request = CreateRequest {
            protocol: PROTOCOL,
            bundle: self.bundle(container, places),
            terminal: definition.spec.tty,
            open_stdin: definition.spec.open_stdin,
            stdin_once: definition.spec.stdin_once,
            log: log_options::read(&definition)?,
            runtime: self
                .config
                .runtimes
                .program(&definition.spec.runtime)?
                .map(Into::into),
        };
        let (shim, pid) = self.zygote.create(&request).await.map_err(create_error)?;
        let shim = Arc::new(shim);
        container.set_shim(Some(shim.clone()));
        self.join_pending(container, &shim).await;
        if let Err(error) = shim.start().await {
            let _ = shim.delete().await;
            return Err(create_error(error));
        }
        container.update(|state| {
            state.status = Status::Running;
            state.pid = pid;
            state.exit_code = 0;
            state.error.clear();
            state.oom_killed = false;
            state.started_nanos = now_nanos();
            state.finished_nanos = 0;
            state.manually_stopped = false;
            if !again {
                state.restart_count = 0;
            }
        })?;
        if !again {
            container.forget_delay();
        }
        container.remember().await;
        self.emit_attachments(container, true);
        self.emit_container(container, "start", []);
        self.start_health(container);
        self.watch_exit(container.clone(), shim);
        Ok(())
    }

    /// The container as its format knows it.
    pub(super) fn bundle(&self, container: &Container, places: &Places) -> Bundle {
        Bundle {
            id: container.id.clone(),
            bundle_dir: places.state_dir.clone(),
            state_dir: places.state_dir.clone(),
            filter_cache: self.config.exec_root.join("seccomp"),
            cgroup: places.cgroup.clone(),
            keep_fds: 0,
            sub_cgroup: None,
            shown_dir: None,
        }
    }

    async fn mount_rootfs(self: &Arc<Self>, container: &Container, remapped: bool) -> Result<PathBuf> {
        let (engine, id) = (self.clone(), container.id.clone());
        let (definition, place) = (container.definition(), self.places(container).rootfs);
        let first = container.state().started_nanos == 0;
        blocking(move || {
            engine.volumes.hold(&definition.mounts, &id)?;
            let remap = engine.remap.as_ref().filter(|_| remapped);
            let rootfs = match remap {
                Some(remap) => remap.mount(&*engine.storage, &id, &place)?,
                None => engine.storage.mount(&id).map_err(storage_error)?,
            };
            if first {
                given::put(&rootfs, remap.map(|remap| &remap.ids))
                    .map_err(|e| EngineError::io(format_args!("prepare {}", rootfs.display()), e))?;
            }
            Ok(rootfs)
        })
        .await
    }

    async fn join_network(&self, container: &Arc<Container>, users: Option<&Users>) -> Result<Joined> {
        let definition = container.definition();
        let none = |mode, of| Joined {
            attachment: Attachment::default(),
            mode,
            of,
        };
        match definition.spec.network_mode.as_str() {
            "host" => return Ok(none(NamespaceMode::Host, None)),
            mode if mode.starts_with("container:") => {
                let failed =
                    |error: EngineError| error.context("cannot join network of a non running container");
                let other = self.running(&mode["container:".len()..]).map_err(failed)?;
                let path = format!("/proc/{}/ns/net", other.state().pid);
                return Ok(none(NamespaceMode::Path(path.into()), Some(other)));
            }
            _ => {}
        }
        let mut wish = self.wish(container)?;
        wish.namespace = users.map(Users::network).transpose()?.map(Netns::of);
        if let Some(only) = wish.networks.first()
            && self.networks.find(&only.network)?.record.driver == "host"
        {
            return Ok(none(NamespaceMode::Host, None));
        }
        let attachment = self.networks.attach(wish).await?;
        let mode = NamespaceMode::Path(attachment.path.clone());
        Ok(Joined {
            attachment,
            mode,
            of: None,
        })
    }

    /// What a container wants of the network.
    pub fn wish(&self, container: &Container) -> Result<Wish> {
        let definition = container.definition();
        let mut ports = definition.spec.ports.clone();
        if definition.spec.publish_all {
            for exposed in &definition.merged.exposed_ports {
                let (port, protocol) = exposed.split_once('/').unwrap_or((exposed, "tcp"));
                let Ok(container_port) = port.parse() else {
                    continue;
                };
                let known = |p: &crate::proto::PortBinding| {
                    p.container_port == container_port && super::merge::protocol(&p.protocol) == protocol
                };
                if !ports.iter().any(known) {
                    let protocol = protocol.to_owned();
                    ports.push(crate::proto::PortBinding {
                        container_port,
                        protocol,
                        ..Default::default()
                    });
                }
            }
        }
        let servers = definition
            .spec
            .dns
            .as_ref()
            .map(|d| d.servers.clone())
            .unwrap_or_default();
        let dns_servers = servers
            .iter()
            .map(|s| {
                s.parse()
                    .map_err(|_| EngineError::invalid(format!("IP address is not correctly formatted: {s}")))
            })
            .collect::<Result<_>>()?;
        Ok(Wish {
            container_id: container.id.clone(),
            container_name: definition.name.clone(),
            networks: container.state().networks,
            ports,
            dns_servers,
            namespace: None,
        })
    }

    /// The init program, where the container has one. A process namespace that is another's has a first process already.
    fn init_of(&self, definition: &Definition) -> Option<PathBuf> {
        let wanted = definition.spec.init.unwrap_or(self.config.init);
        let own_processes = matches!(definition.spec.pid_mode.as_str(), "" | "private");
        (wanted && own_processes).then(|| init::path(&self.config.data_root))
    }

    /// Writes /etc/hosts and its like for what the container is attached to now.
    pub fn write_etc(&self, container: &Container, shared: bool) -> Result<()> {
        let definition = container.definition();
        let state = container.state();
        let host_network = definition.spec.network_mode == "host"
            || state.networks.iter().any(|n| {
                self.networks
                    .find(&n.network)
                    .is_ok_and(|e| e.record.driver == "host")
            });
        let named = state
            .endpoints
            .iter()
            .any(|e| self.networks.find(&e.network_id).is_ok_and(|n| n.has_names()));
        let gateway = state
            .endpoints
            .iter()
            .chain(&state.gateway_endpoint)
            .find(|e| {
                self.networks
                    .find(&e.network_id)
                    .is_ok_and(|n| n.record.driver == "bridge")
            })
            .map(|e| e.gateway.clone())
            .or_else(|| {
                self.networks
                    .find(DEFAULT_BRIDGE)
                    .ok()
                    .map(|n| n.record.gateway.clone())
            });
        let files = EtcFiles {
            hostname: &definition.merged.hostname,
            domainname: &definition.spec.domainname,
            endpoints: &state.endpoints,
            extra_hosts: &definition.spec.extra_hosts,
            host_gateway: gateway.as_deref().unwrap_or("127.0.0.1"),
            dns: definition.spec.dns.as_ref(),
            resolver: match (host_network || shared, named) {
                (true, _) => Resolver::Same,
                (_, true) => Resolver::Embedded,
                _ => Resolver::Host,
            },
            host_network,
        };
        files.write(&container.dir)
    }
}

/// Into the run's own directory, which is new: there is nothing to replace.
fn write_bundle(dir: &Path, input: &SpecInput) -> Result<()> {
    let spec = input.build().map_err(runtime_error)?;
    let failed = |e| EngineError::io(format_args!("prepare {}", dir.display()), e);
    fs::create_dir_all(dir).map_err(failed)?;
    put_json(&dir.join("config.json"), &spec)?;
    // An exec needs the same confinement again.
    put_json(&dir.join(INPUT), input)
}

fn put_json(path: &Path, value: &impl serde::Serialize) -> Result<()> {
    let json =
        serde_json::to_vec(value).map_err(|e| EngineError::internal(format!("encode the spec: {e}")))?;
    fs::write(path, json).map_err(|e| EngineError::io(format_args!("write {}", path.display()), e))
}

/// Turns a failed creation or start into Docker's words.
fn create_error(error: ShimError) -> EngineError {
    let text = format!("failed to create task for container: {error}");
    let code = match &error {
        ShimError::Failed(failure) => match failure.kind {
            FailureKind::Command => ErrorCode::CommandNotFound,
            FailureKind::Invalid => ErrorCode::InvalidParameter,
            _ => ErrorCode::ContainerFailed,
        },
        _ => ErrorCode::ContainerFailed,
    };
    EngineError::new(code, text)
}
