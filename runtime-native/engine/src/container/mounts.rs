//! What is mounted into a container: resolved once at its creation, made ready at each start.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

use creel_runtime::spec::MountInput;

use super::propagation;
use super::subpaths::{self, Subpaths};
use crate::error::{EngineError, ErrorCode, Result};
use crate::ids;
use crate::proto::{ContainerSpec, ImageConfig, Mount};
use crate::volume::{ANONYMOUS, Volumes};

/// The mounts of a container with sources on the host, and the volumes that were made for it alone.
#[derive(Default)]
pub struct Resolved {
    pub mounts: Vec<Mount>,
    pub anonymous: Vec<String>,
}

/// Makes those volumes of a container's mounts that do not exist, and adds their names to `made`, also when it fails.
pub fn make_volumes(mounts: &[Mount], volumes: &Volumes, made: &mut Vec<String>) -> Result<()> {
    for mount in mounts.iter().filter(|mount| mount.r#type == "volume") {
        if volumes.exists(&mount.source) {
            continue;
        }
        let labels: BTreeMap<_, _> = mount.volume_labels.clone().into_iter().collect();
        let options: BTreeMap<_, _> = mount.volume_options.clone().into_iter().collect();
        volumes.create(&mount.source, labels, options)?;
        made.push(mount.source.clone());
    }
    Ok(())
}

/// Checks and completes the mounts of `spec`, with the volumes that the image wants. No volume is made yet.
pub fn resolve(spec: &ContainerSpec, image: &ImageConfig) -> Result<Resolved> {
    let mut resolved = Resolved::default();
    for mount in &spec.mounts {
        let target = clean_target(&mount.target)?;
        if resolved.mounts.iter().any(|m| m.target == target) {
            return Err(EngineError::invalid(format!("Duplicate mount point: {target}")));
        }
        let mut mount = Mount {
            target,
            ..mount.clone()
        };
        match mount.r#type.as_str() {
            "bind" => resolve_bind(&mut mount)?,
            "volume" => resolve_volume(&mut mount, &mut resolved)?,
            "tmpfs" => {}
            other => {
                let text = format!("invalid mount config for type {other:?}: mount type unknown");
                return Err(EngineError::invalid(text));
            }
        }
        resolved.mounts.push(mount);
    }
    for target in &image.volumes {
        let target = clean_target(target)?;
        if resolved.mounts.iter().any(|m| m.target == target) {
            continue;
        }
        let mut mount = Mount {
            r#type: "volume".into(),
            target,
            ..Mount::default()
        };
        resolve_volume(&mut mount, &mut resolved)?;
        resolved.mounts.push(mount);
    }
    Ok(resolved)
}

fn clean_target(target: &str) -> Result<String> {
    if !target.starts_with('/') {
        let text = format!("invalid mount path: '{target}' mount path must be absolute");
        return Err(EngineError::invalid(text));
    }
    let mut clean = PathBuf::from("/");
    for component in Path::new(target).components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => drop(clean.pop()),
            _ => {}
        }
    }
    if clean == Path::new("/") {
        let text = format!("invalid mount path: '{target}': destination can't be '/'");
        return Err(EngineError::invalid(text));
    }
    Ok(clean.to_string_lossy().into_owned())
}

fn resolve_bind(mount: &mut Mount) -> Result<()> {
    let prefix = "invalid mount config for type \"bind\"";
    if !mount.source.starts_with('/') {
        let text = format!(
            "{prefix}: invalid mount path: '{}' mount path must be absolute",
            mount.source
        );
        return Err(EngineError::invalid(text));
    }
    if !Path::new(&mount.source).exists() {
        if !mount.create_source {
            let text = format!("{prefix}: bind source path does not exist: {}", mount.source);
            return Err(EngineError::invalid(text));
        }
        fs::create_dir_all(&mount.source)
            .map_err(|e| EngineError::io(format_args!("create the bind source {}", mount.source), e))?;
    }
    Ok(())
}

fn resolve_volume(mount: &mut Mount, resolved: &mut Resolved) -> Result<()> {
    if !subpaths::is_local(&mount.subpath) {
        let text =
            "invalid mount config for type \"volume\": subpath must be a relative path within the volume";
        return Err(EngineError::invalid(text));
    }
    if mount.source.is_empty() {
        mount.source = ids::new_id();
        mount.volume_labels.insert(ANONYMOUS.into(), String::new());
        resolved.anonymous.push(mount.source.clone());
    }
    Ok(())
}

