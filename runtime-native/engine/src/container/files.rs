//! Secrets and configs: files in a tmpfs of the container's own, never on disk.

use std::fs;
use std::os::unix::fs::{OpenOptionsExt, chown};
use std::path::{Path, PathBuf};

use creel_runtime::spec::MountInput;
use rustix::mount::{MountFlags, UnmountFlags};

use crate::error::{EngineError, Result};
use crate::proto::File;

/// Bytes of a container's /dev/shm that does not say otherwise.
pub const SHM_SIZE: i64 = 64 << 20;

/// Puts the files into a tmpfs at `dir`. It stays until the container has ended, over restarts of the engine.
pub fn put(dir: &Path, files: &[File], contents: &[Vec<u8>]) -> Result<()> {
    let failed = |e: std::io::Error| EngineError::io(format_args!("put files into {}", dir.display()), e);
    fs::create_dir_all(dir).map_err(failed)?;
    let bytes: usize = contents.iter().map(|c| c.len().next_multiple_of(4096)).sum();
    let options = format!(
        "mode=0700,size={},nr_inodes={}",
        bytes + (64 << 10),
        files.len() + 16
    );
    let options = std::ffi::CString::new(options).expect("no zero byte");
    // a config with mode 0555 may be a script, as it may with Docker
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    rustix::mount::mount("tmpfs", dir, "tmpfs", flags, Some(options.as_c_str()))
        .map_err(|e| failed(e.into()))?;
    for (index, (file, content)) in files.iter().zip(contents).enumerate() {
        if !file.target.starts_with('/') {
            let text = format!(
                "invalid target {:?} of a file: it needs to be an absolute path",
                file.target
            );
            return Err(EngineError::invalid(text));
        }
        let path = dir.join(index.to_string());
        let mode = if file.mode == 0 { 0o444 } else { file.mode & 0o7777 };
        let mut open = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        std::io::Write::write_all(&mut open, content).map_err(failed)?;
        chown(&path, Some(file.uid), Some(file.gid)).map_err(failed)?;
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(mode)).map_err(failed)?;
    }
    Ok(())
}

/// Makes the tmpfs that containers have in common as their /dev/shm; `size` in bytes, 0: the usual one.
pub fn put_shm(dir: &Path, size: i64) -> Result<()> {
    let failed = |e: std::io::Error| EngineError::io(format_args!("mount {}", dir.display()), e);
    drop_all(dir);
    fs::create_dir_all(dir).map_err(failed)?;
    let size = if size > 0 { size } else { SHM_SIZE };
    let options = std::ffi::CString::new(format!("mode=1777,size={size}")).expect("no zero byte");
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    rustix::mount::mount("shm", dir, "tmpfs", flags, Some(options.as_c_str())).map_err(|e| failed(e.into()))
}

/// The mounts that bring the files to their places.
pub fn inputs(dir: &Path, files: &[File]) -> Result<Vec<MountInput>> {
    let one = |(index, file): (usize, &File)| -> Result<MountInput> {
        let source: PathBuf = dir.join(index.to_string());
        if !source.exists() {
            let text = format!(
                "the content of {} is gone: it lived in memory until the container had ended; a new task of its service has it again",
                file.target
            );
            return Err(EngineError::conflict(text));
        }
        Ok(MountInput {
            destination: (&file.target).into(),
            kind: "bind".into(),
            source,
            options: ["bind", "rprivate", "ro", "nosuid", "nodev"]
                .map(str::to_owned)
                .to_vec(),
            shown_inside: true,
        })
    };
    files.iter().enumerate().map(one).collect()
}

/// Unmounts the tmpfs; none is no error.
pub fn drop_all(dir: &Path) {
    while rustix::mount::unmount(dir, UnmountFlags::DETACH).is_ok() {}
}

/// Drops what is mounted on it, and removes the folder.
pub fn remove(dir: &Path) {
    drop_all(dir);
    let _ = fs::remove_dir(dir);
}
