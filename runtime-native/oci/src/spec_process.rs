//! The process of a spec, that of a container and that of an exec.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use creel_runtime::CAPABILITIES;
use creel_runtime::oci::{Capabilities, LinuxCapabilities, LinuxCapabilitiesBuilder, Process};
use serde_json::Value;

use crate::Outcome;

/// What a process must have. Its environment has each name once afterwards, with the last value given.
pub fn check(process: &mut Process) -> Outcome<()> {
    if process.args().as_ref().is_none_or(Vec::is_empty) {
        return Err("invalid spec: process.args is empty: there is no command to run".into());
    }
    if !process.cwd().is_absolute() {
        return Err(format!(
            "invalid spec: process.cwd {} is not absolute",
            process.cwd().display()
        ));
    }
    let mut limits = BTreeSet::new();
    for limit in process.rlimits().iter().flatten() {
        if !limits.insert(limit.typ().to_string()) {
            return Err(format!("invalid spec: two limits of the kind {}", limit.typ()));
        }
    }
    let user = process.user();
    let mut ids = [user.uid(), user.gid()]
        .into_iter()
        .chain(user.additional_gids().iter().flatten().copied());
    // To the kernel the greatest number means: as it is.
    if ids.any(|id| i32::try_from(id).is_err()) {
        return Err(format!("uids and gids must be in range 0-{}", i32::MAX));
    }
    refuse_label(process.selinux_label().as_deref())?;
    if let Some(env) = process.env() {
        let env = each_once(env)?;
        process.set_env(Some(env));
    }
    Ok(())
}

fn each_once(env: &[String]) -> Outcome<Vec<String>> {
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut once: Vec<String> = Vec::with_capacity(env.len());
    for entry in env {
        let name = match entry.split_once('=') {
            Some((name, _)) if !name.is_empty() => name,
            _ => {
                return Err(format!(
                    "invalid environment variable {entry:?}: it is NAME=VALUE"
                ));
            }
        };
        match places.get(name) {
            Some(place) => once[*place].clone_from(entry),
            None => {
                places.insert(name, once.len());
                once.push(entry.clone());
            }
        }
    }
    Ok(once)
}

/// A label that nobody would heed is not taken for one that confines.
fn refuse_label(label: Option<&str>) -> Outcome<()> {
    if label.is_some_and(|label| !label.is_empty()) && !Path::new("/sys/fs/selinux/enforce").exists() {
        return Err("an SELinux label is given, and SELinux is not in use on this host".into());
    }
    Ok(())
}

/// A capability that this kernel does not have cannot be given; the specification wants no error for it.
pub fn drop_unknown_capabilities(process: &mut Value) {
    let sets = process.get_mut("capabilities").and_then(Value::as_object_mut);
    for set in sets.into_iter().flat_map(|sets| sets.values_mut()) {
        if let Some(names) = set.as_array_mut() {
            names.retain(|name| name.as_str().is_none_or(|name| CAPABILITIES.contains(&name)));
        }
    }
}

/// What a process has whose spec says nothing of capabilities.
pub fn no_capabilities() -> LinuxCapabilities {
    LinuxCapabilitiesBuilder::default()
        .bounding(Capabilities::new())
        .effective(Capabilities::new())
        .permitted(Capabilities::new())
        .inheritable(Capabilities::new())
        .ambient(Capabilities::new())
        .build()
        .unwrap_or_default()
}
