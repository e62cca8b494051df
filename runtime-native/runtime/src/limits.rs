//! Changes the limits of a container that runs.

use std::path::PathBuf;

use libcgroups::common::{CgroupConfig, CgroupManager, ControllerOpt, create_cgroup_manager};

use crate::RuntimeError;
use crate::libcontainer_format::chain;
use crate::spec::ResourcesInput;

/// Sets the limits of `input` on the cgroup with this path; one that is 0 or empty stays as it is.
pub fn update(cgroup: &str, id: &str, input: &ResourcesInput) -> Result<(), RuntimeError> {
    let failed = |err: &dyn std::error::Error| RuntimeError::Failed(chain(err));
    let mut resources = input.limits()?;
    resources.set_devices(None);
    let manager = create_cgroup_manager(CgroupConfig {
        cgroup_path: PathBuf::from(cgroup),
        systemd_cgroup: false,
        container_name: id.to_owned(),
    })
    .map_err(|err| failed(&err))?;
    let options = ControllerOpt {
        resources: &resources,
        disable_oom_killer: false,
        oom_score_adj: None,
        freezer_state: None,
    };
    manager.apply(&options).map_err(|err| failed(&err))
}
