//! Which kernel parameters a container may set: those of namespaces that are its own.

use super::{NamespaceMode, SpecInput};
use crate::RuntimeError;

const IPC: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

/// Refuses, in Docker's words, a parameter that would be the host's.
pub(super) fn check(input: &SpecInput) -> Result<(), RuntimeError> {
    for name in input.sysctls.keys() {
        let ipc = IPC.contains(&name.as_str()) || name.starts_with("fs.mqueue.");
        let own = |mode: &NamespaceMode| *mode != NamespaceMode::Host;
        let text = match name.as_str() {
            _ if ipc && own(&input.namespaces.ipc) => continue,
            _ if ipc => format!("sysctl {name:?} is not allowed in the hosts ipc namespace"),
            net if net.starts_with("net.") && own(&input.namespaces.network) => continue,
            net if net.starts_with("net.") => {
                format!("sysctl {name:?} not allowed in host network namespace")
            }
            "kernel.domainname" if own(&input.namespaces.uts) => continue,
            "kernel.hostname" => {
                format!("sysctl {name:?} is not allowed: use the host name of the container")
            }
            _ => format!("sysctl {name:?} is not in a separate kernel namespace"),
        };
        return Err(RuntimeError::Invalid(text));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_the_containers_own_is_set() {
        let with = |name: &str, change: fn(&mut SpecInput)| {
            let mut input = SpecInput::default();
            input.sysctls.insert(name.into(), "1".into());
            change(&mut input);
            check(&input)
        };
        let nothing: fn(&mut SpecInput) = |_| ();
        for name in [
            "net.ipv4.ip_forward",
            "kernel.msgmax",
            "fs.mqueue.msg_max",
            "kernel.domainname",
        ] {
            with(name, nothing).unwrap();
        }
        for name in [
            "kernel.core_pattern",
            "kernel.hostname",
            "vm.swappiness",
            "fs.file-max",
        ] {
            with(name, nothing).unwrap_err();
        }
        with("net.ipv4.ip_forward", |i| {
            i.namespaces.network = NamespaceMode::Host
        })
        .unwrap_err();
        with("kernel.msgmax", |i| i.namespaces.ipc = NamespaceMode::Host).unwrap_err();
    }
}
