//! Further processes in a running container.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use creel_runtime::spec::{ProcessInput, SpecInput, resolve_user};
use creel_shim::client::{ExecSpec, Shim, ShimError};
use creel_shim::protocol::{AttachRequest, FailureKind};
use tokio::sync::{Notify, oneshot};

use super::attach::detach_keys;
use super::record::Status;
use super::runtime_spec::{runtime_error, with_home};
use super::start::INPUT;
use super::stop::shim_error;
use super::{Container, merge};
use crate::bulk::join;
use crate::engine::Engine;
use crate::error::{EngineError, ErrorCode, Result};
use crate::ids;
use crate::proto::{Exec, ExecCreateRequest, ExecStartRequest, StreamReply};

/// How long a finished exec can still be inspected.
const KEPT: Duration = Duration::from_secs(300);
/// How long the output of a probe may take to end after its process.
const LAST_OUTPUT: Duration = Duration::from_secs(5);
const MAX_EXECS: usize = 4096;
/// How long what is asked of an exec waits for its start: a client may hear of that before it is done.
const START_TIME: Duration = Duration::from_secs(10);
/// The exit status of a command that cannot be executed.
const CANNOT_RUN: i32 = 126;

/// The execs of all containers.
#[derive(Default)]
pub struct Execs {
    known: Mutex<HashMap<String, Exec>>,
    changed: Notify,
}

impl Execs {
    fn get(&self, id: &str) -> Result<Exec> {
        let missing = || EngineError::new(ErrorCode::NoSuchExec, format!("No such exec instance: {id}"));
        let known = self.known.lock().expect("no panic while locked");
        if let Some(exec) = known.get(id) {
            return Ok(exec.clone());
        }
        let mut matching = known.values().filter(|e| id.len() >= 4 && e.id.starts_with(id));
        match (matching.next(), matching.next()) {
            (Some(exec), None) => Ok(exec.clone()),
            _ => Err(missing()),
        }
    }

    fn change(&self, id: &str, change: impl FnOnce(&mut Exec)) {
        if let Some(exec) = self.known.lock().expect("no panic while locked").get_mut(id) {
            change(exec);
        }
        self.changed.notify_waiters();
    }

    /// The exec once it was started, or tried to be.
    async fn started(&self, id: &str) -> Result<Exec> {
        let started = async {
            loop {
                let changed = self.changed.notified();
                let exec = self.get(id)?;
                if exec.pid != 0 || exec.exit_code != 0 {
                    return Ok(exec);
                }
                changed.await;
            }
        };
        let late = |_| EngineError::conflict(format!("exec {id} has not been started"));
        tokio::time::timeout(START_TIME, started).await.map_err(late)?
    }

    fn remove(&self, id: &str) {
        self.known.lock().expect("no panic while locked").remove(id);
    }

    /// The ids of those that run in a container.
    pub fn of_container(&self, container_id: &str) -> Vec<String> {
        let known = self.known.lock().expect("no panic while locked");
        let of_it = known
            .values()
            .filter(|e| e.running && e.container_id == container_id);
        of_it.map(|e| e.id.clone()).collect()
    }

    /// Forgets the execs of a container that is removed.
    pub fn forget_container(&self, container_id: &str) {
        self.known
            .lock()
            .expect("no panic while locked")
            .retain(|_, e| e.container_id != container_id);
    }
}

impl Engine {
    /// Prepares an exec and gives its id.
    pub fn exec_create(&self, request: ExecCreateRequest) -> Result<String> {
        let container = self.containers.find(&request.container_id)?;
        check_running(&container)?;
        if request.cmd.is_empty() {
            return Err(EngineError::invalid("No exec command specified"));
        }
        detach_keys(&request.detach_keys)?;
        let mut known = self.execs.known.lock().expect("no panic while locked");
        if known.len() >= MAX_EXECS {
            return Err(EngineError::conflict("too many execs on this node"));
        }
        let id = ids::new_id();
        let exec = Exec {
            id: id.clone(),
            container_id: container.id.clone(),
            spec: Some(request.clone()),
            ..Exec::default()
        };
        known.insert(id.clone(), exec);
        drop(known);
        self.emit_container(
            &container,
            &format!("exec_create: {}", request.cmd.join(" ")),
            [("execID".to_owned(), id.clone())],
        );
        Ok(id)
    }

