//! What happens when a container's process ends: its parts are put away, its end is told, its restart policy asked.

use std::sync::Arc;
use std::time::Duration;

use creel_shim::client::{Shim, ShimError};
use creel_shim::protocol::ExitStatus;

use super::lost::Run;
use super::record::{State, Status};
use super::start::Places;
use super::{Container, files};
use crate::clock::{now_nanos, parse_rfc3339, rfc3339_nano};
use crate::engine::Engine;
use crate::error::Result;
use crate::network::blocking;
use crate::proto::RestartPolicy;
use crate::volume::storage_error;

const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(60);
/// One that ran this long starts over with the first delay.
const STABLE_NANOS: i64 = 10_000_000_000;

impl Engine {
    /// Waits, in the background, for a container's process to end.
    pub(super) fn watch_exit(self: &Arc<Self>, container: Arc<Container>, shim: Arc<Shim>) {
        let engine = self.clone();
        tokio::spawn(async move {
            let exit = engine.exit_of(&container, &shim).await;
            engine.ended(container, exit).await;
        });
    }

    async fn exit_of(&self, container: &Container, shim: &Shim) -> ExitStatus {
        loop {
            match shim.wait().await {
                Ok(exit) | Err(ShimError::Gone(Some(exit))) => return exit,
                Err(ShimError::Gone(None)) => {
                    tracing::error!(
                        container = container.id,
                        "its shim was killed; what it left is removed"
                    );
                    return lost(137);
                }
                Err(error) => {
                    tracing::warn!(container = container.id, %error, "waiting for its end failed; trying again");
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
            }
        }
    }

    /// Records the end of a container's process, and does what follows from it.
    pub(super) async fn ended(self: &Arc<Self>, container: Arc<Container>, exit: ExitStatus) {
        self.tear_down(&container).await;
        let definition = container.definition();
        let policy = definition.spec.restart.clone().unwrap_or_default();
        let started = container.state().started_nanos;
        let finished = parse_rfc3339(&exit.finished_at).unwrap_or_else(now_nanos);
        let stopping = self.is_stopping();
        let mut again = false;
        let saved = self.settle(&container, |state| {
            // Decided here, where nobody can ask for its stop in between.
            again = !stopping && wants_restart(&policy, state, exit.code);
            state.status = if again { Status::Restarting } else { Status::Exited };
            state.restart_count += i32::from(again);
            state.pid = 0;
            state.exit_code = exit.code;
            state.oom_killed = exit.oom_killed;
            state.finished_nanos = finished;
        });
        if let Err(error) = saved {
            tracing::error!(container = container.id, %error, "its end could not be recorded");
        }
        container.remember().await;
        if !again {
            self.forget_files(&container);
        }
        if exit.oom_killed {
            self.emit_container(&container, "oom", []);
        }
        let lasted = (finished - started).max(0);
        self.emit_container(
            &container,
            "die",
            [
                ("exitCode".to_owned(), exit.code.to_string()),
                ("execDuration".to_owned(), (lasted / 1_000_000_000).to_string()),
            ],
        );
        container.announce_exit();
        if again {
            let delay = container.next_delay(lasted);
            self.restart_after(container, delay);
            return;
        }
        if definition.spec.auto_remove {
            self.remove_later(container);
        }
    }

    /// Puts away what a container has while it runs. Nothing there is no error. What is known of the run stays until
    /// [`settle`](Self::settle).
    pub(super) async fn tear_down(&self, container: &Arc<Container>) {
        self.stop_health(container);
        if let Some(shim) = container.shim() {
            match shim.delete().await {
                Ok(()) | Err(ShimError::Gone(_)) => {}
                Err(error) => tracing::warn!(container = container.id, %error, "its shim does not go away"),
            }
            // A shim that tells of the end goes away on its own, perhaps not at once.
            self.clean_up_after_shim(container).await;
            container.set_shim(None);
        }
        let state = container.state();
        if state.started_nanos > state.finished_nanos {
            self.emit_attachments(container, false);
        }
        if !state.sandbox.is_empty() {
            let endpoints = state.endpoints.iter().chain(&state.gateway_endpoint);
            let addresses = endpoints
                .filter_map(|e| Some((e.network_id.clone(), e.address.parse().ok()?)))
                .collect();
            self.networks
                .detach(&state.sandbox, addresses, !state.ports.is_empty());
        }
        let (storage, volumes, id) = (self.storage.clone(), self.volumes.clone(), container.id.clone());
        let places = self.places(container);
        let released = blocking(move || {
            files::remove(&places.rootfs);
            files::remove(&places.shm_dir);
            volumes.release(&id);
            storage.release(&id).map_err(storage_error)
        })
        .await;
        if let Err(error) = released {
            tracing::warn!(container = container.id, %error, "its root file system could not be unmounted");
        }
    }

    /// Records where a container stands whose run was put away, and only then forgets the run: until the end is recorded,
    /// nothing but the shim's record tells of it.
    pub(super) fn settle(
        self: &Arc<Self>,
        container: &Container,
        change: impl FnOnce(&mut State),
    ) -> Result<()> {
        let Places {
            state_dir, cgroup, ..
        } = self.places(container);
        let mut ran = false;
        container.update(|state| {
            ran = !state.run.is_empty();
            state.run.clear();
            state.ids = None;
            state.sandbox.clear();
            state.endpoints.clear();
            state.gateway_endpoint = None;
            state.ports.clear();
            change(state);
        })?;
        if ran {
            Run { state_dir, cgroup }.forget(self);
        }
        Ok(())
    }

    /// Secrets and configs are not kept for a run that nobody plans.
    pub(super) fn forget_files(&self, container: &Container) {
        if !container.definition().spec.files.is_empty() {
            files::drop_all(&self.places(container).files_dir);
        }
    }

    /// Ends and removes what a container has left whose shim was killed.
    pub(super) async fn clean_up_after_shim(&self, container: &Container) {
        let places = self.places(container);
        let cleaned = blocking(move || {
            creel_shim::cleanup(&places.state_dir, &places.cgroup)
                .map_err(|e| crate::error::EngineError::io("clean up after a shim", e))
        });
        if let Err(error) = cleaned.await {
            tracing::warn!(container = container.id, %error, "leftovers stay");
        }
    }

    /// Starts a container again after a while, unless somebody stops or removes it before.
    pub(super) fn restart_after(self: &Arc<Self>, container: Arc<Container>, delay: Duration) {
        let engine = self.clone();
        tokio::spawn(async move {
            let mut life = container.watch();
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                _ = life.wait_for(|life| !life.restarting || life.removed) => return,
            }
            engine.await_joined(&container).await;
            let _operation = container.operation.lock().await;
            if container.status() != Status::Restarting || engine.is_stopping() {
                return;
            }
            if let Err(error) = engine.start_held(&container, true).await {
                tracing::warn!(container = container.id, %error, "it could not be started again");
            }
        });
    }
}

