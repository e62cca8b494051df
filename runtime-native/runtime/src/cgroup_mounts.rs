use std::fs;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{Mount, MountBuilder, Spec};

use crate::RuntimeError;
use crate::cgroup::{NAMED, mounted};

const CONTROLLERS: [&str; 14] = [
    "cpu",
    "cpuacct",
    "cpuset",
    "devices",
    "hugetlb",
    "memory",
    "pids",
    "perf_event",
    "blkio",
    "net_prio",
    "net_cls",
    "freezer",
    "rdma",
    "misc",
];

/// libcontainer mounts v1 hierarchies writable even where the spec wants them read-only, and a container could raise its
/// own limits. So a cgroup mount is written out as what it means: a tmpfs, and on it the container's cgroup of each
/// hierarchy.
pub(crate) fn write_out(spec: &mut Spec, cgroup: &str) -> Result<(), RuntimeError> {
    let hierarchies = hierarchies(mounted());
    let Some(mounts) = spec.mounts_mut() else {
        return Ok(());
    };
    let Some(at) = mounts
        .iter()
        .position(|mount| mount.typ().as_deref() == Some("cgroup"))
        .filter(|_| !hierarchies.is_empty())
    else {
        return Ok(());
    };
    let destination = mounts[at].destination().clone();
    let mut asked = mounts[at].options().iter().flatten();
    let mode = if asked.any(|option| option == "ro") {
        "ro"
    } else {
        "rw"
    };
    let mut written = vec![mount(
        &destination,
        "tmpfs",
        Path::new("tmpfs"),
        &["nosuid", "noexec", "nodev", "mode=755"],
    )?];
    for (source, names) in hierarchies {
        let source = source.join(cgroup.trim_start_matches('/'));
        // A mount's source must exist before libcontainer joins the cgroup.
        fs::create_dir_all(&source).map_err(|err| RuntimeError::io("create cgroup", &source, err))?;
        for name in names {
            let options = ["bind", mode, "nosuid", "noexec", "nodev", "relatime"];
            written.push(mount(&destination.join(name), "bind", &source, &options)?);
        }
    }
    mounts.splice(at..=at, written);
    Ok(())
}

/// The mount point of each v1 hierarchy a container joins, and the names it is known by.
fn hierarchies(mountinfo: &str) -> Vec<(PathBuf, Vec<String>)> {
    let mut found: Vec<(PathBuf, Vec<String>)> = Vec::new();
    for line in mountinfo.lines() {
        let Some((head, tail)) = line.split_once(" - cgroup ") else {
            continue;
        };
        let Some(mount_point) = head.split(' ').nth(4).map(PathBuf::from) else {
            continue;
        };
        let Some(base) = mount_point
            .file_name()
            .and_then(|name| name.to_str())
            .map(str::to_owned)
        else {
            continue;
        };
        let options = tail.split(' ').nth(1).unwrap_or_default();
        // A hierarchy without controllers has a name: systemd's own is one.
        let joined: Vec<&str> = options
            .split(',')
            .filter(|option| CONTROLLERS.contains(option) || option.starts_with(NAMED))
            .collect();
        if joined.is_empty() || found.iter().any(|(known, _)| *known == mount_point) {
            continue;
        }
        let mut names = vec![base.clone()];
        if joined.len() > 1 {
            names.extend(joined.into_iter().filter(|name| *name != base).map(str::to_owned));
        }
        found.push((mount_point, names));
    }
    found
}

fn mount(destination: &Path, kind: &str, source: &Path, options: &[&str]) -> Result<Mount, RuntimeError> {
    let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
    let mount = MountBuilder::default()
        .destination(destination)
        .typ(kind)
        .source(source)
        .options(options)
        .build();
    mount.map_err(|err| RuntimeError::Invalid(err.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controllers_that_share_a_hierarchy_keep_their_names() {
        let found = hierarchies(
            "31 30 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
             32 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
             33 30 0:29 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n\
             34 30 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
        );
        let names: Vec<_> = found
            .iter()
            .map(|(path, names)| (path.to_str().unwrap(), names.join(" ")))
            .collect();
        assert_eq!(
            names,
            [
                ("/sys/fs/cgroup/memory", "memory".to_owned()),
                ("/sys/fs/cgroup/cpu,cpuacct", "cpu,cpuacct cpu cpuacct".to_owned()),
                ("/sys/fs/cgroup/systemd", "systemd".to_owned()),
            ]
        );
    }
}
