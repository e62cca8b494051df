//! Refuses what no container can have, in Docker's words, before anything is made.

use std::net::IpAddr;

use super::limits;
use crate::error::{EngineError, Result};
use crate::proto::{ContainerSpec, Healthcheck, PortBinding, RestartPolicy};

/// The shortest time that a health check may have for anything, in nanoseconds.
const SHORTEST: i64 = 1_000_000;

/// Refuses a spec that makes no sense on any machine, or whose limits are beyond this one's.
pub fn check(spec: &ContainerSpec) -> Result<()> {
    if spec.image.is_empty() {
        return Err(EngineError::invalid("no image specified"));
    }
    if let Some(bad) = spec.env.iter().find(|e| e.is_empty() || e.starts_with('=')) {
        return Err(EngineError::invalid(format!(
            "invalid environment variable: {bad}"
        )));
    }
    for host in &spec.extra_hosts {
        check_host(host)?;
    }
    let restart = spec.restart.clone().unwrap_or_default();
    check_restart(&restart)?;
    if spec.auto_remove && !matches!(restart.name.as_str(), "" | "no") {
        return Err(EngineError::invalid(
            "can't create 'AutoRemove' container with restart policy",
        ));
    }
    limits::check(&spec.resources.clone().unwrap_or_default())?;
    spec.ports.iter().try_for_each(check_port)
}

/// Refuses a restart policy that is none.
pub fn check_restart(policy: &RestartPolicy) -> Result<()> {
    let retries = policy.max_retries;
    let wrong = match policy.name.as_str() {
        // What an old client sends for none.
        "" => return Ok(()),
        "on-failure" if retries < 0 => "maximum retry count cannot be negative".to_owned(),
        "no" | "always" | "unless-stopped" if retries != 0 => {
            let negative = if retries < 0 {
                " and cannot be negative"
            } else {
                ""
            };
            format!("maximum retry count can only be used with 'on-failure'{negative}")
        }
        "no" | "always" | "unless-stopped" | "on-failure" => return Ok(()),
        other => {
            format!("unknown policy '{other}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'")
        }
    };
    Err(EngineError::invalid(format!("invalid restart policy: {wrong}")))
}

/// Refuses a health check that would never end its work.
pub fn check_health(check: &Healthcheck) -> Result<()> {
    for (name, nanos) in [
        ("Interval", check.interval_nanos),
        ("Timeout", check.timeout_nanos),
        ("StartPeriod", check.start_period_nanos),
        ("StartInterval", check.start_interval_nanos),
    ] {
        if nanos != 0 && nanos < SHORTEST {
            let text = format!("{name} in Healthcheck cannot be less than 1ms");
            return Err(EngineError::invalid(text));
        }
    }
    if check.retries < 0 {
        return Err(EngineError::invalid("Retries in Healthcheck cannot be negative"));
    }
    Ok(())
}

/// `NAME:ADDRESS`, where the address may be `host-gateway`.
fn check_host(host: &str) -> Result<()> {
    let (name, address) = host.split_once([':', '=']).unwrap_or_default();
    if name.is_empty() {
        return Err(EngineError::invalid(format!("bad format for add-host: {host:?}")));
    }
    let bare = address.trim_start_matches('[').trim_end_matches(']');
    if address != "host-gateway" && bare.parse::<IpAddr>().is_err() {
        let text = format!("invalid IP address in add-host: {address:?}");
        return Err(EngineError::invalid(text));
    }
    Ok(())
}

fn check_port(binding: &PortBinding) -> Result<()> {
    let last = binding.host_port_end;
    let backwards = last != 0 && (last < binding.host_port || last > 65535);
    if binding.container_port == 0 || binding.container_port > 65535 || binding.host_port > 65535 || backwards
    {
        let text = format!(
            "invalid port binding {}:{}",
            binding.host_port, binding.container_port
        );
        return Err(EngineError::invalid(text));
    }
    if !matches!(binding.protocol.as_str(), "" | "tcp" | "udp") {
        return Err(EngineError::invalid(format!(
            "invalid protocol {:?}: tcp or udp",
            binding.protocol
        )));
    }
    Ok(())
}
