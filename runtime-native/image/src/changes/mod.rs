//! The instructions of `--change`, in the grammar of a Dockerfile.

mod words;

use crate::config::{ContainerConfig, Empty, Healthcheck};
use crate::error::{ImageError, Result};
use words::{expand, pairs, split};

/// Applies instructions such as `CMD ["sh"]` or `ENV A=1` in their order.
pub fn apply(config: &mut ContainerConfig, changes: &[String]) -> Result<()> {
    for change in changes {
        for line in change
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
        {
            let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            instruction(config, &name.to_ascii_uppercase(), rest.trim())?;
        }
    }
    Ok(())
}

fn instruction(config: &mut ContainerConfig, name: &str, rest: &str) -> Result<()> {
    let known = [
        "CMD",
        "ENTRYPOINT",
        "ENV",
        "EXPOSE",
        "HEALTHCHECK",
        "LABEL",
        "ONBUILD",
        "STOPSIGNAL",
        "USER",
        "VOLUME",
        "WORKDIR",
    ];
    if !known.contains(&name) {
        return Err(ImageError::invalid(format!(
            "{name} is not a valid change command"
        )));
    }
    if rest.is_empty() && !matches!(name, "CMD" | "ENTRYPOINT") {
        return Err(ImageError::invalid(format!(
            "{name} requires at least one argument"
        )));
    }
    let env = config.env.clone();
    let one = |what: &str| {
        let value = expand(rest, &env)?;
        match value.is_empty() {
            true => Err(ImageError::invalid(format!(
                "{what} requires exactly one argument"
            ))),
            false => Ok(value),
        }
    };
    match name {
        "CMD" => config.cmd = Some(command(config, rest)).filter(|c| !c.is_empty()),
        "ENTRYPOINT" => config.entrypoint = Some(command(config, rest)).filter(|c| !c.is_empty()),
        "ENV" => {
            for (key, value) in pairs("ENV", rest, &env)? {
                let entry = format!("{key}={value}");
                match config
                    .env
                    .iter_mut()
                    .find(|e| e.split('=').next() == Some(key.as_str()))
                {
                    Some(known) => *known = entry,
                    None => config.env.push(entry),
                }
            }
        }
        "LABEL" => config.labels.extend(pairs("LABEL", rest, &env)?),
        "EXPOSE" => {
            for word in split(rest) {
                for port in ports(&expand(&word, &env)?)? {
                    config.exposed_ports.insert(port, Empty {});
                }
            }
        }
        "VOLUME" => {
            let paths = match json_list(rest) {
                Some(list) => list,
                None => split(rest)
                    .iter()
                    .map(|word| expand(word, &env))
                    .collect::<Result<_>>()?,
            };
            for path in paths {
                if path.trim().is_empty() {
                    return Err(ImageError::invalid("VOLUME specified can not be an empty string"));
                }
                config.volumes.insert(path.trim().to_owned(), Empty {});
            }
        }
        "WORKDIR" => config.working_dir = join(&config.working_dir, &one(name)?),
        "USER" => config.user = one(name)?,
        "STOPSIGNAL" => config.stop_signal = one(name)?,
        "ONBUILD" => config.on_build.push(rest.to_owned()),
        _ => config.healthcheck = Some(healthcheck(rest)?),
    }
    Ok(())
}

/// The list form as it is, anything else as a line for the shell.
fn command(config: &ContainerConfig, rest: &str) -> Vec<String> {
    if rest.is_empty() {
        return Vec::new();
    }
    json_list(rest).unwrap_or_else(|| {
        let shell = config
            .shell
            .clone()
            .unwrap_or_else(|| vec!["/bin/sh".to_owned(), "-c".to_owned()]);
        shell.into_iter().chain([rest.to_owned()]).collect()
    })
}

fn json_list(text: &str) -> Option<Vec<String>> {
    if text.starts_with('[') {
        serde_json::from_str(text).ok()
    } else {
        None
    }
}

