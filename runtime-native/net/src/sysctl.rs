//! Kernel settings of a network namespace.

use crate::error::{Context, Result};
use crate::netns::Netns;
use std::fs;
use std::io;

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
    write_if_there(netns, &format!("ipv6/conf/{interface}/disable_ipv6"), "1")
}

/// Keeps bridged frames of a namespace out of its packet filter.
pub(crate) fn without_bridge_filter(netns: &Netns) -> Result<()> {
    write_if_there(netns, "bridge/bridge-nf-call-iptables", "0")
}

fn write_if_there(netns: &Netns, name: &str, value: &str) -> Result<()> {
    netns.run(|| match fs::write(format!("/proc/sys/net/{name}"), value) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.context(|| format!("set net/{name}")),
    })?
}
