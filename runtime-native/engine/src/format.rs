//! The version of the data root's layout.

use std::fs;
use std::io::Write;
use std::path::Path;

use crate::error::{EngineError, Result};

/// What this version writes. One that must be converted gets a number of its own.
const FORMAT: u64 = 1;

/// Refuses a data root that a newer Creel has written; marks one that has no format yet.
pub fn check(data_root: &Path) -> Result<()> {
    let path = data_root.join("format");
    let failed = |e| EngineError::io(format_args!("read {}", path.display()), e);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return mark(&path),
        Err(error) => return Err(failed(error)),
    };
    match text.trim().parse::<u64>() {
        Ok(found) if found > FORMAT => Err(EngineError::internal(format!(
            "{} was written by a newer Creel (format {found}; this one knows {FORMAT}): start the newer version",
            path.display()
        ))),
        Ok(1..=FORMAT) => Ok(()),
        _ => Err(EngineError::internal(format!(
            "{} is damaged: it holds no format",
            path.display()
        ))),
    }
}

fn mark(path: &Path) -> Result<()> {
    let failed = |e| EngineError::io(format_args!("write {}", path.display()), e);
    let new = path.with_extension("new");
    let mut file = fs::File::create(&new).map_err(failed)?;
    writeln!(file, "{FORMAT}").map_err(failed)?;
    file.sync_all().map_err(failed)?;
    fs::rename(&new, path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_what_is_new_and_refuses_what_is_newer() {
        let root = tempfile::tempdir().unwrap();
        check(root.path()).unwrap();
        check(root.path()).unwrap();
        assert_eq!(fs::read_to_string(root.path().join("format")).unwrap(), "1\n");
        fs::write(root.path().join("format"), "2\n").unwrap();
        let text = check(root.path()).unwrap_err().to_string();
        assert!(
            text.contains("newer Creel (format 2; this one knows 1)"),
            "{text}"
        );
        fs::write(root.path().join("format"), "nonsense").unwrap();
        assert!(check(root.path()).unwrap_err().to_string().contains("is damaged"));
    }
}
