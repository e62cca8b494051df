//! Health checks: a command run in the container again and again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::task::AbortHandle;

use super::Container;
use super::record::{Status, write_file};
use crate::clock::{now_nanos, span};
use crate::engine::Engine;
use crate::proto::{HealthResult, Healthcheck};

const KEPT: usize = 5;
const MOST_OUTPUT: usize = 4096;
/// The file in a container's folder that keeps the findings for the next engine.
const FINDINGS: &str = "health.json";

/// What the checks of a container have found.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Findings {
    /// Docker's word: starting, healthy or unhealthy; empty where nothing is checked.
    pub status: String,
    pub failing_streak: i32,
    /// The last results, the newest at the end.
    pub log: VecDeque<HealthResult>,
}

/// The checks of a container, and what they have found.
#[derive(Default)]
pub struct Health {
    findings: Findings,
    task: Option<AbortHandle>,
}

impl Health {
    /// What was found up to now.
    pub fn findings(&self) -> Findings {
        self.findings.clone()
    }
}

impl Engine {
    /// Begins to check a container that was started, if it has a health check.
    pub(super) fn start_health(self: &Arc<Self>, container: &Arc<Container>) {
        self.check_from(container, Findings::default());
    }

    /// Goes on where an earlier engine left off.
    pub(super) fn resume_health(self: &Arc<Self>, container: &Arc<Container>) {
        self.check_from(container, kept(container));
    }

    /// What was found of a container that has ended before this engine's time.
    pub(super) fn recall_health(&self, container: &Container) {
        container.health.lock().expect("no panic while locked").findings = kept(container);
    }

    fn check_from(self: &Arc<Self>, container: &Arc<Container>, mut findings: Findings) {
        let Some(check) = container.definition().merged.healthcheck.clone() else {
            return;
        };
        let (engine, checked) = (self.clone(), container.clone());
        let mut health = container.health.lock().expect("no panic while locked");
        if let Some(task) = health.task.take() {
            task.abort();
        }
        if findings.status.is_empty() {
            findings.status = "starting".into();
            keep(container, &findings);
        }
        health.findings = findings;
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
                && container
                    .health
                    .lock()
                    .expect("no panic while locked")
                    .findings
                    .status
                    == "starting";
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
            Ok((code, output)) => {
                let output = String::from_utf8_lossy(&output).into_owned();
                match code {
                    Some(code) => (code, output),
                    None => (-1, too_long(check.timeout_nanos, &output)),
                }
            }
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
        let found = &mut health.findings;
        let before = found.status.clone();
        if result.exit_code == 0 {
            found.failing_streak = 0;
            found.status = "healthy".into();
        } else if !(in_start_period && before == "starting") {
            found.failing_streak += 1;
            if found.failing_streak >= check.retries {
                found.status = "unhealthy".into();
            }
        }
        if found.log.len() == KEPT {
            found.log.pop_front();
        }
        found.log.push_back(result);
        keep(container, found);
        let after = found.status.clone();
        drop(health);
        if before != after {
            self.emit_container(container, &format!("health_status: {after}"), []);
        }
    }
}

fn too_long(nanos: i64, output: &str) -> String {
    let text = format!("Health check exceeded timeout ({})", span(nanos as u64));
    if output.is_empty() {
        text
    } else {
        format!("{text}: {output}")
    }
}

fn kept(container: &Container) -> Findings {
    let kept = std::fs::read(container.dir.file(FINDINGS)).ok();
    let found = kept.and_then(|json| serde_json::from_slice(&json).ok());
    found.unwrap_or_default()
}

/// Writes the findings down for an engine that comes after this one; without them that begins anew.
fn keep(container: &Container, findings: &Findings) {
    let json = serde_json::to_vec(findings).unwrap_or_default();
    if let Err(error) = write_file(&container.dir.file(FINDINGS), &json, false) {
        tracing::warn!(container = container.id, %error, "its health could not be recorded");
    }
}
