//! The OCI spec of a container with Docker's defaults.

mod capabilities;
mod defaults;
mod input;
mod resources;
mod sysctls;
mod user;

use std::collections::BTreeSet;

use oci_spec::OciSpecError;
use oci_spec::runtime::{
    Capabilities, LinuxBuilder, LinuxCapabilitiesBuilder, LinuxIdMapping, LinuxIdMappingBuilder,
    LinuxNamespace, LinuxNamespaceBuilder, LinuxNamespaceType, PosixRlimitBuilder, PosixRlimitType, Process,
    ProcessBuilder, RootBuilder, Spec, SpecBuilder, UserBuilder,
};

pub use defaults::{devices_of, masked_paths, readonly_paths};
pub use input::{
    DeviceInput, MountInput, NamespaceMode, Namespaces, ProcessInput, ResourcesInput, SeccompInput,
    SpecInput, Ulimit, User,
};
pub use resources::usual_devices;
pub use sysctls::{OwnNamespaces, check_sysctl};
pub use user::resolve_user;

use crate::RuntimeError;
use crate::seccomp::{DEFAULT_PROFILE, Profile};
use crate::user_namespace::IdRange;

impl SpecInput {
    /// Builds the OCI spec. Fails on what no container could have: unknown capabilities, namespaces, limits.
    pub fn build(&self) -> Result<Spec, RuntimeError> {
        let capabilities = capabilities::resolve(self.privileged, &self.cap_add, &self.cap_drop)?;
        sysctls::check(self)?;
        let mut linux = LinuxBuilder::default()
            .namespaces(self.namespaces()?)
            .cgroups_path(&self.cgroup_path)
            .resources(resources::build(&self.resources, &self.devices, self.privileged)?)
            .devices(defaults::device_nodes(&self.devices, self.privileged)?)
            .masked_paths(self.paths(&self.masked_paths, defaults::masked_paths))
            .readonly_paths(self.paths(&self.readonly_paths, defaults::readonly_paths))
            .sysctl(self.sysctls());
        if !self.rootfs_propagation.is_empty() {
            // Propagation of the root always goes down; the spec has no `r` forms.
            let propagation = self
                .rootfs_propagation
                .strip_prefix('r')
                .unwrap_or(&self.rootfs_propagation);
            linux = linux.rootfs_propagation(propagation);
        }
        if let Some(ids) = &self.ids {
            linux = linux
                .uid_mappings(id_mappings(&ids.users)?)
                .gid_mappings(id_mappings(&ids.groups)?);
        }
        if let Some(policy) = self.seccomp_policy(&capabilities)? {
            linux = linux.seccomp(policy);
        }
        let mut spec = SpecBuilder::default()
            // All that is used of later versions may stand in it, and crun before 1.9 knows no other.
            .version("1.0.2")
            .process(self.process.build(self, &capabilities)?)
            .root(invalid(
                RootBuilder::default()
                    .path(&self.rootfs)
                    .readonly(self.readonly_rootfs)
                    .build(),
            )?)
            .mounts(defaults::mounts(self)?)
            .annotations(
                self.annotations
                    .clone()
                    .into_iter()
                    .collect::<std::collections::HashMap<_, _>>(),
            )
            .linux(invalid(linux.build())?);
        if self.namespaces.uts != NamespaceMode::Host {
            if let Some(name) = &self.hostname {
                spec = spec.hostname(name);
            }
            if let Some(name) = &self.domainname {
                spec = spec.domainname(name);
            }
        }
        let mut spec = invalid(spec.build())?;
        // The library fills in a default set of its own; what is absent here must stay absent.
        if self.hostname.is_none() || self.namespaces.uts == NamespaceMode::Host {
            spec.set_hostname(None);
        }
        spec.set_hooks(None);
        Ok(spec)
    }

    fn namespaces(&self) -> Result<Vec<LinuxNamespace>, RuntimeError> {
        let modes = [
            (LinuxNamespaceType::Mount, &NamespaceMode::New),
            (LinuxNamespaceType::Network, &self.namespaces.network),
            (LinuxNamespaceType::Pid, &self.namespaces.pid),
            (LinuxNamespaceType::Ipc, &self.namespaces.ipc),
            (LinuxNamespaceType::Uts, &self.namespaces.uts),
            (LinuxNamespaceType::User, &self.namespaces.user),
            (LinuxNamespaceType::Cgroup, &self.namespaces.cgroup),
        ];
        let mut list = Vec::new();
        for (kind, mode) in modes {
            let builder = LinuxNamespaceBuilder::default().typ(kind);
            match mode {
                NamespaceMode::Host => {}
                NamespaceMode::New => list.push(invalid(builder.build())?),
                NamespaceMode::Path(path) => list.push(invalid(builder.path(path).build())?),
            }
        }
        Ok(list)
    }

    fn paths(&self, asked: &Option<Vec<String>>, default: fn() -> Vec<String>) -> Vec<String> {
        match asked {
            Some(paths) => paths.clone(),
            None if self.privileged => Vec::new(),
            None => default(),
        }
    }

