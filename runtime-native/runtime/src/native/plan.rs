//! What a spec asks for, in the kernel's terms.

use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxNamespaceType, LinuxResources, Mount, Process, Spec};

use super::sys;
use crate::cgroup::unified_alone;
use crate::user_namespace::IdMap;

/// A mount to make.
#[derive(Debug)]
pub(super) struct MountPlan {
    pub(super) destination: PathBuf,
    pub(super) what: What,
    pub(super) set: u64,
    pub(super) clear: u64,
    /// Like `set`, but with the mounts below.
    pub(super) set_below: u64,
    pub(super) propagation: u64,
    pub(super) propagation_below: bool,
    /// The owners of its files are shown as the container's user namespace has them.
    pub(super) shown_inside: bool,
}

/// The user namespace of a container.
#[derive(Debug)]
pub(super) struct Users<'a> {
    pub(super) path: &'a Path,
    pub(super) ids: IdMap,
}

#[derive(Debug)]
pub(super) enum What {
    Bind {
        source: PathBuf,
        recursive: bool,
    },
    Filesystem {
        kind: String,
        source: PathBuf,
        options: Vec<String>,
        /// It begins with what the image has there.
        copied_up: bool,
    },
}

/// A container that is made here; what is not known here is libcontainer's.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub(super) spec: &'a Spec,
    pub(super) process: &'a Process,
    pub(super) rootfs: &'a Path,
    pub(super) mounts: Vec<MountPlan>,
    /// Flags of clone for the namespaces that are new.
    pub(super) new: i32,
    /// Namespaces that exist: flag of clone and path.
    pub(super) joined: Vec<(i32, &'a Path)>,
    /// Whether /dev is made here, with the usual devices; one that was bound there stays as it is.
    pub(super) own_dev: bool,
    /// None: the host's users.
    pub(super) users: Option<Users<'a>>,
    pub(super) resources: Option<&'a LinuxResources>,
}

impl<'a> Plan<'a> {
    /// Reads a spec; none where it asks for something that is not known here.
    pub(super) fn of(spec: &'a Spec) -> Option<Self> {
        let linux = spec.linux().as_ref()?;
        let process = spec.process().as_ref()?;
        let foreign = linux.time_offsets().as_ref().is_some_and(|o| !o.is_empty())
            || linux.net_devices().as_ref().is_some_and(|d| !d.is_empty())
            || linux.intel_rdt().is_some()
            || linux.personality().is_some()
            || linux.memory_policy().is_some()
            || linux.mount_label().is_some()
            || process.apparmor_profile().is_some()
            || process.selinux_label().is_some()
            || process.scheduler().is_some()
            || process.io_priority().is_some()
            || process.exec_cpu_affinity().is_some();
        let propagation = linux.rootfs_propagation().as_deref();
        if foreign
            || !matches!(
                propagation,
                None | Some("slave" | "rslave" | "private" | "rprivate")
            )
        {
            return None;
        }
        let (mut new, mut joined, mut users) = (0, Vec::new(), None);
        let ids = IdMap::of(spec);
        for namespace in linux.namespaces().iter().flatten() {
            let flag = match namespace.typ() {
                LinuxNamespaceType::Mount => libc::CLONE_NEWNS,
                LinuxNamespaceType::Network => libc::CLONE_NEWNET,
                LinuxNamespaceType::Pid => libc::CLONE_NEWPID,
                LinuxNamespaceType::Ipc => libc::CLONE_NEWIPC,
                LinuxNamespaceType::Uts => libc::CLONE_NEWUTS,
                LinuxNamespaceType::Cgroup => libc::CLONE_NEWCGROUP,
                LinuxNamespaceType::User => {
                    users = Some(Users {
                        path: namespace.path().as_deref()?,
                        ids: ids.clone()?,
                    });
                    continue;
                }
                _ => return None,
            };
            match namespace.path() {
                None => new |= flag,
                Some(path) => joined.push((flag, path.as_path())),
            }
        }
        // The network of a user namespace has to belong to it, as one made here would not.
        let strange = users.is_some() != ids.is_some() || users.is_some() && new & libc::CLONE_NEWNET != 0;
        if new & libc::CLONE_NEWNS == 0 || strange {
            return None;
        }
        // In a cgroup namespace of its own, a container sees no more of the v2 hierarchy than its own part.
        let own_cgroups = unified_alone() && new & libc::CLONE_NEWCGROUP != 0;
        let mounts = spec.mounts().iter().flatten();
        let mounts: Vec<MountPlan> = mounts
            .map(|wanted| mount(wanted, own_cgroups, ids.as_ref()))
            .collect::<Option<_>>()?;
        let own = |destination: &str, wanted: &str| {
            mounts.iter().any(|mount| {
                mount.destination == Path::new(destination)
                    && matches!(&mount.what, What::Filesystem { kind, .. } if kind == wanted)
            })
        };
        let own_dev = own("/dev", "tmpfs");
        let bound_dev = mounts
            .iter()
            .any(|mount| mount.destination == Path::new("/dev") && matches!(mount.what, What::Bind { .. }));
        if !own("/proc", "proc") || !(own_dev || bound_dev) {
            return None;
        }
        Some(Self {
            spec,
            process,
            rootfs: spec.root().as_ref()?.path(),
            mounts,
            new,
            joined,
            own_dev,
            users,
            resources: linux.resources().as_ref(),
        })
    }
}

