//! Runs whose shim was killed. What its helper has just forked may outlive both by a moment, and make the container's
//! cgroup again after it was removed; it ends as soon as it finds that nobody is there to tell. So such a run is looked
//! at twice, and its folder stays until then: an engine that comes after this one finds it.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::Engine;
use crate::error::EngineError;
use crate::network::blocking;

/// By then what a killed shim's helper left has ended.
const SOON: Duration = Duration::from_secs(1);

/// A run of a container: where its shim was, and its cgroup.
pub(super) struct Run {
    pub(super) state_dir: PathBuf,
    pub(super) cgroup: String,
}

impl Run {
    /// Forgets a run that was put away: at once where its shim has told of its end, else after a second look.
    pub(super) fn forget(self, engine: &Arc<Engine>) {
        if creel_shim::read_exit(&self.state_dir).is_some() {
            return self.remove_dirs();
        }
        let engine = engine.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = tokio::time::sleep(SOON) => {}
                // the next engine looks
                () = engine.stopped() => return,
            }
            let looked = blocking(move || {
                creel_shim::cleanup(&self.state_dir, &self.cgroup)
                    .map_err(|e| EngineError::io(format_args!("remove {}", self.cgroup), e))?;
                self.remove_dirs();
                Ok(())
            });
            if let Err(error) = looked.await {
                tracing::warn!(%error, "something is left of a container whose shim was killed");
            }
        });
    }

    /// The run's folder, and the container's around it if that was the last in it.
    fn remove_dirs(&self) {
        let _ = fs::remove_dir_all(&self.state_dir);
        let _ = self.state_dir.parent().map(fs::remove_dir);
    }
}
