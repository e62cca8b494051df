//! Stopping, signalling, pausing.

use std::sync::Arc;
use std::time::Duration;

use creel_shim::client::{Shim, ShimError};
use creel_shim::protocol::FailureKind;
use tokio::sync::watch;

use super::record::Status;
use super::signals;
use super::{Container, Life};
use crate::engine::Engine;
use crate::error::{EngineError, ErrorCode, Result};
use crate::proto::StopRequest;

/// After SIGKILL the kernel needs a moment, and one that hangs in it must not hold the caller for ever.
const AFTER_KILL: Duration = Duration::from_secs(30);
const FOR_EVER: Duration = Duration::from_secs(60 * 60 * 24 * 365);

impl Engine {
    /// Stops a container: its stop signal, and SIGKILL when it takes too long.
    pub async fn stop(self: &Arc<Self>, request: &StopRequest) -> Result<()> {
        let container = self.containers.find(&request.id)?;
        let _operation = container.operation.lock().await;
        if self.cancel_restart(&container)? {
            self.emit_container(&container, "stop", []);
            return Ok(());
        }
        if !container.status().has_process() {
            let text = format!("container {} is not running", container.id);
            return Err(EngineError::new(ErrorCode::NotModified, text));
        }
        let definition = container.definition();
        let signal = signals::parse(&request.signal, definition.merged.stop_signal)?;
        let seconds = match request.default_timeout {
            false => request.timeout_seconds,
            true => definition.spec.stop_timeout_seconds.unwrap_or(10),
        };
        let patience = if seconds < 0 {
            FOR_EVER
        } else {
            Duration::from_secs(seconds as u64)
        };
        container.update(|state| state.manually_stopped = true)?;
        self.end(&container, signal, patience).await?;
        // It may have ended by itself a moment before, and wait for its restart.
        self.cancel_restart(&container)?;
        container.remember().await;
        self.emit_container(&container, "stop", []);
        Ok(())
    }

    /// Ends the process of a container whose operation lock the caller holds.
    pub(super) async fn end(
        &self,
        container: &Arc<Container>,
        signal: i32,
        patience: Duration,
    ) -> Result<()> {
        let mut life = container.watch();
        let Some(shim) = container.shim() else {
            // It has ended, and its things are being put away.
            return self.wait_for_end(container, &mut life).await;
        };
        self.send(container, &shim, signal).await?;
        if tokio::time::timeout(patience, life.wait_for(|life| !life.has_process))
            .await
            .is_ok()
        {
            return Ok(());
        }
        self.send(container, &shim, libc::SIGKILL).await?;
        self.wait_for_end(container, &mut life).await
    }

    async fn wait_for_end(&self, container: &Container, life: &mut watch::Receiver<Life>) -> Result<()> {
        match tokio::time::timeout(AFTER_KILL, life.wait_for(|life| !life.has_process)).await {
            Ok(_) => Ok(()),
            Err(_) => Err(EngineError::new(
                ErrorCode::ContainerFailed,
                format!(
                    "container {} did not end {} s after SIGKILL",
                    container.id,
                    AFTER_KILL.as_secs()
                ),
            )),
        }
    }

    async fn send(&self, container: &Arc<Container>, shim: &Shim, signal: i32) -> Result<()> {
        let paused = container.status() == Status::Paused;
        match shim.kill(signal).await {
            // It ended just now: that is what was wanted.
            Ok(()) | Err(ShimError::Gone(_)) => {}
            Err(ShimError::Failed(_)) if !container.status().has_process() => {}
            Err(ShimError::Failed(failure)) if failure.kind == FailureKind::Conflict => {}
            Err(error) => return Err(shim_error(error)),
        }
        self.emit_container(container, "kill", [("signal".to_owned(), signal.to_string())]);
        if paused {
            // A frozen process takes no signal.
            let _ = shim.resume().await;
            container.update(|state| {
                if state.status == Status::Paused {
                    state.status = Status::Running;
                }
            })?;
        }
        Ok(())
    }