fn mount(mount: &Mount, own_cgroups: bool, ids: Option<&IdMap>) -> Option<MountPlan> {
    let kind = match mount.typ().as_deref().unwrap_or("bind") {
        "cgroup" | "cgroup2" if own_cgroups => "cgroup2",
        kind if kind.starts_with("cgroup") => return None,
        kind => kind,
    };
    let shown_inside = mount.uid_mappings().is_some() || mount.gid_mappings().is_some();
    if shown_inside && ids.is_none() {
        return None;
    }
    let mut plan = MountPlan {
        destination: mount.destination().clone(),
        what: What::Filesystem {
            kind: kind.to_owned(),
            source: PathBuf::new(),
            options: Vec::new(),
            copied_up: false,
        },
        set: 0,
        clear: 0,
        set_below: 0,
        propagation: 0,
        propagation_below: false,
        shown_inside,
    };
    let (mut bind, mut recursive, mut copied_up, mut data) = (kind == "bind", false, false, Vec::new());
    for option in mount.options().iter().flatten() {
        let on = |plan: &mut MountPlan, flag: u64| {
            plan.set |= flag;
            plan.clear &= !flag;
        };
        let off = |plan: &mut MountPlan, flag: u64| {
            plan.set &= !flag;
            plan.clear |= flag;
        };
        let time = |plan: &mut MountPlan, kind: u64| {
            plan.set = plan.set & !sys::ATTR_ATIME | kind;
            plan.clear |= sys::ATTR_ATIME;
        };
        match option.as_str() {
            "bind" => bind = true,
            "rbind" => (bind, recursive) = (true, true),
            "defaults" => {}
            "tmpcopyup" if kind == "tmpfs" => copied_up = true,
            "ro" => on(&mut plan, sys::ATTR_RDONLY),
            "rro" => plan.set_below |= sys::ATTR_RDONLY,
            "rw" => off(&mut plan, sys::ATTR_RDONLY),
            "nosuid" => on(&mut plan, sys::ATTR_NOSUID),
            "suid" => off(&mut plan, sys::ATTR_NOSUID),
            "nodev" => on(&mut plan, sys::ATTR_NODEV),
            "dev" => off(&mut plan, sys::ATTR_NODEV),
            "noexec" => on(&mut plan, sys::ATTR_NOEXEC),
            "exec" => off(&mut plan, sys::ATTR_NOEXEC),
            "nodiratime" => on(&mut plan, sys::ATTR_NODIRATIME),
            "diratime" => off(&mut plan, sys::ATTR_NODIRATIME),
            "noatime" => time(&mut plan, sys::ATTR_NOATIME),
            "strictatime" => time(&mut plan, sys::ATTR_STRICTATIME),
            "relatime" | "atime" => time(&mut plan, 0),
            "private" | "rprivate" => plan.propagation = libc::MS_PRIVATE,
            "slave" | "rslave" => plan.propagation = libc::MS_SLAVE,
            "shared" | "rshared" => plan.propagation = libc::MS_SHARED,
            "unbindable" | "runbindable" => plan.propagation = libc::MS_UNBINDABLE,
            other if is_data(kind, other) => data.push(outside(other, ids)),
            _ => return None,
        }
        if matches!(option.as_str(), "rprivate" | "rslave" | "rshared" | "runbindable") {
            plan.propagation_below = true;
        }
    }
    if plan.set_below != 0 && !bind {
        return None;
    }
    if bind {
        if !data.is_empty() {
            return None;
        }
        plan.what = What::Bind {
            source: mount.source().clone()?,
            recursive,
        };
    } else {
        if plan.set & sys::ATTR_RDONLY != 0 {
            data.push("ro".into());
        }
        plan.what = What::Filesystem {
            kind: kind.to_owned(),
            source: mount.source().clone().unwrap_or_else(|| kind.into()),
            options: data,
            copied_up,
        };
    }
    Some(plan)
}

