//! Containers as units of systemd (`--systemd-cgroup`): a transient scope in a slice, whose cgroup is delegated to the
//! container. Limits are written to the cgroup as ever; systemd is told what the cgroup says, so that it never sets others.

mod dbus;
mod message;
mod properties;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use creel_runtime::cgroup::Cgroup;

use crate::Outcome;
use dbus::Connection;
use message::{Body, Value};

const BOOTED: &str = "/run/systemd/system";
const SYSTEM_SLICE: &str = "system.slice";
const USER_SLICE: &str = "user.slice";
/// What systemd cannot be told: it has no value for most of bfq's weights on v1.
const BFQ_WEIGHT_V1: &str = "blkio.bfq.weight";

/// The unit that a container is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Its name, which ends with `.scope`.
    pub name: String,
    slice: String,
    /// Its cgroup, absolute within each hierarchy.
    pub cgroup: String,
}

impl Unit {
    /// The unit that `linux.cgroupsPath` names as `SLICE:PREFIX:NAME`; each of the three may be empty.
    pub fn of(path: Option<&str>, id: &str) -> Outcome<Self> {
        let parts: Vec<&str> = match path {
            None | Some("") => vec!["", "creel", id],
            Some(path) => path.split(':').collect(),
        };
        let [slice, prefix, name] = parts[..] else {
            return Err(format!(
                "invalid spec: with --systemd-cgroup linux.cgroupsPath is SLICE:PREFIX:NAME, not {:?}",
                path.unwrap_or_default()
            ));
        };
        let slice = match slice {
            // SAFETY: a plain call.
            "" if unsafe { libc::geteuid() } != 0 => USER_SLICE,
            "" => SYSTEM_SLICE,
            slice => slice,
        };
        let name = match prefix {
            "" => format!("{name}.scope"),
            prefix => format!("{prefix}-{name}.scope"),
        };
        let known = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
        if name.len() > 255 || name.starts_with('.') || !name.chars().all(known) {
            return Err(format!(
                "invalid spec: linux.cgroupsPath: {name:?} cannot be the name of a unit"
            ));
        }
        Ok(Self {
            cgroup: format!("{}/{name}", directory(slice)?),
            name,
            slice: slice.to_owned(),
        })
    }

    /// Begins the unit, with a process in it; `annotations` of the kind `org.systemd.property.NAME` are properties of it.
    pub fn start(&self, pid: u32, id: &str, annotations: &HashMap<String, String>) -> Outcome<()> {
        let mut all = vec![
            (
                "Description".to_owned(),
                Value::Text(format!("creel-runtime container {id}")),
            ),
            ("Slice".to_owned(), Value::Text(self.slice.clone())),
            ("PIDs".to_owned(), Value::U32s(vec![pid])),
            ("Delegate".to_owned(), Value::Bool(true)),
            ("DefaultDependencies".to_owned(), Value::Bool(false)),
        ];
        for name in ["Memory", "CPU", "Tasks", "IO"] {
            all.push((format!("{name}Accounting"), Value::Bool(true)));
        }
        all.extend(properties::of_annotations(annotations)?);
        let body = Body::default()
            .text(&self.name)
            .text("fail")
            .properties(&all)
            .no_units();
        connect()?
            .job("StartTransientUnit", body)
            .map_err(|err| format!("systemd: start {}: {err}", self.name))
    }
}

/// Whether systemd runs here.
pub fn booted() -> bool {
    Path::new(BOOTED).is_dir()
}