/// `80`, `80/udp`, `8000-8010/tcp`.
fn ports(text: &str) -> Result<Vec<String>> {
    let invalid = || ImageError::invalid(format!("invalid containerPort: {text}"));
    let (range, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    if !["tcp", "udp", "sctp"].contains(&protocol.as_str()) {
        return Err(ImageError::invalid(format!("invalid proto: {protocol}")));
    }
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let first: u16 = first.parse().map_err(|_| invalid())?;
    let last: u16 = last.parse().map_err(|_| invalid())?;
    if first > last {
        return Err(invalid());
    }
    Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
}

fn join(base: &str, path: &str) -> String {
    let whole = if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("{base}/{path}")
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

fn healthcheck(rest: &str) -> Result<Healthcheck> {
    let mut check = Healthcheck::default();
    let mut rest = rest;
    while let Some(option) = rest.strip_prefix("--") {
        let (option, after) = option.split_once(char::is_whitespace).unwrap_or((option, ""));
        rest = after.trim_start();
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        match name {
            "interval" => check.interval = duration(name, value)?,
            "timeout" => check.timeout = duration(name, value)?,
            "start-period" => check.start_period = duration(name, value)?,
            "start-interval" => check.start_interval = duration(name, value)?,
            "retries" => {
                let retries = value.parse().ok().filter(|n: &i64| *n >= 0);
                let invalid = || {
                    ImageError::invalid(format!("--retries must be a number of at least 0, not {value:?}"))
                };
                check.retries = retries.ok_or_else(invalid)?;
            }
            _ => return Err(ImageError::invalid(format!("unknown flag: --{name}"))),
        }
    }
    let (kind, command) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let command = command.trim();
    check.test = match kind.to_ascii_uppercase().as_str() {
        "NONE" if command.is_empty() => vec!["NONE".to_owned()],
        "NONE" => return Err(ImageError::invalid("HEALTHCHECK NONE takes no arguments")),
        "CMD" if command.is_empty() => {
            return Err(ImageError::invalid("missing command after HEALTHCHECK CMD"));
        }
        "CMD" => match json_list(command) {
            Some(list) => std::iter::once("CMD".to_owned()).chain(list).collect(),
            None => vec!["CMD-SHELL".to_owned(), command.to_owned()],
        },
        other => {
            let text = format!("unknown type {other:?} in HEALTHCHECK (try CMD or NONE)");
            return Err(ImageError::invalid(text));
        }
    };
    Ok(check)
}

/// `1m30s` and the like, in nanoseconds.
fn duration(name: &str, text: &str) -> Result<i64> {
    let invalid = || ImageError::invalid(format!("--{name}: invalid duration {text:?}"));
    let mut rest = text;
    let mut total = 0f64;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or_else(invalid)?;
        let number: f64 = rest[..digits].parse().map_err(|_| invalid())?;
        rest = &rest[digits..];
        let units = [
            ("ns", 1.0),
            ("us", 1e3),
            ("µs", 1e3),
            ("ms", 1e6),
            ("s", 1e9),
            ("m", 60e9),
            ("h", 3600e9),
        ];
        let (unit, nanos) = units
            .iter()
            .find(|(unit, _)| rest.starts_with(unit))
            .ok_or_else(invalid)?;
        total += number * nanos;
        rest = &rest[unit.len()..];
    }
    if text.is_empty() || total > 1e18 || (total > 0.0 && total < 1e6) {
        return Err(invalid());
    }
    Ok(total as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(changes: &[&str]) -> Result<ContainerConfig> {
        let mut config = ContainerConfig::default();
        apply(
            &mut config,
            &changes.iter().map(|c| (*c).to_owned()).collect::<Vec<_>>(),
        )?;
        Ok(config)
    }

    #[test]
    fn all_instructions() {
        let config = applied(&[
            r#"CMD ["/app", "-v"]"#,
            "entrypoint exec /entry $A",
            r#"ENV A=1 B="two words" C='$A' D=a\ b E=${A}x F=${Z:-none}"#,
            "ENV OLD style value",
            "ENV A=2",
            "EXPOSE 80 53/udp 9000-9002",
            "WORKDIR /srv",
            "WORKDIR app/../web",
            "USER 10:20",
            r#"LABEL a=b "c d"="e f""#,
            "VOLUME /data /more",
            r#"VOLUME ["/json"]"#,
            "STOPSIGNAL SIGINT",
            "ONBUILD RUN x",
            "HEALTHCHECK --interval=1m30s --retries=3 CMD curl -f localhost",
        ])
        .unwrap();
        assert_eq!(config.cmd.unwrap(), ["/app", "-v"]);
        assert_eq!(config.entrypoint.unwrap(), ["/bin/sh", "-c", "exec /entry $A"]);
        assert_eq!(
            config.env,
            [
                "A=2",
                "B=two words",
                "C=$A",
                "D=a b",
                "E=x",
                "F=none",
                "OLD=style value"
            ]
        );
        let ports: Vec<_> = config.exposed_ports.keys().cloned().collect();
        assert_eq!(ports, ["53/udp", "80/tcp", "9000/tcp", "9001/tcp", "9002/tcp"]);
        assert_eq!(
            (config.working_dir.as_str(), config.user.as_str()),
            ("/srv/web", "10:20")
        );
        assert_eq!(
            (config.labels["a"].as_str(), config.labels["c d"].as_str()),
            ("b", "e f")
        );
        assert_eq!(
            config.volumes.keys().collect::<Vec<_>>(),
            ["/data", "/json", "/more"]
        );
        let check = config.healthcheck.unwrap();
        assert_eq!((check.interval, check.retries), (90_000_000_000, 3));
        assert_eq!(check.test, ["CMD-SHELL", "curl -f localhost"]);
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for bad in [
            "RUN x",
            "ENV",
            "ENV A",
            "EXPOSE x",
            "EXPOSE 70000",
            "EXPOSE 80/foo",
            "USER",
            "LABEL a='b",
            "HEALTHCHECK x",
            "HEALTHCHECK --interval=3 CMD x",
            "HEALTHCHECK CMD",
            "WORKDIR",
            "VOLUME",
        ] {
            assert!(applied(&[bad]).is_err(), "{bad}");
        }
    }
}