/// An owner among the options of a file system is meant as it is in the container.
fn outside(option: &str, ids: Option<&IdMap>) -> String {
    match (option.split_once('='), ids) {
        (Some((name @ ("uid" | "gid"), value)), Some(ids)) => {
            let Ok(id) = value.parse() else {
                return option.to_owned();
            };
            let (uid, gid) = ids.outside((id, id));
            format!("{name}={}", if name == "uid" { uid } else { gid })
        }
        _ => option.to_owned(),
    }
}

fn is_data(kind: &str, option: &str) -> bool {
    let name = option.split('=').next().unwrap_or_default();
    match kind {
        "tmpfs" => matches!(
            name,
            "size" | "mode" | "uid" | "gid" | "nr_inodes" | "nr_blocks" | "inode64" | "inode32" | "huge"
        ),
        "devpts" => matches!(name, "newinstance" | "ptmxmode" | "mode" | "uid" | "gid" | "max"),
        "proc" => matches!(name, "hidepid" | "gid" | "subset"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{MountInput, SpecInput};

    fn spec(change: impl FnOnce(&mut SpecInput)) -> Spec {
        let mut input = SpecInput {
            rootfs: "/nowhere".into(),
            cgroup_path: "/creel/test".into(),
            ..SpecInput::default()
        };
        input.process.args = vec!["true".into()];
        // What is left of it is written out as other mounts before a plan is made.
        input.mounts = vec![mounted("/sys/fs/cgroup", "tmpfs", &["ro"])];
        change(&mut input);
        input.build().unwrap()
    }

    fn mounted(destination: &str, kind: &str, options: &[&str]) -> MountInput {
        MountInput {
            destination: destination.into(),
            kind: kind.into(),
            source: "/source".into(),
            options: options.iter().map(|option| (*option).to_owned()).collect(),
            shown_inside: false,
        }
    }

    fn planned(destination: &'static str, kind: &'static str, options: &'static [&str]) -> Option<MountPlan> {
        let spec = spec(|input| input.mounts.push(mounted(destination, kind, options)));
        let mounts = Plan::of(&spec)?.mounts;
        mounts
            .into_iter()
            .find(|mount| mount.destination == Path::new(destination))
    }

    #[test]
    fn usual_containers_are_made_here_and_others_are_not() {
        assert!(Plan::of(&spec(|_| ())).is_some());
        assert!(Plan::of(&spec(|input| input.process.terminal = true)).is_some());
        assert!(planned("/data", "bind", &["rbind", "rro"]).is_some());
        assert!(Plan::of(&spec(|input| input.rootfs_propagation = "shared".into())).is_none());
        assert!(Plan::of(&spec(|input| input.mounts.clear())).is_none());
        for (destination, kind, options) in [
            ("/data", "bind", &["idmap"] as &[&str]),
            ("/data", "tmpfs", &["rro"]),
            ("/data", "tmpfs", &["remount"]),
            ("/data", "nfs", &["addr=192.0.2.1"]),
            ("/proc", "bind", &["ro"]),
        ] {
            assert!(
                planned(destination, kind, options).is_none(),
                "{destination} {options:?}"
            );
        }
    }

    #[test]
    fn the_last_of_two_contrary_options_holds() {
        let mount = planned(
            "/data",
            "bind",
            &["ro", "nosuid", "rw", "noatime", "relatime", "rprivate"],
        )
        .unwrap();
        assert_eq!(mount.set, sys::ATTR_NOSUID);
        assert_eq!(mount.clear, sys::ATTR_RDONLY | sys::ATTR_ATIME);
        assert_eq!(
            (mount.propagation, mount.propagation_below),
            (libc::MS_PRIVATE, true)
        );
        assert!(matches!(mount.what, What::Bind { recursive: true, .. }));
        let mount = planned("/data", "tmpfs", &["size=1m", "mode=700", "ro", "noexec"]).unwrap();
        assert_eq!(mount.set, sys::ATTR_RDONLY | sys::ATTR_NOEXEC);
        match mount.what {
            What::Filesystem { kind, options, .. } => {
                assert_eq!(
                    (kind.as_str(), options.join(",")),
                    ("tmpfs", "size=1m,mode=700,ro".into())
                );
            }
            other => panic!("{other:?}"),
        }
    }
}
