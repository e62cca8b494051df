//! Kernel settings of a network namespace.

use crate::error::{Context, Result};
use crate::netns::Netns;
use std::fs;
use std::io;

/// Writes settings (`ipv4/ip_forward`) inside a namespace.
pub(crate) fn write(netns: &Netns, settings: &[(String, &str)]) -> Result<()> {
    netns.run(|| {
        settings
            .iter()
            .try_for_each(|(name, value)| write_here(name, value))
    })?
}

/// Writes a setting in the calling thread's namespace.
pub(crate) fn write_here(name: &str, value: &str) -> Result<()> {
    fs::write(format!("/proc/sys/net/{name}"), value).context(|| format!("set net/{name}"))
}

/// The IPv4 setting of one interface.
pub(crate) fn of_interface(interface: &str, name: &str) -> String {
    format!("ipv4/conf/{interface}/{name}")
}

/// Turns IPv6 off on an interface that has no IPv6 address to use it with.
pub(crate) fn without_ipv6(netns: &Netns, interface: &str) -> Result<()> {
    netns.run(|| without_ipv6_here(interface))?
}

/// The same in the calling thread's namespace.
pub(crate) fn without_ipv6_here(interface: &str) -> Result<()> {
    write_if_there(&format!("ipv6/conf/{interface}/disable_ipv6"), "1")
}

/// Keeps bridged frames of the calling thread's namespace out of its packet filter.
pub(crate) fn without_bridge_filter_here() -> Result<()> {
    write_if_there("bridge/bridge-nf-call-iptables", "0")
}

fn write_if_there(name: &str, value: &str) -> Result<()> {
    match fs::write(format!("/proc/sys/net/{name}"), value) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.context(|| format!("set net/{name}")),
    }
}
