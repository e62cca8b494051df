//! Looks into a container's root without ever being led out of it by a link.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

const RESOLVE_IN_ROOT: u64 = 0x10;
const RESOLVE_NO_MAGICLINKS: u64 = 0x02;

/// Opens a path as a process inside the root would: links are followed, and never leave the root.
pub fn open_in_root(root: &File, path: &Path, flags: i32) -> io::Result<File> {
    #[repr(C)]
    struct OpenHow {
        flags: u64,
        mode: u64,
        resolve: u64,
    }
    let how = OpenHow {
        flags: (flags | libc::O_CLOEXEC) as u64,
        mode: 0,
        resolve: RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
    };
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: path and how outlive the call; the descriptor is new and ours.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_openat2,
            root.as_raw_fd(),
            path.as_ptr(),
            &how,
            std::mem::size_of::<OpenHow>(),
        )
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(File::from(unsafe { OwnedFd::from_raw_fd(fd as i32) }))
}

/// Reads a regular file of the root, at most `limit` bytes of it.
pub fn read_in_root(root: &Path, path: &Path, limit: u64) -> io::Result<String> {
    let root = File::open(root)?;
    let file = open_in_root(&root, path, libc::O_RDONLY | libc::O_NONBLOCK)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Makes a directory and its parents inside the root.
pub fn create_dir_all(root: &Path, path: &Path, mode: u32) -> io::Result<()> {
    create_dir_all_at(&File::open(root)?, path, mode)
}

/// The same, below a directory that is open.
pub(crate) fn create_dir_all_at(root: &File, path: &Path, mode: u32) -> io::Result<()> {
    let mut walked = std::path::PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::RootDir | Component::CurDir => continue,
            Component::Normal(name) => walked.push(name),
            Component::ParentDir => {
                walked.pop();
                continue;
            }
            Component::Prefix(_) => return Err(io::ErrorKind::InvalidInput.into()),
        }
        match open_in_root(root, &walked, libc::O_PATH | libc::O_DIRECTORY) {
            Err(err) if err.kind() == io::ErrorKind::NotFound => {
                let name = CString::new(walked.file_name().unwrap_or_default().as_bytes())?;
                let parent = open_in_root(root, walked.parent().unwrap_or(Path::new("/")), libc::O_PATH)?;
                // SAFETY: the name is a C string of one component.
                if unsafe { libc::mkdirat(parent.as_raw_fd(), name.as_ptr(), mode) } != 0 {
                    let err = io::Error::last_os_error();
                    if err.kind() != io::ErrorKind::AlreadyExists {
                        return Err(err);
                    }
                }
                open_in_root(root, &walked, libc::O_PATH | libc::O_DIRECTORY)?;
            }
            other => drop(other?),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_never_lead_out_of_the_root() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret"), "outside").unwrap();
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("etc")).unwrap();
        fs::write(root.path().join("etc/real"), "inside").unwrap();
        symlink("/etc/real", root.path().join("etc/absolute")).unwrap();
        symlink(outside.path().join("secret"), root.path().join("etc/passwd")).unwrap();
        symlink(outside.path(), root.path().join("away")).unwrap();
        let read = |path: &str| read_in_root(root.path(), Path::new(path), 100);
        assert_eq!(read("/etc/absolute").unwrap(), "inside");
        assert_eq!(read("/../../etc/real").unwrap(), "inside");
        assert_eq!(read("/etc/passwd").unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(read("/etc").is_err());
        assert!(create_dir_all(root.path(), Path::new("/away/new"), 0o755).is_err());
        assert!(!outside.path().join("new").exists());
        create_dir_all(root.path(), Path::new("/a/b/../c"), 0o755).unwrap();
        assert!(root.path().join("a/c").is_dir());
    }
}
