//! Kernel settings of a network namespace.

use crate::error::{Context, Result};
use crate::netns::Netns;
use std::fs;

/// Writes settings (`ipv4/ip_forward`) inside a namespace.
pub(crate) fn write(netns: &Netns, settings: &[(String, &str)]) -> Result<()> {
    netns.run(|| {
        for (name, value) in settings {
            fs::write(format!("/proc/sys/net/{name}"), value).context(|| format!("set net/{name}"))?;
        }
        Ok(())
    })?
}

/// The IPv4 setting of one interface.
pub(crate) fn of_interface(interface: &str, name: &str) -> String {
    format!("ipv4/conf/{interface}/{name}")
}

/// Turns IPv6 off on an interface that has no IPv6 address to use it with.
pub(crate) fn without_ipv6(netns: &Netns, interface: &str) -> Result<()> {
    netns.run(|| {
        let path = format!("/proc/sys/net/ipv6/conf/{interface}/disable_ipv6");
        match fs::write(&path, "1") {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
            other => other.context(|| format!("set {path}")),
        }
    })?
}