/// Tells systemd the limits that the unit's cgroup has now, and the devices that it allows.
pub fn tell_limits(unit: &str, cgroup: &str) -> Outcome<()> {
    let cgroup = Cgroup::new(cgroup);
    let limits = properties::of_cgroup(&cgroup);
    if limits.is_empty() {
        return Ok(());
    }
    let failed = |err: io::Error| format!("systemd: limit {unit}: {err}");
    let weight = cgroup.read(BFQ_WEIGHT_V1);
    let mut systemd = connect()?;
    let body = Body::default().text(unit).bool(true).properties(&limits);
    systemd.call("SetUnitProperties", body).map_err(failed)?;
    if let Some(weight) = weight {
        // systemd writes them all, with a weight of its own, between this call and the next.
        systemd
            .call("GetUnit", Body::default().text(unit))
            .map_err(failed)?;
        cgroup.write(BFQ_WEIGHT_V1, weight.trim()).map_err(failed)?;
    }
    Ok(())
}

/// Ends a unit whose processes have been killed, and lets systemd forget that they were.
pub fn stop(unit: &str) -> Outcome<()> {
    let mut systemd = connect()?;
    let gone = |err: &io::Error| err.to_string().contains(".NoSuchUnit");
    match systemd.job("StopUnit", Body::default().text(unit).text("replace")) {
        Err(err) if !gone(&err) => return Err(format!("systemd: stop {unit}: {err}")),
        _ => {}
    }
    match systemd.call("ResetFailedUnit", Body::default().text(unit)) {
        Err(err) if !gone(&err) => Err(format!("systemd: forget {unit}: {err}")),
        _ => Ok(()),
    }
}

fn connect() -> Outcome<Connection> {
    // SAFETY: a plain call.
    let socket = match (unsafe { libc::geteuid() }, std::env::var_os("XDG_RUNTIME_DIR")) {
        (1.., Some(directory)) => PathBuf::from(directory).join("systemd/private"),
        _ => PathBuf::from("/run/systemd/private"),
    };
    Connection::open(&socket).map_err(|err| format!("systemd: connect to {}: {err}", socket.display()))
}

/// Where a slice's cgroup is: `a-b.slice` is below `a.slice`.
fn directory(slice: &str) -> Outcome<String> {
    let bad = || format!("invalid spec: linux.cgroupsPath: {slice:?} is not the name of a slice");
    let stem = slice.strip_suffix(".slice").ok_or_else(bad)?;
    if stem == "-" {
        return Ok(String::new());
    }
    let (mut path, mut name) = (String::new(), String::new());
    for part in stem.split('-') {
        let known = |c: char| c.is_ascii_alphanumeric() || ":_.\\@".contains(c);
        if part.is_empty() || part.starts_with('.') || !part.chars().all(known) {
            return Err(bad());
        }
        if !name.is_empty() {
            name.push('-');
        }
        name.push_str(part);
        path = format!("{path}/{name}.slice");
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(path: &str) -> Outcome<(String, String)> {
        Unit::of(Some(path), "id").map(|unit| (unit.name, unit.cgroup))
    }

    #[test]
    fn a_path_names_a_scope_in_a_slice() {
        for (path, name, cgroup) in [
            ("", "creel-id.scope", "/system.slice/creel-id.scope"),
            (
                "machine.slice:libpod:abc",
                "libpod-abc.scope",
                "/machine.slice/libpod-abc.scope",
            ),
            (
                ":docker:abc",
                "docker-abc.scope",
                "/system.slice/docker-abc.scope",
            ),
            (
                "a-b-c.slice::x",
                "x.scope",
                "/a.slice/a-b.slice/a-b-c.slice/x.scope",
            ),
            ("-.slice:p:x", "p-x.scope", "/p-x.scope"),
        ] {
            assert_eq!(
                place(path).unwrap(),
                (name.to_owned(), cgroup.to_owned()),
                "{path}"
            );
        }
    }

    #[test]
    fn what_is_no_unit_is_refused() {
        for path in [
            "/a/b",
            "a:b",
            "a:b:c:d",
            "a:b:c",
            "a--b.slice:p:x",
            "..slice:p:x",
            "a/b.slice:p:x",
            "a.slice:../p:x",
        ] {
            assert!(place(path).unwrap_err().contains("cgroupsPath"), "{path}");
        }
    }
}