    /// Starts an exec; unless it is detached, the answer names a socket that is joined to its streams.
    pub async fn exec_start(self: &Arc<Self>, request: ExecStartRequest) -> Result<StreamReply> {
        let exec = self.execs.get(&request.id)?;
        let spec = exec.spec.clone().unwrap_or_default();
        let container = self.containers.find(&exec.container_id)?;
        let shim = check_running(&container)?;
        if exec.pid != 0 || exec.running {
            return Err(EngineError::conflict(format!(
                "exec {} has already been started",
                exec.id
            )));
        }
        let process = self.exec_process(&container, &spec).inspect_err(|_| {
            self.execs.change(&exec.id, |e| e.exit_code = CANNOT_RUN);
        })?;
        let attach = (!request.detach).then_some(AttachRequest {
            stdin: spec.stdin,
            stdout: spec.stdout,
            stderr: spec.stderr,
            detach_keys: if spec.tty {
                detach_keys(&spec.detach_keys)?
            } else {
                Vec::new()
            },
        });
        self.execs.change(&exec.id, |e| e.running = true);
        let started = shim
            .exec(ExecSpec {
                id: exec.id.clone(),
                process,
                attach,
            })
            .await;
        let (pid, stream) = match started {
            Ok(started) => started,
            Err(error) => {
                self.exec_failed(&exec.id, &error);
                return Err(exec_error(error));
            }
        };
        self.execs.change(&exec.id, |e| e.pid = pid);
        if spec.tty && request.width > 0 && request.height > 0 {
            let _ = shim
                .resize_exec(&exec.id, request.width as u16, request.height as u16)
                .await;
        }
        self.emit_container(
            &container,
            &format!("exec_start: {}", spec.cmd.join(" ")),
            [("execID".to_owned(), exec.id.clone())],
        );
        let ended = self.watch_exec(&container, shim, exec.id.clone());
        let Some(stream) = stream else {
            return Ok(StreamReply {
                socket: String::new(),
                raw: spec.tty,
            });
        };
        let socket = self.bulk.create()?;
        let reply = StreamReply {
            socket: socket.path(),
            raw: spec.tty,
        };
        tokio::spawn(async move {
            if let Some(client) = socket.accept().await {
                join(client, stream, async { ended.await.unwrap_or_default() }).await;
            }
        });
        Ok(reply)
    }

    fn exec_failed(&self, id: &str, error: &ShimError) {
        let code = match error {
            ShimError::Failed(failure) => failure.exit_code.unwrap_or(CANNOT_RUN),
            _ => CANNOT_RUN,
        };
        self.execs.change(id, |e| {
            e.running = false;
            e.exit_code = code;
        });
    }

    fn exec_process(
        &self,
        container: &Container,
        spec: &ExecCreateRequest,
    ) -> Result<creel_runtime::oci::Process> {
        let failed = |e| EngineError::io(format_args!("read the spec of {}", container.id), e);
        let json = std::fs::read(self.places(container).state_dir.join(INPUT)).map_err(failed)?;
        let input: SpecInput = serde_json::from_slice(&json)
            .map_err(|e| EngineError::internal(format!("the spec of {} is damaged: {e}", container.id)))?;
        let definition = container.definition();
        let user = match spec.user.as_str() {
            "" => input.process.user.clone(),
            user => resolve_user(&input.rootfs, user, &definition.spec.groups).map_err(runtime_error)?,
        };
        let env = merge::overridden(merge::environment(&definition, spec.tty), &spec.env);
        let env = with_home(env, &input.rootfs, user.uid);
        let process = ProcessInput {
            args: spec.cmd.clone(),
            env,
            cwd: if spec.working_dir.is_empty() {
                input.process.cwd.clone()
            } else {
                spec.working_dir.clone()
            },
            user,
            terminal: spec.tty,
        };
        process.build_exec(&input, spec.privileged).map_err(runtime_error)
    }

