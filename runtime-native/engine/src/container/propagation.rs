//! How mounts that are made later spread between the host and a container.

use std::path::Path;

use crate::error::{EngineError, Result};
use crate::proto::Mount;

/// Refuses a mount that is to be shared with, or follow, a mount of the host that shares nothing.
pub fn check(propagation: &str, source: &Path) -> Result<()> {
    let (kinds, words): (&[&str], _) = match propagation {
        "shared" | "rshared" => (&["shared:"], "shared"),
        "slave" | "rslave" => (&["shared:", "master:"], "shared or slave"),
        _ => return Ok(()),
    };
    let table = std::fs::read_to_string("/proc/self/mountinfo")
        .map_err(|e| EngineError::io("read /proc/self/mountinfo", e))?;
    let source = std::fs::canonicalize(source)
        .map_err(|e| EngineError::io(format_args!("open {}", source.display()), e))?;
    let Some((point, tags)) = mount_of(&table, &source) else {
        return Ok(());
    };
    if tags
        .iter()
        .any(|tag| kinds.iter().any(|kind| tag.starts_with(kind)))
    {
        return Ok(());
    }
    let text = format!(
        "path {} is mounted on {point} but it is not a {words} mount",
        source.display()
    );
    Err(EngineError::invalid(text))
}

/// What the container's own root has to be for its mounts to spread as they ask; empty: as it is without them.
pub fn of_root(mounts: &[Mount]) -> &'static str {
    let shared = |mount: &Mount| matches!(mount.propagation.as_str(), "shared" | "rshared");
    if mounts.iter().any(shared) { "shared" } else { "" }
}

/// The mount point that a path is below, and its optional fields; the last of several is on top.
fn mount_of<'a>(table: &'a str, path: &Path) -> Option<(String, Vec<&'a str>)> {
    let fields = table.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(4);
        let point = unescape(fields.next()?);
        let tags = fields.skip(1).take_while(|field| *field != "-").collect();
        path.starts_with(&point).then_some((point, tags))
    });
    fields.max_by_key(|(point, _): &(String, Vec<&str>)| point.len())
}

/// Spaces and their like are octal in the kernel's table.
fn unescape(text: &str) -> String {
    ["\\040", "\\011", "\\012", "\\134"]
        .iter()
        .zip([" ", "\t", "\n", "\\"])
        .fold(text.to_owned(), |text, (code, plain)| text.replace(code, plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_mount_counts() {
        let table = "1 0 8:1 / / rw - ext4 /dev/a rw\n\
                     2 1 8:2 / /a\\040b rw,noatime shared:7 master:3 - ext4 /dev/b rw\n\
                     3 1 8:3 / /a\\040bc rw - ext4 /dev/c rw\n";
        let found = mount_of(table, Path::new("/a b/c")).unwrap();
        assert_eq!(found, ("/a b".to_owned(), vec!["shared:7", "master:3"]));
        assert_eq!(
            mount_of(table, Path::new("/x")).unwrap(),
            ("/".to_owned(), vec![])
        );
    }
}