    fn sysctls(&self) -> std::collections::HashMap<String, String> {
        let mut all = std::collections::HashMap::new();
        if self.namespaces.network != NamespaceMode::Host && !self.privileged {
            // As Docker: any user of the container may ping and listen on low ports of its own network.
            all.insert("net.ipv4.ping_group_range".to_owned(), "0 2147483647".to_owned());
            all.insert("net.ipv4.ip_unprivileged_port_start".to_owned(), "0".to_owned());
        }
        all.extend(self.sysctls.clone());
        all
    }

    fn seccomp_policy(
        &self,
        caps: &BTreeSet<String>,
    ) -> Result<Option<oci_spec::runtime::LinuxSeccomp>, RuntimeError> {
        match &self.seccomp {
            SeccompInput::Unconfined => Ok(None),
            SeccompInput::Default if self.privileged => Ok(None),
            SeccompInput::Default => Profile::parse(DEFAULT_PROFILE)?.resolve(caps).map(Some),
            SeccompInput::Profile(json) => Profile::parse(json)?.resolve(caps).map(Some),
        }
    }
}

pub(super) fn id_mappings(ranges: &[IdRange]) -> Result<Vec<LinuxIdMapping>, RuntimeError> {
    let one = |range: &IdRange| {
        invalid(
            LinuxIdMappingBuilder::default()
                .container_id(range.inside)
                .host_id(range.outside)
                .size(range.count)
                .build(),
        )
    };
    ranges.iter().map(one).collect()
}

impl ProcessInput {
    /// The OCI process of an `exec` in a container: the container's confinement, with its own command, user and
    /// environment. `privileged` gives it all capabilities.
    pub fn build_exec(&self, container: &SpecInput, privileged: bool) -> Result<Process, RuntimeError> {
        let capabilities = capabilities::resolve(
            container.privileged || privileged,
            &container.cap_add,
            &container.cap_drop,
        )?;
        self.build(container, &capabilities)
    }

    fn build(&self, container: &SpecInput, capabilities: &BTreeSet<String>) -> Result<Process, RuntimeError> {
        if self.args.is_empty() {
            return Err(RuntimeError::Invalid("no command specified".into()));
        }
        let strings = self.args.iter().chain(&self.env);
        if let Some(bad) = strings.chain([&self.cwd]).find(|text| text.contains('\0')) {
            return Err(RuntimeError::Invalid(format!("{bad:?} contains a NUL byte")));
        }
        let cwd = if self.cwd.is_empty() { "/" } else { &self.cwd };
        if !cwd.starts_with('/') {
            return Err(RuntimeError::Invalid(format!(
                "working directory {cwd:?} is not an absolute path"
            )));
        }
        let mut user = UserBuilder::default().uid(self.user.uid).gid(self.user.gid);
        if !self.user.additional_gids.is_empty() {
            user = user.additional_gids(self.user.additional_gids.clone());
        }
        let mut process = ProcessBuilder::default()
            .terminal(self.terminal)
            .args(self.args.clone())
            .env(self.environment())
            .cwd(cwd)
            .user(invalid(user.build())?)
            .rlimits(
                container
                    .ulimits
                    .iter()
                    .map(|limit| {
                        let name = format!("RLIMIT_{}", limit.name.to_uppercase());
                        let kind: PosixRlimitType = serde_json::from_value(name.into()).map_err(|_| {
                            RuntimeError::Invalid(format!("invalid ulimit type: {}", limit.name))
                        })?;
                        invalid(
                            PosixRlimitBuilder::default()
                                .typ(kind)
                                .soft(limit.soft)
                                .hard(limit.hard)
                                .build(),
                        )
                    })
                    .collect::<Result<Vec<_>, _>>()?,
            )
            .no_new_privileges(container.no_new_privileges);
        if let Some(score) = container.oom_score_adj.or_else(unprotected) {
            process = process.oom_score_adj(score);
        }
        let mut process = invalid(process.build())?;
        let set = || -> Result<Capabilities, RuntimeError> {
            capabilities
                .iter()
                .map(|name| {
                    serde_json::from_value(name.clone().into())
                        .map_err(|_| RuntimeError::Invalid(format!("invalid capability: {name:?}")))
                })
                .collect()
        };
        let sets = LinuxCapabilitiesBuilder::default()
            .bounding(set()?)
            .permitted(set()?)
            .effective(set()?)
            .inheritable(Capabilities::new())
            .ambient(Capabilities::new());
        process.set_capabilities(Some(invalid(sets.build())?));
        process.set_apparmor_profile(None);
        Ok(process)
    }

    fn environment(&self) -> Vec<String> {
        let has = |name: &str| self.env.iter().any(|entry| entry.split('=').next() == Some(name));
        let mut env = Vec::new();
        if !has("PATH") {
            env.push("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned());
        }
        if self.terminal && !has("TERM") {
            env.push("TERM=xterm".to_owned());
        }
        env.extend(self.env.iter().filter(|entry| entry.contains('=')).cloned());
        env
    }
}

/// An engine that is protected from being killed for want of memory does not hand that down.
fn unprotected() -> Option<i32> {
    let own = std::fs::read_to_string("/proc/self/oom_score_adj").ok()?;
    own.trim()
        .parse::<i32>()
        .ok()
        .filter(|score| *score < 0)
        .map(|_| 0)
}

fn invalid<T>(result: Result<T, OciSpecError>) -> Result<T, RuntimeError> {
    result.map_err(|err| RuntimeError::Invalid(err.to_string()))
}