    /// Sends a signal to a container's process.
    pub async fn kill(self: &Arc<Self>, reference: &str, signal: &str) -> Result<()> {
        let failed = |error: EngineError| error.context(format_args!("cannot kill container: {reference}"));
        let signal = signals::parse(signal, libc::SIGKILL)?;
        let container = self.containers.find(reference).map_err(failed)?;
        let deadly = signal == libc::SIGKILL || signal == container.definition().merged.stop_signal;
        // There is nobody to take a signal: what it says is that somebody sees to the container.
        if container.status() == Status::Restarting {
            // Its restart may be under way: then it runs a moment later.
            let _operation = container.operation.lock().await;
            if self.cancel_restart(&container)? {
                container.remember().await;
                return Ok(());
            }
        }
        let not_running = || failed(container.not_running());
        if !container.status().has_process() {
            return Err(not_running());
        }
        if deadly {
            container.update(|state| state.manually_stopped = true)?;
        }
        let mut life = container.watch();
        let shim = container.shim();
        let sent = match &shim {
            Some(shim) => shim.kill(signal).await,
            // It has ended, and its things are being put away.
            None => Err(ShimError::Gone(None)),
        };
        let ended = match &sent {
            Err(ShimError::Gone(_)) => true,
            Err(ShimError::Failed(failure)) => failure.kind == FailureKind::Conflict,
            _ => false,
        };
        match sent {
            Ok(()) => {}
            Err(_) if ended && deadly => {
                self.wait_for_end(&container, &mut life).await?;
                self.cancel_restart(&container)?;
                return Ok(());
            }
            Err(_) if ended => return Err(not_running()),
            Err(error) => return Err(shim_error(error)),
        }
        self.emit_container(&container, "kill", [("signal".to_owned(), signal.to_string())]);
        if let Some(shim) = shim.filter(|_| deadly && container.status() == Status::Paused) {
            let _ = shim.resume().await;
        }
        if deadly {
            container.remember().await;
        }
        if signal == libc::SIGKILL {
            // As with Docker, the caller finds it ended.
            self.wait_for_end(&container, &mut life).await?;
        }
        Ok(())
    }

    /// If the container waits for its restart, gives that up.
    pub(super) fn cancel_restart(&self, container: &Container) -> Result<bool> {
        let mut canceled = false;
        container.update(|state| {
            if state.status == Status::Restarting {
                state.status = Status::Exited;
                state.manually_stopped = true;
                canceled = true;
            }
        })?;
        Ok(canceled)
    }

    /// Freezes a container.
    pub async fn pause(&self, reference: &str) -> Result<()> {
        self.freeze(reference, false).await
    }

    /// Freezes a container, for a person or for as long as a commit takes: then an engine that comes after this one lets
    /// it go on.
    pub(super) async fn freeze(&self, reference: &str, to_commit: bool) -> Result<()> {
        let container = self.containers.find(reference)?;
        let _operation = container.operation.lock().await;
        let shim = self.shim_in(&container, Status::Running)?;
        shim.pause().await.map_err(shim_error)?;
        let noted = container.update(|state| {
            state.status = Status::Paused;
            state.paused_to_commit = to_commit;
        });
        if let Err(error) = noted {
            let _ = shim.resume().await;
            let _ = container.update(|state| state.status = Status::Running);
            return Err(error);
        }
        self.emit_container(&container, "pause", []);
        Ok(())
    }

    /// Lets a frozen container go on.
    pub async fn unpause(&self, reference: &str) -> Result<()> {
        let container = self.containers.find(reference)?;
        let _operation = container.operation.lock().await;
        let shim = self.shim_in(&container, Status::Paused)?;
        shim.resume().await.map_err(shim_error)?;
        container.update(|state| state.status = Status::Running)?;
        self.emit_container(&container, "unpause", []);
        Ok(())
    }

    /// Sets the size of a container's terminal.
    pub async fn resize(&self, reference: &str, width: u32, height: u32) -> Result<()> {
        let container = self.containers.find(reference)?;
        let shim = self.shim_in(&container, Status::Running)?;
        if !container.definition().spec.tty {
            return Ok(());
        }
        let size =
            |n: u32| u16::try_from(n).map_err(|_| EngineError::invalid(format!("invalid terminal size {n}")));
        shim.resize(size(width)?, size(height)?)
            .await
            .map_err(shim_error)?;
        self.emit_container(
            &container,
            "resize",
            [
                ("height".to_owned(), height.to_string()),
                ("width".to_owned(), width.to_string()),
            ],
        );
        Ok(())
    }

    fn shim_in(&self, container: &Container, wanted: Status) -> Result<Arc<Shim>> {
        let status = container.status();
        match container.shim() {
            Some(shim) if status == wanted => Ok(shim),
            _ if status == Status::Paused => Err(EngineError::conflict(format!(
                "Container {} is already paused",
                container.id
            ))),
            _ if wanted == Status::Paused => Err(EngineError::conflict(format!(
                "Container {} is not paused",
                container.id
            ))),
            _ => Err(container.not_running()),
        }
    }
}

/// Turns a failure of the shim into the engine's.
pub fn shim_error(error: ShimError) -> EngineError {
    use FailureKind as K;
    let code = match &error {
        ShimError::Failed(failure) => match failure.kind {
            K::Invalid => ErrorCode::InvalidParameter,
            K::Conflict => ErrorCode::Conflict,
            K::NotFound => ErrorCode::NoSuchExec,
            K::Command => ErrorCode::CommandNotFound,
            K::Internal => ErrorCode::ContainerFailed,
        },
        ShimError::Gone(_) | ShimError::Protocol(_) => ErrorCode::Conflict,
        _ => ErrorCode::ContainerFailed,
    };
    EngineError::new(code, error.to_string())
}
