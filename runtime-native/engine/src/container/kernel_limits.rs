//! Limits that not every kernel has: what is discarded of what is asked for, with Docker's warning.

use creel_runtime::support::Support;

use super::runtime_spec::{limits, runtime_error};
use crate::error::{EngineError, Result};
use crate::proto::{ContainerSpec, Resources};

/// Takes out of `spec` what the kernel lacks, with a warning each, and refuses what makes no sense.
pub fn settle(spec: &mut ContainerSpec, support: &Support) -> Result<Vec<String>> {
    let Some(resources) = &mut spec.resources else {
        return Ok(Vec::new());
    };
    let warnings = discard(resources, support)?;
    // Devices of a privileged container may come later.
    if !spec.security.as_ref().is_some_and(|security| security.privileged) {
        limits(resources).limits().map_err(runtime_error)?;
    }
    Ok(warnings)
}

/// Takes out of `resources` what the kernel lacks.
pub fn discard(resources: &mut Resources, support: &Support) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    if resources
        .memory_swappiness
        .is_some_and(|value| !(0..=100).contains(&value))
    {
        return Err(EngineError::invalid(format!(
            "Invalid value: {}, valid memory swappiness range is 0-100",
            resources.memory_swappiness.unwrap_or_default()
        )));
    }
    let mut lacks = |what: &str, discarded: &str| {
        warnings.push(format!(
            "Your kernel does not support {what} or the cgroup is not mounted. {discarded} discarded."
        ));
    };
    if resources.blkio_weight != 0 && !support.blkio_weight {
        lacks("Block I/O weight", "Weight");
        resources.blkio_weight = 0;
    }
    if !resources.blkio_weight_devices.is_empty() && !support.blkio_weight_device {
        lacks("Block I/O weight_device", "Weight-device");
        resources.blkio_weight_devices.clear();
    }
    for (limits, what) in [
        (&mut resources.blkio_read_bps, "BPS Block I/O read limit"),
        (&mut resources.blkio_write_bps, "BPS Block I/O write limit"),
        (&mut resources.blkio_read_iops, "IOPS Block read limit"),
        (&mut resources.blkio_write_iops, "IOPS Block write limit"),
    ] {
        if !limits.is_empty() && !support.blkio_throttle {
            lacks(what, what);
            limits.clear();
        }
    }
    if resources.memory_swappiness.is_some() && !support.memory_swappiness {
        lacks("memory swappiness capabilities", "Memory swappiness");
        resources.memory_swappiness = None;
    }
    if resources.memory != 0 && !support.swap_limit && resources.memory_swap > 0 {
        lacks(
            "swap limit capabilities",
            "Memory limited without swap; the limit of swap is",
        );
    }
    if resources.oom_kill_disable && !support.oom_kill_disable {
        warnings.push("Your kernel does not support OomKillDisable. OomKillDisable discarded.".into());
        resources.oom_kill_disable = false;
    }
    if resources.oom_kill_disable && resources.memory == 0 {
        let text = "OOM killer is disabled for the container, but no memory limit is set, this can result in the system \
                    running out of resources.";
        warnings.push(text.into());
    }
    Ok(warnings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::BlkioDevice;

    #[test]
    fn what_the_kernel_lacks_is_discarded_and_told() {
        let none = Support {
            blkio_weight: false,
            blkio_weight_device: false,
            blkio_throttle: false,
            oom_kill_disable: false,
            memory_swappiness: false,
            swap_limit: false,
        };
        let device = || {
            vec![BlkioDevice {
                path: "/dev/null".into(),
                value: 200,
            }]
        };
        let mut asked = Resources {
            blkio_weight: 300,
            blkio_weight_devices: device(),
            blkio_write_iops: device(),
            memory: 64 << 20,
            ..Resources::default()
        };
        let warnings = discard(&mut asked, &none).unwrap();
        let lacks = |what: &str| format!("Your kernel does not support {what} discarded.");
        assert_eq!(
            warnings,
            [
                lacks("Block I/O weight or the cgroup is not mounted. Weight"),
                lacks("Block I/O weight_device or the cgroup is not mounted. Weight-device"),
                lacks("IOPS Block write limit or the cgroup is not mounted. IOPS Block write limit"),
            ]
        );
        let left = Resources {
            memory: 64 << 20,
            ..Resources::default()
        };
        assert_eq!(asked, left);
    }
}
