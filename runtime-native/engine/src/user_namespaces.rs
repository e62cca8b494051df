//! `--userns-remap`: the ids that containers have outside of their user namespaces.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use creel_runtime::user_namespace::{self, IdMap, IdRange, UserNamespace, as_root_of};
use rustix::fs::CWD;
use rustix::mount::MoveMountFlags;

use crate::error::{EngineError, ErrorCode, Result};

/// Whose subordinate ids `--userns-remap default` takes.
const DEFAULT: &str = "dockremap";

/// The users of containers, for an engine that was started with `--userns-remap`.
pub struct Remap {
    pub ids: IdMap,
    /// A user namespace with them, to show files in.
    shown: OwnedFd,
}

impl Remap {
    /// Tries what is needed of the kernel.
    pub fn open(ids: IdMap, data_root: &Path) -> Result<Self> {
        let failed = |e| {
            let text = format!(
                "--userns-remap: the kernel gives no user namespace: {e} (see /proc/sys/user/max_user_namespaces)"
            );
            EngineError::new(ErrorCode::Unsupported, text)
        };
        let shown = UserNamespace::new(&ids).map_err(failed)?.users;
        user_namespace::show(data_root, &shown).map_err(|e| {
            let text = format!(
                "--userns-remap: the file system of {} cannot show its files with other owners: {e}; put the data root on \
                 ext4, xfs or btrfs (Linux 5.19 or newer)",
                data_root.display()
            );
            EngineError::new(ErrorCode::Unsupported, text)
        })?;
        Ok(Self { ids, shown })
    }

    /// Mounts a container's root file system with the owners that its processes have; `place` is used where the driver
    /// makes no mount of its own.
    pub fn mount(
        &self,
        storage: &dyn creel_storage::StorageDriver,
        id: &str,
        place: &Path,
    ) -> Result<PathBuf> {
        let mounted = as_root_of(Some(&self.ids), || {
            Ok(storage.mount_shown(id, &|path| user_namespace::show(path, &self.shown)))
        });
        let failed = |e| EngineError::io(format_args!("mount the root of {id}"), e);
        if let Some(path) = mounted.map_err(failed)?.map_err(crate::volume::storage_error)? {
            return Ok(path);
        }
        let plain = storage.mount(id).map_err(crate::volume::storage_error)?;
        fs::create_dir_all(place).map_err(failed)?;
        let copy = user_namespace::show(&plain, &self.shown).map_err(failed)?;
        rustix::mount::move_mount(&copy, "", CWD, place, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
            .map_err(|e| failed(e.into()))?;
        Ok(place.to_owned())
    }
}

/// The ids of `--userns-remap USER[:GROUP]`, names or numbers, or `default`. The error is a text for the person.
pub fn parse(text: &str) -> std::result::Result<IdMap, String> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let (passwd, group) = (read("/etc/passwd"), read("/etc/group"));
    resolve(text, &passwd, &group, &read("/etc/subuid"), &read("/etc/subgid"))
}

fn resolve(
    text: &str,
    passwd: &str,
    group: &str,
    subuid: &str,
    subgid: &str,
) -> std::result::Result<IdMap, String> {
    let (user, own_group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None if text == "default" => (DEFAULT, None),
        None => (text, None),
    };
    if user.is_empty() || own_group == Some("") {
        return Err(format!(
            "invalid --userns-remap {text:?}: use USER, USER:GROUP or default"
        ));
    }
    // the group is the one of the user's name
    let of_user = entry(user, passwd).map_or(user, |fields| fields[0]);
    Ok(IdMap {
        users: ranges(user, passwd, subuid, "/etc/subuid")?,
        groups: ranges(own_group.unwrap_or(of_user), group, subgid, "/etc/subgid")?,
    })
}

/// The fields of the line of a name or number in /etc/passwd or /etc/group.
fn entry<'a>(name: &str, names: &'a str) -> Option<Vec<&'a str>> {
    names
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.len() > 2 && (fields[0] == name || fields[2] == name))
}

/// The ids that `file` gives a name or its number, one after the other from 0 on.
fn ranges(name: &str, names: &str, file: &str, path: &str) -> std::result::Result<Vec<IdRange>, String> {
    let known = entry(name, names).map_or_else(|| vec![name], |fields| vec![fields[0], fields[2]]);
    let mut found = Vec::new();
    let mut inside = 0u32;
    for line in file.lines() {
        let fields: Vec<_> = line.trim().split(':').collect();
        let [owner, outside, count] = fields[..] else {
            continue;
        };
        if !known.contains(&owner) {
            continue;
        }
        let number = |text: &str| {
            text.parse::<u32>()
                .map_err(|_| format!("{path}: {line:?} has no valid numbers"))
        };
        let (outside, count) = (number(outside)?, number(count)?);
        found.push(IdRange {
            inside,
            outside,
            count,
        });
        inside = inside
            .checked_add(count)
            .ok_or_else(|| format!("{path}: {name} has more ids than there are"))?;
    }
    if inside == 0 {
        let flag = if path.ends_with("subuid") {
            "--add-subuids"
        } else {
            "--add-subgids"
        };
        return Err(format!(
            "--userns-remap: {path} gives {name} no ids; add a line, for example {name}:100000:65536 (or: usermod {flag} \
             100000-165535 {name})"
        ));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0::/:/bin/sh\nremap:x:999:998::/:/bin/false\n";
    const GROUP: &str = "root:x:0:\nremap:x:998:\nother:x:50:\n";

    #[test]
    fn ids_are_those_of_a_user_and_a_group() {
        let subuid = "x:1:2\nremap:100000:1000\n999:300000:65536\ndockremap:7:8\n";
        let subgid = "remap:200000:65536\nother:400000:10\ndockremap:7:8\n";
        let map = |text| resolve(text, PASSWD, GROUP, subuid, subgid);
        let range = |inside, outside, count| IdRange {
            inside,
            outside,
            count,
        };
        let users = vec![range(0, 100_000, 1000), range(1000, 300_000, 65536)];
        assert_eq!(map("remap").unwrap().users, users);
        assert_eq!(map("999").unwrap(), map("remap").unwrap());
        assert_eq!(map("remap:other").unwrap().groups, [range(0, 400_000, 10)]);
        assert_eq!(map("default").unwrap().users, [range(0, 7, 8)]);
        for (text, what) in [
            ("nobody", "/etc/subuid gives nobody no ids"),
            ("remap:none", "/etc/subgid gives none no ids"),
            ("remap:", "use USER, USER:GROUP or default"),
        ] {
            assert!(map(text).unwrap_err().contains(what), "{text}");
        }
    }
}
