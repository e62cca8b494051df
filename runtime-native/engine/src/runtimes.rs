//! The OCI runtimes that containers can be made with, by name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::error::{EngineError, Result};

/// Creel's own, which is no program of its own.
pub const OWN: &str = "creel";
/// The same by the name that Docker's clients know for the usual one.
const USUAL: &str = "io.containerd.runc.v2";
/// Those that are there where they are installed.
const KNOWN: [&str; 2] = ["runc", "crun"];

/// Names and programs.
#[derive(Clone, Debug)]
pub struct Runtimes {
    programs: BTreeMap<String, PathBuf>,
    default: String,
}

impl Runtimes {
    /// The added ones (`NAME=PATH`), and those known ones that are found on the PATH. The error is a text for the person.
    pub fn new(added: &[String], default: &str) -> std::result::Result<Self, String> {
        let mut programs: BTreeMap<String, PathBuf> = KNOWN
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), find(name)?)))
            .collect();
        for text in added {
            let Some((name, path)) = text
                .split_once('=')
                .filter(|(name, path)| !name.is_empty() && !path.is_empty())
            else {
                return Err(format!("invalid --add-runtime {text:?}: use NAME=PATH"));
            };
            if name == OWN {
                return Err(format!(
                    "invalid --add-runtime {text:?}: the name {OWN} is taken by Creel's own runtime"
                ));
            }
            let program = find(path).ok_or_else(|| {
                format!("invalid --add-runtime {text:?}: {path} is no program that can be executed")
            })?;
            programs.insert(name.to_owned(), program);
        }
        let runtimes = Self {
            programs,
            default: if default.is_empty() { OWN } else { default }.to_owned(),
        };
        if !runtimes.names().contains(&runtimes.default) {
            return Err(format!(
                "unknown --default-runtime {default:?}: one of {}",
                runtimes.names().join(", ")
            ));
        }
        Ok(runtimes)
    }

    /// All names, the default one first.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = [OWN.to_owned()]
            .into_iter()
            .chain(self.programs.keys().cloned())
            .collect();
        names.sort_by_key(|name| *name != self.default);
        names
    }

    /// The program of a runtime; none for Creel's own. The empty name is the default.
    pub fn program(&self, name: &str) -> Result<Option<&Path>> {
        let name = if name.is_empty() { &self.default } else { name };
        if name == OWN || name == USUAL {
            return Ok(None);
        }
        match self.programs.get(name) {
            Some(program) => Ok(Some(program)),
            None => Err(EngineError::invalid(format!(
                "unknown or invalid runtime name: {name}"
            ))),
        }
    }
}

fn find(program: &str) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let executable = |path: &Path| {
        path.metadata()
            .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    if program.contains('/') {
        return std::path::absolute(program).ok().filter(|path| executable(path));
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/sbin:/usr/bin:/sbin:/bin".into());
    std::env::split_paths(&path)
        .map(|directory| directory.join(program))
        .find(|path| executable(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_for_programs() {
        let runtimes = Runtimes::new(&["sh=/bin/sh".into(), "env=env".into()], "sh").unwrap();
        assert_eq!(runtimes.names()[0], "sh");
        assert_eq!(runtimes.program("").unwrap(), Some(Path::new("/bin/sh")));
        assert_eq!(runtimes.program("creel").unwrap(), None);
        assert_eq!(runtimes.program(USUAL).unwrap(), None);
        assert!(runtimes.program("env").unwrap().is_some());
        assert!(
            runtimes
                .program("nothing")
                .unwrap_err()
                .to_string()
                .contains("unknown or invalid runtime name: nothing")
        );
        for (added, default) in [
            ("x", ""),
            ("x=/nowhere", ""),
            ("creel=/bin/sh", ""),
            ("x=/bin/sh", "y"),
        ] {
            assert!(
                Runtimes::new(&[added.into()], default).is_err(),
                "{added} {default}"
            );
        }
    }
}