    /// Records the exec's end when it comes; what it gives back resolves then.
    fn watch_exec(
        self: &Arc<Self>,
        container: &Arc<Container>,
        shim: Arc<Shim>,
        id: String,
    ) -> oneshot::Receiver<()> {
        let (engine, container) = (self.clone(), container.clone());
        let (tell, ended) = oneshot::channel();
        tokio::spawn(async move {
            let code = match shim.wait_exec(&id).await {
                Ok(exit) => exit.code,
                // The container ended with it.
                Err(_) => 137,
            };
            engine.execs.change(&id, |e| {
                e.running = false;
                e.exit_code = code;
            });
            engine.emit_container(
                &container,
                "exec_die",
                [
                    ("execID".to_owned(), id.clone()),
                    ("exitCode".to_owned(), code.to_string()),
                ],
            );
            drop(container);
            let _ = tell.send(());
            tokio::time::sleep(KEPT).await;
            engine.execs.remove(&id);
        });
        ended
    }

    /// Sets the size of an exec's terminal.
    pub async fn exec_resize(&self, id: &str, width: u32, height: u32) -> Result<()> {
        let exec = self.execs.started(id).await?;
        let shim = check_running(&*self.containers.find(&exec.container_id)?)?;
        shim.resize_exec(&exec.id, width as u16, height as u16)
            .await
            .map_err(shim_error)
    }

    /// What is known of an exec.
    pub fn exec_inspect(&self, id: &str) -> Result<Exec> {
        self.execs.get(id)
    }

    /// Runs a command in a container to its end, without input, and gives its exit status and the beginning of what it
    /// printed. Killed when it takes longer than `limit`: then it has no status.
    pub(super) async fn probe(
        &self,
        container: &Arc<Container>,
        cmd: Vec<String>,
        limit: Duration,
        most: usize,
    ) -> Result<(Option<i32>, Vec<u8>)> {
        let shim = check_running(container)?;
        let spec = ExecCreateRequest {
            cmd,
            ..ExecCreateRequest::default()
        };
        let process = self.exec_process(container, &spec)?;
        let attach = AttachRequest {
            stdin: false,
            stdout: true,
            stderr: true,
            detach_keys: Vec::new(),
        };
        let id = ids::random_hex(16);
        let exec = ExecSpec {
            id: id.clone(),
            process,
            attach: Some(attach),
        };
        let (_, stream) = shim.exec(exec).await.map_err(exec_error)?;
        let printed = tokio::spawn(async move {
            let Some(stream) = stream else { return Vec::new() };
            read_frames(stream, most).await
        });
        let ended = tokio::time::timeout(limit, shim.wait_exec(&id)).await;
        if ended.is_err() {
            let _ = shim.kill_exec(&id, libc::SIGKILL).await;
        }
        let printed = tokio::time::timeout(LAST_OUTPUT, printed).await;
        let output = printed.ok().and_then(|read| read.ok()).unwrap_or_default();
        match ended {
            Ok(exit) => Ok((Some(exit.map_err(shim_error)?.code), output)),
            Err(_) => Ok((None, output)),
        }
    }
}

async fn read_frames(mut stream: tokio::net::UnixStream, most: usize) -> Vec<u8> {
    use tokio::io::AsyncReadExt;
    let mut output = Vec::new();
    let mut header = [0u8; 8];
    while stream.read_exact(&mut header).await.is_ok() {
        let length = u32::from_be_bytes([header[4], header[5], header[6], header[7]]) as usize;
        let mut part = vec![0u8; length.min(1 << 20)];
        if stream.read_exact(&mut part).await.is_err() {
            break;
        }
        let room = most.saturating_sub(output.len()).min(part.len());
        output.extend_from_slice(&part[..room]);
    }
    output
}

fn check_running(container: &Container) -> Result<Arc<Shim>> {
    match (container.status(), container.shim()) {
        (Status::Running, Some(shim)) => Ok(shim),
        (Status::Paused, _) => Err(EngineError::conflict(format!(
            "Container {} is paused, unpause the container before exec",
            container.id
        ))),
        _ => Err(container.not_running()),
    }
}

fn exec_error(error: ShimError) -> EngineError {
    let failed = matches!(&error, ShimError::Failed(failure) if failure.kind != FailureKind::Conflict);
    let error = shim_error(error);
    if failed {
        return error.context("OCI runtime exec failed: exec failed");
    }
    error
}
