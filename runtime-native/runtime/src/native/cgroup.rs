//! The container's cgroup in every hierarchy.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use libcgroups::common::{CgroupConfig, CgroupManager, ControllerOpt, create_cgroup_manager};
use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType, LinuxResources};

use crate::cgroup::{Cgroup, give_controllers, unified_alone};
use crate::format::Bundle;
use crate::{RuntimeError, block_io, device_filter};

const CPUSET: [&str; 2] = ["cpuset.cpus", "cpuset.mems"];

/// A cgroup that waits for its first process.
pub(super) struct Prepared {
    /// One for each v1 hierarchy: a thread that writes 0 to it moves there.
    pub(super) tasks: Vec<File>,
    /// The cgroup of the v2 hierarchy, where there is one, alone or beside the others.
    pub(super) unified: Option<OwnedFd>,
}

/// Makes the cgroup and sets its limits. None where no hierarchy is mounted.
pub(super) fn prepare(
    bundle: &Bundle,
    resources: Option<&LinuxResources>,
) -> Result<Option<Prepared>, RuntimeError> {
    let cgroup = Cgroup::new(&bundle.cgroup);
    if cgroup.places().next().is_none() {
        return Ok(None);
    }
    let alone = unified_alone();
    let mut prepared = Prepared {
        tasks: Vec::new(),
        unified: None,
    };
    for (path, unified) in cgroup.places() {
        let failed = |err| RuntimeError::io("create cgroup", path, err);
        make(path).map_err(failed)?;
        if unified && alone {
            give_controllers(path);
        }
        if let Some(resources) = resources {
            limit(path, resources).map_err(|err| RuntimeError::io("limit cgroup", path, err))?;
        }
        if unified {
            let directory = File::open(path).map_err(failed)?;
            prepared.unified = Some(directory.into());
            continue;
        }
        let tasks = fs::OpenOptions::new().write(true).open(path.join("tasks"));
        prepared.tasks.push(tasks.map_err(failed)?);
    }
    if let Some(resources) = resources {
        apply_rest(bundle, resources)?;
        block_io::apply(&cgroup, resources)?;
        cgroup.forbid_swap(resources)?;
        device_filter::attach(&cgroup, resources)?;
    }
    Ok(Some(prepared))
}

/// The cgroup of a container that runs, for one more process.
pub(super) fn find(bundle: &Bundle) -> Result<Prepared, RuntimeError> {
    let mut found = Prepared {
        tasks: Vec::new(),
        unified: None,
    };
    let path = match &bundle.sub_cgroup {
        Some(below) => format!("{}/{below}", bundle.cgroup),
        None => bundle.cgroup.clone(),
    };
    for (path, unified) in Cgroup::new(&path).places() {
        let failed = |err| RuntimeError::io("open cgroup", path, err);
        if unified {
            let directory = File::open(path).map_err(failed)?;
            found.unified = Some(directory.into());
        } else {
            let tasks = fs::OpenOptions::new().write(true).open(path.join("tasks"));
            found.tasks.push(tasks.map_err(failed)?);
        }
    }
    Ok(found)
}

/// Makes a directory and those above it. One of the cpuset controller begins without processors and takes no process
/// before it has some.
fn make(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)?;
    // On v2 an empty set means that of the cgroup above.
    if path.join(CPUSET[0]).exists() && !path.join("cgroup.controllers").exists() {
        inherit(path)?;
    }
    Ok(())
}

fn inherit(path: &Path) -> io::Result<()> {
    for name in CPUSET {
        let file = path.join(name);
        if fs::read_to_string(&file)?.trim().is_empty() {
            let above = path.parent().ok_or(io::ErrorKind::NotFound)?;
            inherit(above)?;
            put(&file, fs::read_to_string(above.join(name))?.trim())?;
        }
    }
    Ok(())
}

fn limit(path: &Path, resources: &LinuxResources) -> io::Result<()> {
    if let Some(rules) = resources.devices()
        && path.join("devices.allow").exists()
    {
        for rule in rules {
            let file = if rule.allow() {
                "devices.allow"
            } else {
                "devices.deny"
            };
            put(&path.join(file), &device_rule(rule))?;
        }
    }
    let file: PathBuf = path.join("pids.max");
    if let Some(pids) = resources.pids()
        && file.exists()
    {
        let most = match pids.limit() {
            most if most > 0 => most.to_string(),
            _ => "max".to_owned(),
        };
        put(&file, &most)?;
    }
    Ok(())
}

fn device_rule(rule: &LinuxDeviceCgroup) -> String {
    let kind = match rule.typ() {
        Some(LinuxDeviceType::B) => 'b',
        Some(LinuxDeviceType::C | LinuxDeviceType::U) => 'c',
        _ => 'a',
    };
    let number = |number: Option<i64>| match number {
        Some(number) if number >= 0 => number.to_string(),
        _ => "*".to_owned(),
    };
    let access = rule.access().as_deref().unwrap_or("rwm");
    format!(
        "{kind} {}:{} {access}",
        number(rule.major()),
        number(rule.minor())
    )
}

/// Limits that are asked for seldom are libcgroups' to set: it knows the order in which the kernel takes them.
fn apply_rest(bundle: &Bundle, resources: &LinuxResources) -> Result<(), RuntimeError> {
    let mut rest = resources.clone();
    rest.set_devices(None);
    rest.set_pids(None);
    rest.set_block_io(None);
    if rest == empty() {
        return Ok(());
    }
    let failed = |err: &dyn std::error::Error| RuntimeError::Failed(crate::libcontainer_format::chain(err));
    let config = CgroupConfig {
        cgroup_path: PathBuf::from(&bundle.cgroup),
        systemd_cgroup: false,
        container_name: bundle.id.clone(),
    };
    let manager = create_cgroup_manager(config).map_err(|err| failed(&err))?;
    let options = ControllerOpt {
        resources: &rest,
        disable_oom_killer: rest
            .memory()
            .as_ref()
            .and_then(|memory| memory.disable_oom_killer())
            .unwrap_or(false),
        oom_score_adj: None,
        freezer_state: None,
    };
    manager.apply(&options).map_err(|err| failed(&err))
}

fn empty() -> LinuxResources {
    let mut none = LinuxResources::default();
    none.set_devices(None);
    none
}

fn put(file: &Path, text: &str) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).open(file)?;
    file.write_all(text.as_bytes())
}
