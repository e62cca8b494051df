//! A container's process: what the caller asked for, with the image's defaults where nothing was said.

use std::collections::BTreeMap;

use super::checks::check_health;
use super::record::{Definition, Merged};
use super::signals;
use crate::error::{EngineError, Result};
use crate::ids;
use crate::proto::{ContainerSpec, Healthcheck, ImageConfig};

/// Merges a spec with the image's configuration, by Docker's rules.
pub fn merge(id: &str, spec: &ContainerSpec, image: &ImageConfig) -> Result<Merged> {
    let own_entrypoint = !spec.entrypoint.is_empty() || spec.clear_entrypoint;
    let entrypoint = if own_entrypoint {
        &spec.entrypoint
    } else {
        &image.entrypoint
    };
    // An image's command belongs to its own entrypoint, so another entrypoint drops it.
    let cmd = if spec.cmd.is_empty() && !own_entrypoint {
        &image.cmd
    } else {
        &spec.cmd
    };
    let first = entrypoint.iter().chain(cmd).next();
    if first.is_none() {
        return Err(EngineError::invalid("no command specified"));
    }
    let mut labels: BTreeMap<_, _> = image.labels.clone().into_iter().collect();
    labels.extend(spec.labels.clone());
    let mut exposed: Vec<String> = image.exposed_ports.clone();
    exposed.extend(spec.exposed_ports.iter().cloned());
    exposed.extend(
        spec.ports
            .iter()
            .map(|p| format!("{}/{}", p.container_port, protocol(&p.protocol))),
    );
    exposed.sort();
    exposed.dedup();
    let stop_signal = if spec.stop_signal.is_empty() {
        &image.stop_signal
    } else {
        &spec.stop_signal
    };
    let working_dir = or(&spec.working_dir, &image.working_dir);
    if !working_dir.is_empty() && !working_dir.starts_with('/') {
        let text =
            format!("the working directory '{working_dir}' is invalid, it needs to be an absolute path");
        return Err(EngineError::invalid(text));
    }
    let hosts_own = spec.uts_mode == "host" || spec.network_mode == "host" || on_host_network(spec);
    let hostname = match spec.hostname.as_str() {
        "" if hosts_own => rustix::system::uname().nodename().to_string_lossy().into_owned(),
        "" => ids::short(id).to_owned(),
        own => own.to_owned(),
    };
    Ok(Merged {
        entrypoint: entrypoint.clone(),
        cmd: cmd.clone(),
        env: overridden(image.env.clone(), &spec.env),
        working_dir,
        user: or(&spec.user, &image.user),
        labels,
        stop_signal: signals::parse(stop_signal, libc::SIGTERM)?,
        healthcheck: merge_health(spec.healthcheck.as_ref(), image.healthcheck.as_ref())?,
        hostname,
        exposed_ports: exposed,
    })
}

pub(super) fn on_host_network(spec: &ContainerSpec) -> bool {
    spec.networks.first().is_some_and(|n| n.network == "host")
}

/// The protocol of a port, `tcp` when nothing is said.
pub fn protocol(text: &str) -> &str {
    if text.is_empty() { "tcp" } else { text }
}

fn or(own: &str, image: &str) -> String {
    (if own.is_empty() { image } else { own }).to_owned()
}

/// The environment of a container's process: what Docker gives every one, below what its image and its maker say.
pub fn environment(definition: &Definition, tty: bool) -> Vec<String> {
    let mut env = vec![
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
        format!("HOSTNAME={}", definition.merged.hostname),
    ];
    if tty {
        env.push("TERM=xterm".to_owned());
    }
    // The maker's own once more: a name alone takes away what every one is given, too.
    overridden(overridden(env, &definition.merged.env), &definition.spec.env)
}

/// `env` with what `by` says: `NAME=value` in the place of a former one, `NAME` alone removes.
pub fn overridden(mut env: Vec<String>, by: &[String]) -> Vec<String> {
    for entry in by {
        let place = env.iter().position(|e| name(e) == name(entry));
        match (place, entry.contains('=')) {
            (Some(place), true) => env[place].clone_from(entry),
            (Some(place), false) => drop(env.remove(place)),
            (None, true) => env.push(entry.clone()),
            (None, false) => {}
        }
    }
    env
}

fn name(entry: &str) -> &str {
    entry.split('=').next().unwrap_or_default()
}

fn merge_health(own: Option<&Healthcheck>, image: Option<&Healthcheck>) -> Result<Option<Healthcheck>> {
    let mut merged = match (own, image) {
        (None, None) => return Ok(None),
        (Some(check), None) | (None, Some(check)) => check.clone(),
        (Some(own), Some(image)) => {
            let mut merged = own.clone();
            if merged.test.is_empty() {
                merged.test.clone_from(&image.test);
            }
            let fill = |own: &mut i64, image: i64| {
                if *own == 0 {
                    *own = image;
                }
            };
            fill(&mut merged.interval_nanos, image.interval_nanos);
            fill(&mut merged.timeout_nanos, image.timeout_nanos);
            fill(&mut merged.start_period_nanos, image.start_period_nanos);
            fill(&mut merged.start_interval_nanos, image.start_interval_nanos);
            if merged.retries == 0 {
                merged.retries = image.retries;
            }
            merged
        }
    };
    check_health(&merged)?;
    match merged.test.first().map(String::as_str) {
        None | Some("NONE") => Ok(None),
        Some("CMD" | "CMD-SHELL") if merged.test.len() > 1 => {
            let or = |value: &mut i64, default: i64| {
                if *value <= 0 {
                    *value = default;
                }
            };
            or(&mut merged.interval_nanos, 30_000_000_000);
            or(&mut merged.timeout_nanos, 30_000_000_000);
            or(&mut merged.start_interval_nanos, 5_000_000_000);
            if merged.retries <= 0 {
                merged.retries = 3;
            }
            Ok(Some(merged))
        }
        Some(other) => Err(EngineError::invalid(format!(
            "Unknown healthcheck type in health check: {other:?}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn the_image_fills_what_the_caller_left_open() {
        let image = ImageConfig {
            entrypoint: words("/bin/app"),
            cmd: words("--help"),
            env: words("A=1 B=2"),
            user: "web".into(),
            ..ImageConfig::default()
        };
        let spec = ContainerSpec {
            env: words("B C=3"),
            ..ContainerSpec::default()
        };
        let merged = merge(&"ab".repeat(32), &spec, &image).unwrap();
        assert_eq!(merged.argv(), words("/bin/app --help"));
        assert_eq!(merged.user, "web");
        assert_eq!(merged.hostname, "abababababab");
        assert_eq!(merged.env, words("A=1 C=3"));
        assert_eq!(merged.stop_signal, libc::SIGTERM);

        let spec = ContainerSpec {
            entrypoint: words("/bin/sh"),
            ..ContainerSpec::default()
        };
        assert_eq!(merge("x", &spec, &image).unwrap().argv(), words("/bin/sh"));
        let spec = ContainerSpec {
            cmd: words("serve"),
            ..ContainerSpec::default()
        };
        assert_eq!(merge("x", &spec, &image).unwrap().argv(), words("/bin/app serve"));
        let spec = ContainerSpec {
            clear_entrypoint: true,
            cmd: words("ls"),
            ..ContainerSpec::default()
        };
        assert_eq!(merge("x", &spec, &image).unwrap().argv(), words("ls"));
        assert!(merge("x", &ContainerSpec::default(), &ImageConfig::default()).is_err());
    }
}
