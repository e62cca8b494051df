//! A bundle's `config.json`, read with care: what is wrong in it is said before anything is made.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use creel_runtime::cgroup::unified_alone;
use creel_runtime::check_hooks;
use creel_runtime::oci::{LinuxNamespaceType, LinuxResources, Spec};
use creel_runtime::spec::{OwnNamespaces, check_sysctl, usual_devices};

use serde_json::Value;

use crate::Outcome;
use crate::spec_process as process;
use crate::systemd::Unit;

const MAX_SHARES: u64 = 262_144;
const LIMIT: u64 = 16 << 20;

/// Whether an id can be one: letters, digits and `_+-.`, as runc has it.
pub fn check_id(id: &str) -> Outcome<()> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '+' | '-' | '.');
    if id.is_empty() || id.len() > 1024 || !id.chars().all(fits) || id.starts_with('.') {
        return Err(format!(
            "invalid container id {id:?}: letters, digits and _ + - . only, not beginning with a dot"
        ));
    }
    Ok(())
}

/// The spec of a bundle for a container with this id, and the unit of systemd that it is to be. Its root is an absolute
/// path by then, it names its cgroup, and it allows the usual devices.
pub fn read(directory: &Path, id: &str, by_systemd: bool) -> Outcome<(Spec, Option<Unit>)> {
    let path = directory.join("config.json");
    let failed = |reason: &str| format!("{}: {reason}", path.display());
    let size = fs::metadata(&path).map_err(|err| failed(&err.to_string()))?.len();
    if size > LIMIT {
        return Err(failed("it is larger than 16 MiB"));
    }
    let bytes = fs::read(&path).map_err(|err| failed(&err.to_string()))?;
    let mut spec = parse(&bytes).map_err(|reason| failed(&reason))?;
    if let Some(root) = spec.root_mut() {
        let absolute = directory.join(root.path());
        let absolute = fs::canonicalize(&absolute)
            .map_err(|err| format!("root filesystem {}: {err}", absolute.display()))?;
        if !absolute.is_dir() {
            return Err(format!(
                "root filesystem {} is not a directory",
                absolute.display()
            ));
        }
        root.set_path(absolute);
    }
    let unit = match by_systemd {
        true => Some(Unit::of(asked_cgroup(&spec)?, id)?),
        false => None,
    };
    let cgroup = match &unit {
        Some(unit) => unit.cgroup.clone(),
        None => cgroup(&spec, id)?,
    };
    if let Some(linux) = spec.linux_mut() {
        linux.set_cgroups_path(Some(cgroup.into()));
        let mut resources = linux.resources().clone().unwrap_or_default();
        let mut rules = resources.devices().clone().unwrap_or_default();
        // No container is without what is in every /dev.
        rules.extend(usual_devices().map_err(|err| err.to_string())?);
        resources.set_devices(Some(rules));
        linux.set_resources(Some(resources));
    }
    Ok((spec, unit))
}

/// A spec out of bytes that may be anything.
pub fn parse(bytes: &[u8]) -> Outcome<Spec> {
    let mut value: Value = serde_json::from_slice(bytes).map_err(|err| format!("invalid spec: {err}"))?;
    if let Some(process) = value.get_mut("process") {
        process::drop_unknown_capabilities(process);
        if let Some(process) = process.as_object_mut() {
            process
                .entry("user")
                .or_insert_with(|| serde_json::json!({ "uid": 0, "gid": 0 }));
        }
    }
    if let Some(namespaces) = value
        .pointer_mut("/linux/namespaces")
        .and_then(Value::as_array_mut)
    {
        namespaces.iter_mut().for_each(drop_empty_path);
    }
    let mut spec: Spec = serde_json::from_value(value).map_err(|err| format!("invalid spec: {err}"))?;
    check_version(spec.version())?;
    if spec.root().is_none() {
        return Err("invalid spec: root is missing".into());
    }
    let linux = spec.linux().as_ref().ok_or("invalid spec: linux is missing")?;
    let mut kinds = Vec::new();
    for namespace in linux.namespaces().iter().flatten() {
        if kinds.contains(&namespace.typ()) {
            return Err(format!(
                "invalid spec: two namespaces of the kind {}",
                namespace.typ()
            ));
        }
        kinds.push(namespace.typ());
        if namespace.path().as_ref().is_some_and(|path| !path.is_absolute()) {
            return Err(format!(
                "invalid spec: the path of the {} namespace is not absolute",
                namespace.typ()
            ));
        }
    }
    if !kinds.contains(&LinuxNamespaceType::Mount) {
        return Err(
            "invalid spec: a mount namespace is needed; without one its mounts would be the host's".into(),
        );
    }
    for mount in spec.mounts().iter().flatten() {
        if !mount.destination().is_absolute() {
            return Err(format!(
                "invalid spec: mount destination {} is not absolute",
                mount.destination().display()
            ));
        }
    }
    let named = |name: &Option<String>| name.as_ref().is_some_and(|name| !name.is_empty());
    if (named(spec.hostname()) || named(spec.domainname())) && !kinds.contains(&LinuxNamespaceType::Uts) {
        return Err("invalid spec: a host or domain name without a uts namespace of its own".into());
    }
    check_hooks(&spec).map_err(|err| format!("invalid spec: {err}"))?;
    check_sysctls(&spec)?;
    if let Some(resources) = linux.resources() {
        check_resources(resources)?;
    }
    let process = spec
        .process_mut()
        .as_mut()
        .ok_or("invalid spec: process is missing")?;
    process::check(process)?;
    if process.capabilities().is_none() {
        process.set_capabilities(Some(process::no_capabilities()));
    }
    Ok(spec)
}

