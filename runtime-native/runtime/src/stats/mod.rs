//! What a container uses, as its cgroup counts it.

mod unified;

use std::path::PathBuf;

use libcgroups::common::{CgroupConfig, CgroupManager, create_cgroup_manager};
pub use libcgroups::stats::{
    BlkioDeviceStat, BlkioStats, CpuStats, MemoryData, MemoryStats, PidStats, Stats,
};

use crate::cgroup::{Cgroup, unified_alone};
use crate::{Bundle, RuntimeError};

/// Reads the counters of a container's cgroup: times in nanoseconds, sizes in bytes. A controller that is not mounted
/// counts nothing.
pub fn read(bundle: &Bundle) -> Result<Stats, RuntimeError> {
    if unified_alone() {
        return unified::read(&Cgroup::new(&bundle.cgroup));
    }
    let failed = |err: &dyn std::error::Error| RuntimeError::Failed(crate::libcontainer_format::chain(err));
    let manager = create_cgroup_manager(CgroupConfig {
        cgroup_path: PathBuf::from(&bundle.cgroup),
        systemd_cgroup: false,
        container_name: bundle.id.clone(),
    })
    .map_err(|err| failed(&err))?;
    manager.stats().map_err(|err| failed(&err))
}
