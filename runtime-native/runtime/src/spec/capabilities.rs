use std::collections::BTreeSet;

use crate::RuntimeError;
use crate::privileges::{NAMES, grantable};

const DEFAULT: [&str; 14] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];

/// The capabilities of a container: Docker's default ones, with what is added and without what is dropped.
pub(super) fn resolve(
    privileged: bool,
    add: &[String],
    drop: &[String],
) -> Result<BTreeSet<String>, RuntimeError> {
    let (add, drop) = (normalize(add)?, normalize(drop)?);
    let mut grantable = named(grantable());
    if privileged {
        return Ok(grantable);
    }
    let missing = add
        .iter()
        .find(|name| *name != "ALL" && !grantable.contains(*name));
    if let Some(name) = missing {
        return Err(RuntimeError::Invalid(format!(
            "the engine itself does not have the capability {name}"
        )));
    }
    let all = "ALL".to_owned();
    let mut set = match (add.contains(&all), drop.contains(&all)) {
        (true, _) => std::mem::take(&mut grantable),
        (false, true) => BTreeSet::new(),
        (false, false) => DEFAULT.iter().map(|name| (*name).to_owned()).collect(),
    };
    if !drop.contains(&all) {
        set.retain(|name| !drop.contains(name));
    }
    set.extend(add.into_iter().filter(|name| *name != all));
    Ok(set)
}

fn named(mask: u64) -> BTreeSet<String> {
    let has = |(number, _): &(usize, &&str)| mask & 1 << number != 0;
    NAMES
        .iter()
        .enumerate()
        .filter(has)
        .map(|(_, name)| (*name).to_owned())
        .collect()
}

fn normalize(names: &[String]) -> Result<Vec<String>, RuntimeError> {
    names
        .iter()
        .map(|given| {
            let upper = given.trim().to_uppercase();
            if upper == "ALL" || upper == "CAP_ALL" {
                return Ok("ALL".to_owned());
            }
            let full = if upper.starts_with("CAP_") {
                upper
            } else {
                format!("CAP_{upper}")
            };
            if NAMES.contains(&full.as_str()) {
                Ok(full)
            } else {
                Err(RuntimeError::Invalid(format!("invalid capability: {given:?}")))
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn adds_and_drops_as_docker_does() {
        let resolved = |add: &[&str], drop: &[&str]| resolve(false, &strings(add), &strings(drop)).unwrap();
        assert_eq!(resolved(&[], &[]).len(), 14);
        assert!(resolved(&["net_admin"], &[]).contains("CAP_NET_ADMIN"));
        assert!(!resolved(&[], &["CAP_CHOWN"]).contains("CAP_CHOWN"));
        assert_eq!(
            resolved(&["KILL"], &["ALL"]).into_iter().collect::<Vec<_>>(),
            ["CAP_KILL"]
        );
        assert!(!resolved(&["ALL"], &["SYS_ADMIN"]).contains("CAP_SYS_ADMIN"));
        assert!(
            resolve(false, &strings(&["FLY"]), &[])
                .unwrap_err()
                .to_string()
                .contains("FLY")
        );
    }
}