/// As an empty path is written where none is meant.
fn drop_empty_path(namespace: &mut Value) {
    if let Some(namespace) = namespace.as_object_mut()
        && namespace.get("path").is_some_and(|path| path == "")
    {
        namespace.remove("path");
    }
}

/// A parameter of the kernel's that would be the host's is none of a container.
fn check_sysctls(spec: &Spec) -> Outcome<()> {
    let Some(linux) = spec.linux() else { return Ok(()) };
    let own = |kind: LinuxNamespaceType, name: &str| {
        let mut all = linux.namespaces().iter().flatten();
        let host = fs::metadata(format!("/proc/self/ns/{name}")).ok();
        all.any(|namespace| {
            let joined = namespace.path().as_ref().and_then(|path| fs::metadata(path).ok());
            let is_host = host
                .as_ref()
                .zip(joined)
                .is_some_and(|(host, joined)| (host.dev(), host.ino()) == (joined.dev(), joined.ino()));
            namespace.typ() == kind && !is_host
        })
    };
    let own = OwnNamespaces {
        ipc: own(LinuxNamespaceType::Ipc, "ipc"),
        network: own(LinuxNamespaceType::Network, "net"),
        uts: own(LinuxNamespaceType::Uts, "uts"),
    };
    for name in linux.sysctl().iter().flatten().map(|(name, _)| name) {
        check_sysctl(&name.replace('/', "."), own).map_err(|err| err.to_string())?;
    }
    Ok(())
}

/// Limits that the kernel would take and not hold.
pub fn check_resources(resources: &LinuxResources) -> Outcome<()> {
    let shares = resources.cpu().as_ref().and_then(|cpu| cpu.shares());
    match shares {
        Some(1) => return Err("the minimum allowed cpu-shares is 2".into()),
        Some(more) if more > MAX_SHARES => {
            return Err(format!("the maximum allowed cpu-shares is {MAX_SHARES}"));
        }
        _ => {}
    }
    if resources
        .unified()
        .as_ref()
        .is_some_and(|limits| !limits.is_empty())
        && !unified_alone()
    {
        return Err("linux.resources.unified needs a host with cgroup v2 alone".into());
    }
    Ok(())
}

fn asked_cgroup(spec: &Spec) -> Outcome<Option<&str>> {
    let path = spec
        .linux()
        .as_ref()
        .and_then(|linux| linux.cgroups_path().as_ref());
    path.map(|path| {
        path.to_str()
            .ok_or("invalid spec: linux.cgroupsPath is not UTF-8".into())
    })
    .transpose()
}

/// Where the container's cgroup is, in every hierarchy.
pub fn cgroup(spec: &Spec, id: &str) -> Outcome<String> {
    let path = PathBuf::from("/").join(asked_cgroup(spec)?.unwrap_or(id));
    let text = path.to_str().unwrap_or_default();
    if path
        .components()
        .any(|part| part == std::path::Component::ParentDir)
        || text.trim_matches('/').is_empty()
    {
        return Err(format!(
            "invalid spec: linux.cgroupsPath {text:?} does not name a cgroup below the root"
        ));
    }
    Ok(text.to_owned())
}