/// Where a mount's content is on the host, at this moment.
pub fn source_path(mount: &Mount, volumes: &Volumes) -> Result<PathBuf> {
    match mount.r#type.as_str() {
        "volume" => {
            if mount.subpath.is_empty() {
                return Ok(volumes.inspect(&mount.source)?.mountpoint);
            }
            let found = subpaths::find(mount, volumes)?;
            let fd = std::os::fd::AsRawFd::as_raw_fd(&found);
            fs::read_link(format!("/proc/self/fd/{fd}"))
                .map_err(|e| EngineError::io(format_args!("look at {}", mount.subpath), e))
        }
        _ => Ok(PathBuf::from(&mount.source)),
    }
}

/// The mounts in the runtime's form, parents before children.
pub fn inputs(mounts: &[Mount], volumes: &Volumes, held: &Subpaths) -> Result<Vec<MountInput>> {
    let mut inputs = Vec::with_capacity(mounts.len());
    for mount in mounts {
        if mount.r#type == "tmpfs" {
            let mode = if mount.read_only { "ro" } else { "rw" };
            let mut options: Vec<String> = ["nosuid", "nodev", "noexec", mode].map(str::to_owned).to_vec();
            options.extend(mount.tmpfs_options.iter().cloned());
            if mount.tmpfs_size > 0 {
                options.push(format!("size={}", mount.tmpfs_size));
            }
            if mount.tmpfs_mode != 0 {
                options.push(format!("mode={:o}", mount.tmpfs_mode));
            }
            inputs.push(MountInput {
                destination: (&mount.target).into(),
                kind: "tmpfs".into(),
                source: "tmpfs".into(),
                options,
                shown_inside: false,
            });
            continue;
        }
        let propagation = match mount.propagation.as_str() {
            "" => "rprivate",
            known @ ("private" | "rprivate" | "slave" | "rslave" | "shared" | "rshared") => known,
            other => return Err(EngineError::invalid(format!("invalid propagation mode: {other}"))),
        };
        let source = match held.source(&mount.target) {
            Some(source) => source,
            None => source_path(mount, volumes)?,
        };
        if !source.exists() {
            let text = format!(
                "invalid mount config for type \"{}\": bind source path does not exist: {}",
                mount.r#type,
                source.display()
            );
            return Err(EngineError::new(ErrorCode::InvalidParameter, text));
        }
        propagation::check(propagation, &source)?;
        let bind = if mount.non_recursive { "bind" } else { "rbind" };
        let mut options = vec![bind.to_owned(), propagation.to_owned()];
        // What is read-only on the host stays so unasked: "rw" would undo it.
        match (mount.read_only, mount.read_only_non_recursive) {
            (false, _) => {}
            (true, true) => options.push("ro".into()),
            (true, false) => options.push("rro".into()),
        }
        inputs.push(MountInput {
            destination: (&mount.target).into(),
            kind: "bind".into(),
            source,
            options,
            // A folder of the host is the host's.
            shown_inside: mount.r#type == "volume",
        });
    }
    inputs.sort_by_key(|m| m.destination.components().count());
    Ok(inputs)
}

/// Fills empty volumes with what the image has at their places, as Docker does.
pub fn copy_up(mounts: &[Mount], rootfs: &Path, volumes: &Volumes) -> Result<()> {
    for mount in mounts.iter().filter(|m| wants_copy(m)) {
        let failed = |e| {
            EngineError::io(
                format_args!("copy the image's {} into its volume", mount.target),
                e,
            )
        };
        let root = fs::File::open(rootfs).map_err(failed)?;
        let inside = match creel_runtime::rootfs::open_in_root(
            &root,
            Path::new(&mount.target),
            libc::O_PATH | libc::O_DIRECTORY,
        ) {
            Ok(directory) => directory,
            // The image has no such folder: there is nothing to copy.
            Err(_) => continue,
        };
        let fd = std::os::fd::AsRawFd::as_raw_fd(&inside);
        let source = fs::read_link(format!("/proc/self/fd/{fd}")).map_err(failed)?;
        volumes.fill(&mount.source, &source).map_err(|e| {
            e.context(format_args!(
                "failed to copy the image's {} into its volume",
                mount.target
            ))
        })?;
    }
    Ok(())
}

/// Whether a mount is a volume that may have to be filled from the image.
pub fn wants_copy(mount: &Mount) -> bool {
    mount.r#type == "volume" && !mount.no_copy && mount.subpath.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_absolute_and_clean() {
        assert_eq!(clean_target("/a/./b//c/../d").unwrap(), "/a/b/d");
        for bad in ["", "a", "/", "/..", "/a/.."] {
            assert!(clean_target(bad).is_err(), "{bad:?}");
        }
    }
}
