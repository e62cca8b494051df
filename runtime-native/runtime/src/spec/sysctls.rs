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

/// Which namespaces a container has that are not the host's.
#[derive(Clone, Copy, Debug)]
pub struct OwnNamespaces {
    /// Of interprocess communication.
    pub ipc: bool,
    /// Of the network.
    pub network: bool,
    /// Of the host's name.
    pub uts: bool,
}

/// Refuses, in Docker's words, a parameter that would be the host's.
pub fn check_sysctl(name: &str, own: OwnNamespaces) -> Result<(), RuntimeError> {
    let ipc = IPC.contains(&name) || name.starts_with("fs.mqueue.");
    let text = match name {
        _ if ipc && own.ipc => return Ok(()),
        _ if ipc => format!("sysctl {name:?} is not allowed in the hosts ipc namespace"),
        net if net.starts_with("net.") && own.network => return Ok(()),
        net if net.starts_with("net.") => {
            format!("sysctl {name:?} not allowed in host network namespace")
        }
        "kernel.domainname" if own.uts => return Ok(()),
        "kernel.hostname" => {
            format!("sysctl {name:?} is not allowed: use the host name of the container")
        }
        _ => format!("sysctl {name:?} is not in a separate kernel namespace"),
    };
    Err(RuntimeError::Invalid(text))
}

pub(super) fn check(input: &SpecInput) -> Result<(), RuntimeError> {
    let own = |mode: &NamespaceMode| *mode != NamespaceMode::Host;
    let own = OwnNamespaces {
        ipc: own(&input.namespaces.ipc),
        network: own(&input.namespaces.network),
        uts: own(&input.namespaces.uts),
    };
    input.sysctls.keys().try_for_each(|name| check_sysctl(name, own))
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
