use std::collections::BTreeSet;

use oci_spec::runtime::{
    Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompBuilder, LinuxSyscall,
    LinuxSyscallBuilder,
};
use serde::Deserialize;

use super::arch::{Abi, known};
use crate::RuntimeError;

/// The policy a container gets when it asks for none, in Docker's profile format.
pub const DEFAULT_PROFILE: &str = include_str!("default.json");

/// A seccomp profile as Docker's `--security-opt seccomp=FILE` takes it: OCI's rules, and conditions on top of them.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    default_action: LinuxSeccompAction,
    default_errno_ret: Option<u32>,
    #[serde(default)]
    architectures: Option<Vec<Arch>>,
    #[serde(default)]
    arch_map: Option<Vec<ArchMap>>,
    #[serde(default)]
    syscalls: Option<Vec<Group>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ArchMap {
    architecture: String,
    #[serde(default)]
    sub_architectures: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    #[serde(default)]
    name: String,
    #[serde(default)]
    names: Vec<String>,
    action: LinuxSeccompAction,
    errno_ret: Option<u32>,
    #[serde(default)]
    args: Option<Vec<LinuxSeccompArg>>,
    #[serde(default)]
    includes: Condition,
    #[serde(default)]
    excludes: Condition,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Condition {
    #[serde(default)]
    caps: Vec<String>,
    #[serde(default)]
    arches: Vec<String>,
    min_kernel: Option<String>,
}

impl Profile {
    /// Reads a profile; the error says where it is wrong.
    pub fn parse(json: &str) -> Result<Self, RuntimeError> {
        let profile: Self = serde_json::from_str(json)
            .map_err(|err| RuntimeError::Invalid(format!("seccomp profile cannot be read: {err}")))?;
        if profile
            .architectures
            .as_ref()
            .is_some_and(|list| !list.is_empty())
            && profile.arch_map.is_some()
        {
            return Err(RuntimeError::Invalid(
                "seccomp profile names both 'architectures' and 'archMap'; use one of them".into(),
            ));
        }
        Ok(profile)
    }

    /// The rules that hold for a container with these capabilities (`CAP_…`) on this machine.
    pub fn resolve(&self, capabilities: &BTreeSet<String>) -> Result<LinuxSeccomp, RuntimeError> {
        let kernel = kernel_version();
        let mut rules: Vec<LinuxSyscall> = Vec::new();
        for group in self.syscalls.iter().flatten() {
            if !group.applies(capabilities, kernel) {
                continue;
            }
            let mut names = group.names.clone();
            if !group.name.is_empty() {
                names.push(group.name.clone());
            }
            names.retain(|name| known(name));
            if names.is_empty() {
                continue;
            }
            let mut rule = LinuxSyscallBuilder::default().names(names).action(group.action);
            if let Some(errno) = group.errno_ret {
                rule = rule.errno_ret(errno);
            }
            if let Some(args) = group.args.as_ref().filter(|args| !args.is_empty()) {
                rule = rule.args(args.clone());
            }
            rules.push(
                rule.build()
                    .map_err(|err| RuntimeError::Invalid(err.to_string()))?,
            );
        }
        let mut seccomp = LinuxSeccompBuilder::default()
            .default_action(self.default_action)
            .architectures(self.resolved_architectures())
            .syscalls(rules);
        if let Some(errno) = self.default_errno_ret {
            seccomp = seccomp.default_errno_ret(errno);
        }
        seccomp
            .build()
            .map_err(|err| RuntimeError::Invalid(err.to_string()))
    }

    fn resolved_architectures(&self) -> Vec<Arch> {
        if let Some(list) = self.architectures.as_ref().filter(|list| !list.is_empty()) {
            return list.clone();
        }
        let native = match Abi::native() {
            Abi::Aarch64 => "SCMP_ARCH_AARCH64",
            _ => "SCMP_ARCH_X86_64",
        };
        let mut names = vec![native.to_owned()];
        let entry = self
            .arch_map
            .iter()
            .flatten()
            .find(|entry| entry.architecture == native);
        names.extend(
            entry
                .and_then(|entry| entry.sub_architectures.clone())
                .unwrap_or_default(),
        );
        names
            .into_iter()
            .filter_map(|name| serde_json::from_value(name.into()).ok())
            .collect()
    }
}

impl Group {
    fn applies(&self, capabilities: &BTreeSet<String>, kernel: (u32, u32)) -> bool {
        let has = |cap: &String| capabilities.contains(cap);
        let here = |arch: &String| native_names().contains(&arch.as_str());
        let included = self.includes.caps.iter().all(has)
            && (self.includes.arches.is_empty() || self.includes.arches.iter().any(here))
            && self
                .includes
                .min_kernel
                .as_deref()
                .is_none_or(|wanted| kernel >= parse_version(wanted));
        let excluded = self.excludes.caps.iter().any(has)
            || self.excludes.arches.iter().any(here)
            || self
                .excludes
                .min_kernel
                .as_deref()
                .is_some_and(|wanted| kernel >= parse_version(wanted));
        included && !excluded
    }
}

fn native_names() -> &'static [&'static str] {
    if cfg!(target_arch = "aarch64") {
        &["arm64"]
    } else {
        &["amd64", "x86", "x32"]
    }
}

fn parse_version(text: &str) -> (u32, u32) {
    let mut parts = text.split(['.', '-']).map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

fn kernel_version() -> (u32, u32) {
    parse_version(&std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default())
}
