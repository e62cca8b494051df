//! Changing a container's limits and restart policy, also while it runs.

use std::sync::Arc;

use creel_runtime::support::Support;
use creel_runtime::{ContainerFormat, LibcontainerFormat};

use super::checks;
use super::kernel_limits;
use super::record::Status;
use super::runtime_spec::{limits, runtime_error};
use crate::engine::Engine;
use crate::error::{EngineError, Result};
use crate::network::blocking;
use crate::proto::{Resources, UpdateRequest};

impl Engine {
    /// Changes what the request names and leaves the rest; gives warnings of what the kernel lacks.
    pub async fn update(self: &Arc<Self>, request: UpdateRequest) -> Result<Vec<String>> {
        let container = self.containers.find(&request.id)?;
        let _operation = container.operation.lock().await;
        if matches!(container.status(), Status::Removing | Status::Dead) {
            let text = "container is marked for removal and cannot be \"update\"";
            return Err(EngineError::conflict(text));
        }
        let failed = |e: EngineError| e.context(format_args!("Cannot update container {}", container.id));
        let mut definition = (*container.definition()).clone();
        if let Some(policy) = request.restart {
            checks::check_restart(&policy)?;
            if definition.spec.auto_remove && !matches!(policy.name.as_str(), "" | "no") {
                let text = "Restart policy cannot be updated because AutoRemove is enabled for the container";
                return Err(failed(EngineError::invalid(text)));
            }
            definition.spec.restart = Some(policy);
        }
        let mut change = request.resources.unwrap_or_default();
        let warnings = kernel_limits::discard(&mut change, &Support::of_this_machine())?;
        let resources =
            merged(definition.spec.resources.take().unwrap_or_default(), &change).map_err(failed)?;
        super::limits::check(&resources)?;
        let mut kernel = limits(&resources).limits().map_err(runtime_error)?;
        kernel.set_devices(None);
        definition.spec.resources = Some(resources);
        if change != Resources::default() && container.status().has_process() {
            let bundle = self.bundle(&container, &self.places(&container));
            blocking(move || LibcontainerFormat.update(&bundle, &kernel).map_err(runtime_error)).await?;
        }
        container.set_definition(definition)?;
        self.emit_container(&container, "update", []);
        Ok(warnings)
    }
}

fn merged(old: Resources, change: &Resources) -> Result<Resources> {
    let number = |new: i64, old: i64| if new == 0 { old } else { new };
    let text = |new: &String, old: String| if new.is_empty() { old } else { new.clone() };
    let resources = Resources {
        nano_cpus: number(change.nano_cpus, old.nano_cpus),
        cpu_shares: number(change.cpu_shares, old.cpu_shares),
        cpu_quota: number(change.cpu_quota, old.cpu_quota),
        cpu_period: number(change.cpu_period, old.cpu_period),
        cpuset_cpus: text(&change.cpuset_cpus, old.cpuset_cpus),
        cpuset_mems: text(&change.cpuset_mems, old.cpuset_mems),
        memory: number(change.memory, old.memory),
        memory_reservation: number(change.memory_reservation, old.memory_reservation),
        memory_swap: number(change.memory_swap, old.memory_swap),
        blkio_weight: if change.blkio_weight == 0 {
            old.blkio_weight
        } else {
            change.blkio_weight
        },
        pids_limit: number(change.pids_limit, old.pids_limit),
        ..old
    };
    if resources.nano_cpus > 0 && (resources.cpu_quota > 0 || resources.cpu_period > 0) {
        let text = "Conflicting options: CPU quota and period cannot be set together with NanoCPUs";
        return Err(EngineError::conflict(text));
    }
    if resources.memory_swap > 0 && resources.memory > resources.memory_swap {
        let text = "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time";
        return Err(EngineError::conflict(text));
    }
    Ok(resources)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_named_changes() {
        let old = Resources {
            memory: 64 << 20,
            memory_swap: 128 << 20,
            pids_limit: 10,
            ..Resources::default()
        };
        let change = Resources {
            pids_limit: -1,
            ..Resources::default()
        };
        let new = merged(old.clone(), &change).unwrap();
        assert_eq!((new.memory, new.pids_limit), (64 << 20, -1));
        let change = Resources {
            memory: 256 << 20,
            ..Resources::default()
        };
        assert!(merged(old, &change).is_err());
    }
}
