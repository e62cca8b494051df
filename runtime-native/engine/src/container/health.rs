//! Health checks: a command run in the container again and again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::AbortHandle;

use super::Container;
use super::record::Status;
use crate::clock::now_nanos;
use crate::engine::Engine;
use crate::proto::{HealthResult, Healthcheck};

const KEPT: usize = 5;
const MOST_OUTPUT: usize = 4096;

/// What the checks of a container have found.
#[derive(Default)]
pub struct Health {
    status: &'static str,
    failing_streak: i32,
    log: VecDeque<HealthResult>,
    task: Option<AbortHandle>,
}

impl Health {
    /// The status, the failing streak and the last results.
    pub fn describe(&self) -> (String, i32, Vec<HealthResult>) {
        (
            self.status.to_owned(),
            self.failing_streak,
            self.log.iter().cloned().collect(),
        )
    }
}

impl Engine {
    /// Begins to check a container that has a health check.
    pub(super) fn start_health(self: &Arc<Self>, container: &Arc<Container>) {
        let Some(check) = container.definition().merged.healthcheck.clone() else {
            return;
        };
        let (engine, checked) = (self.clone(), container.clone());
        let mut health = container.health.lock().expect("no panic while locked");
        if let Some(task) = health.task.take() {
            task.abort();
        }
        *health = Health {
            status: "starting",
            ..Health::default()
        };
        let task = tokio::spawn(async move { engine.check_again_and_again(&checked, &check).await });
        health.task = Some(task.abort_handle());
    }

    /// Ends the checks.
    pub(super) fn stop_health(&self, container: &Container) {
        let mut health = container.health.lock().expect("no panic while locked");
        if let Some(task) = health.task.take() {
            task.abort();
        }
    }

    async fn check_again_and_again(&self, container: &Arc<Container>, check: &Healthcheck) {
        let started = container.state().started_nanos;
        loop {
            let starting = now_nanos() - started < check.start_period_nanos
                && container.health.lock().expect("no panic while locked").status == "starting";
            let wait = if starting {
                check.start_interval_nanos
            } else {
                check.interval_nanos
            };
            tokio::time::sleep(Duration::from_nanos(wait as u64)).await;
            match container.status() {
                Status::Running => {}
                Status::Paused => continue,
                _ => return,
            }
            let result = self.check(container, check).await;
            let in_start_period = result.start_nanos - started < check.start_period_nanos;
            self.judge(container, check, result, in_start_period);
        }
    }

    async fn check(&self, container: &Arc<Container>, check: &Healthcheck) -> HealthResult {
        let start_nanos = now_nanos();
        let limit = Duration::from_nanos(check.timeout_nanos as u64);
        let cmd = match check.test.first().map(String::as_str) {
            Some("CMD-SHELL") => ["/bin/sh".to_owned(), "-c".to_owned()]
                .into_iter()
                .chain(check.test[1..].to_vec())
                .collect(),
            _ => check.test[1..].to_vec(),
        };
        let (exit_code, output) = match self.probe(container, cmd, limit, MOST_OUTPUT).await {
            Ok(Some((code, output))) => (code, String::from_utf8_lossy(&output).into_owned()),
            Ok(None) => (
                -1,
                format!("Health check exceeded timeout ({} s)", limit.as_secs_f64()),
            ),
            Err(error) => (-1, error.text),
        };
        HealthResult {
            start_nanos,
            end_nanos: now_nanos(),
            exit_code,
            output,
        }
    }

    fn judge(
        &self,
        container: &Arc<Container>,
        check: &Healthcheck,
        result: HealthResult,
        in_start_period: bool,
    ) {
        let mut health = container.health.lock().expect("no panic while locked");
        let before = health.status;
        if result.exit_code == 0 {
            health.failing_streak = 0;
            health.status = "healthy";
        } else if !(in_start_period && before == "starting") {
            health.failing_streak += 1;
            if health.failing_streak >= check.retries {
                health.status = "unhealthy";
            }
        }
        if health.log.len() == KEPT {
            health.log.pop_front();
        }
        health.log.push_back(result);
        let after = health.status;
        drop(health);
        if before != after {
            self.emit_container(container, &format!("health_status: {after}"), []);
        }
    }
}