/// The exit of a process of which nothing else is known.
pub(super) fn lost(code: i32) -> ExitStatus {
    ExitStatus {
        code,
        signal: None,
        oom_killed: false,
        finished_at: rfc3339_nano(now_nanos()),
    }
}

/// Docker's rules for when a container starts again.
pub(super) fn wants_restart(policy: &RestartPolicy, state: &State, exit_code: i32) -> bool {
    if state.manually_stopped {
        return false;
    }
    match policy.name.as_str() {
        "always" | "unless-stopped" => true,
        "on-failure" => {
            exit_code != 0 && (policy.max_retries == 0 || state.restart_count < policy.max_retries)
        }
        _ => false,
    }
}

impl Container {
    pub(super) fn next_delay(&self, lasted_nanos: i64) -> Duration {
        let mut delay = self.restart_delay.lock().expect("no panic while locked");
        *delay = delay_after(*delay, lasted_nanos);
        *delay
    }

    /// The next restart is the first one again.
    pub(super) fn forget_delay(&self) {
        *self.restart_delay.lock().expect("no panic while locked") = Duration::ZERO;
    }
}

/// How long to wait before the next restart: twice as long each time, for one that does not last.
fn delay_after(before: Duration, lasted_nanos: i64) -> Duration {
    if lasted_nanos >= STABLE_NANOS || before.is_zero() {
        return FIRST_DELAY;
    }
    (before * 2).min(LONGEST_DELAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_a_minute_and_begin_again_after_ten_seconds() {
        let mut delay = Duration::ZERO;
        let mut next = |lasted_nanos| {
            delay = delay_after(delay, lasted_nanos);
            delay.as_millis()
        };
        let first: Vec<_> = (0..12).map(|_| next(9_999_999_999)).collect();
        assert_eq!(
            first,
            [
                100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 51_200, 60_000, 60_000
            ]
        );
        assert_eq!((next(10_000_000_000), next(0)), (100, 200));
    }

    #[test]
    fn policies() {
        let policy = |name: &str, max_retries| RestartPolicy {
            name: name.into(),
            max_retries,
        };
        let state = |restart_count, manually_stopped| State {
            restart_count,
            manually_stopped,
            ..State::default()
        };
        assert!(!wants_restart(&policy("", 0), &state(0, false), 1));
        assert!(!wants_restart(&policy("no", 0), &state(0, false), 1));
        assert!(wants_restart(&policy("always", 0), &state(9, false), 0));
        assert!(!wants_restart(&policy("always", 0), &state(0, true), 0));
        assert!(wants_restart(&policy("on-failure", 2), &state(1, false), 1));
        assert!(!wants_restart(&policy("on-failure", 2), &state(2, false), 1));
        assert!(!wants_restart(&policy("on-failure", 0), &state(0, false), 0));
    }
}