fn check_version(version: &str) -> Outcome<()> {
    let core = version.split(['-', '+']).next().unwrap_or_default();
    let numbers: Vec<Option<u64>> = core.split('.').map(|part| part.parse().ok()).collect();
    match numbers.as_slice() {
        [Some(1), Some(_), Some(_)] => Ok(()),
        [Some(_), Some(_), Some(_)] => Err(format!(
            "unsupported spec version {version}: this runtime knows the versions 1.x"
        )),
        _ => Err(format!("invalid spec: ociVersion {version:?} is not a version")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(change: impl FnOnce(&mut serde_json::Value)) -> Outcome<Spec> {
        let mut value = serde_json::json!({
            "ociVersion": "1.0.2",
            "process": { "args": ["true"], "cwd": "/", "user": { "uid": 0, "gid": 0 } },
            "root": { "path": "rootfs" },
            "linux": { "namespaces": [{ "type": "mount" }] },
        });
        change(&mut value);
        parse(value.to_string().as_bytes())
    }

    #[test]
    fn a_bad_spec_says_what_is_wrong() {
        assert!(spec(|_| ()).is_ok());
        for (text, change) in [
            (
                "2.0.0",
                (|v| v["ociVersion"] = "2.0.0".into()) as fn(&mut serde_json::Value),
            ),
            ("not a version", |v| v["ociVersion"] = "one".into()),
            ("root is missing", |v| v["root"] = serde_json::Value::Null),
            ("process.args is empty", |v| {
                v["process"]["args"] = serde_json::json!([])
            }),
            ("process.cwd", |v| v["process"]["cwd"] = "tmp".into()),
            ("two namespaces", |v| {
                v["linux"]["namespaces"] = serde_json::json!([{ "type": "pid" }, { "type": "pid" }]);
            }),
            ("mount destination", |v| {
                v["mounts"] = serde_json::json!([{ "destination": "tmp" }])
            }),
            ("uts namespace", |v| v["hostname"] = "box".into()),
            ("separate kernel namespace", |v| {
                v["linux"]["sysctl"] = serde_json::json!({ "vm.swappiness": "60" });
            }),
            ("host network namespace", |v| {
                v["linux"]["namespaces"] = serde_json::json!([{ "type": "mount" }, { "type": "network", "path": "/proc/self/ns/net" }]);
                v["linux"]["sysctl"] = serde_json::json!({ "net.ipv4.ip_forward": "1" });
            }),
            ("not absolute", |v| {
                v["hooks"] = serde_json::json!({ "poststop": [{ "path": "true" }] });
            }),
            ("time-out", |v| {
                v["hooks"] = serde_json::json!({ "prestart": [{ "path": "/bin/true", "timeout": 0 }] });
            }),
            ("minimum", |v| {
                v["linux"]["resources"] = serde_json::json!({ "cpu": { "shares": 1 } });
            }),
            ("range 0-2147483647", |v| {
                v["process"]["user"]["uid"] = u32::MAX.into()
            }),
            ("range 0-2147483647", |v| {
                v["process"]["user"]["additionalGids"] = serde_json::json!([1u32 << 31]);
            }),
            ("environment", |v| v["process"]["env"] = serde_json::json!(["A"])),
            ("environment", |v| v["process"]["env"] = serde_json::json!(["=a"])),
        ] {
            let error = spec(change).unwrap_err();
            assert!(error.contains(text), "{error}");
        }
    }

    #[test]
    fn what_is_left_out_is_the_least() {
        let spec = spec(|v| {
            v["process"]["env"] = serde_json::json!(["A=1", "B=1", "A=2"]);
            v["linux"]["namespaces"] =
                serde_json::json!([{ "type": "mount" }, { "type": "network", "path": "" }]);
        })
        .unwrap();
        let process = spec.process().as_ref().unwrap();
        assert_eq!(process.env().as_deref().unwrap(), ["A=2", "B=1"]);
        let sets = process.capabilities().as_ref().unwrap();
        assert!(sets.bounding().as_ref().unwrap().is_empty());
        assert!(sets.effective().as_ref().unwrap().is_empty());
    }

    #[test]
    fn ids_and_cgroups_stay_below_their_roots() {
        for id in ["", ".", "..", "a/b", ".hidden", "a b"] {
            assert!(check_id(id).is_err(), "{id}");
        }
        assert!(check_id("web_1+a-b.c").is_ok());
        let at = |path: &str| cgroup(&spec(|v| v["linux"]["cgroupsPath"] = path.into()).unwrap(), "id");
        assert_eq!(at("/a/b").unwrap(), "/a/b");
        assert_eq!(at("a").unwrap(), "/a");
        assert!(at("/a/../..").is_err());
        assert!(at("/").is_err());
        assert_eq!(cgroup(&spec(|_| ()).unwrap(), "id").unwrap(), "/id");
    }
}
