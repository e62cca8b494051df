use creel_runtime::oci::{LinuxNamespaceType, LinuxSeccompAction, LinuxSeccompOperator};
use lexopt::Parser;
use serde_json::json;

use super::spec;
use crate::Outcome;
use crate::cli;

const MOUNT_OPTIONS: [&str; 40] = [
    "async",
    "atime",
    "bind",
    "defaults",
    "dev",
    "diratime",
    "dirsync",
    "exec",
    "iversion",
    "lazytime",
    "loud",
    "noatime",
    "nodev",
    "nodiratime",
    "noexec",
    "noiversion",
    "nolazytime",
    "norelatime",
    "nostrictatime",
    "nosuid",
    "private",
    "rbind",
    "relatime",
    "remount",
    "ro",
    "rprivate",
    "rshared",
    "rslave",
    "runbindable",
    "rw",
    "shared",
    "silent",
    "slave",
    "strictatime",
    "suid",
    "sync",
    "tmpcopyup",
    "unbindable",
    "rro",
    "rrw",
];

/// `features`: what this runtime knows (OCI runtime specification, "Features Structure").
pub fn run(mut arguments: Parser) -> Outcome<()> {
    if let Some(argument) = arguments.next().map_err(cli::said)? {
        return Err(cli::said(argument.unexpected()));
    }
    let mut options = MOUNT_OPTIONS;
    options.sort_unstable();
    let features = json!({
        "ociVersionMin": "1.0.0",
        "ociVersionMax": spec::VERSION,
        "hooks": ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"],
        "mountOptions": options.as_slice(),
        "linux": {
            "namespaces": [
                LinuxNamespaceType::Cgroup,
                LinuxNamespaceType::Ipc,
                LinuxNamespaceType::Mount,
                LinuxNamespaceType::Network,
                LinuxNamespaceType::Pid,
                LinuxNamespaceType::Time,
                LinuxNamespaceType::User,
                LinuxNamespaceType::Uts,
            ],
            "capabilities": creel_runtime::CAPABILITIES.as_slice(),
            "cgroup": { "v1": true, "v2": true, "systemd": true, "systemdUser": false, "rdma": false },
            "seccomp": {
                "enabled": true,
                "actions": [
                    LinuxSeccompAction::ScmpActAllow,
                    LinuxSeccompAction::ScmpActErrno,
                    LinuxSeccompAction::ScmpActKill,
                    LinuxSeccompAction::ScmpActKillProcess,
                    LinuxSeccompAction::ScmpActKillThread,
                    LinuxSeccompAction::ScmpActLog,
                    LinuxSeccompAction::ScmpActTrace,
                    LinuxSeccompAction::ScmpActTrap,
                ],
                "operators": [
                    LinuxSeccompOperator::ScmpCmpEq,
                    LinuxSeccompOperator::ScmpCmpGe,
                    LinuxSeccompOperator::ScmpCmpGt,
                    LinuxSeccompOperator::ScmpCmpLe,
                    LinuxSeccompOperator::ScmpCmpLt,
                    LinuxSeccompOperator::ScmpCmpMaskedEq,
                    LinuxSeccompOperator::ScmpCmpNe,
                ],
                "archs": creel_runtime::seccomp::ARCHITECTURES,
            },
            "apparmor": { "enabled": true },
            "selinux": { "enabled": false },
            "intelRdt": { "enabled": false },
        },
        "annotations": { "io.creel.version": env!("CARGO_PKG_VERSION") },
    });
    println!(
        "{}",
        serde_json::to_string_pretty(&features).map_err(|err| err.to_string())?
    );
    Ok(())
}
