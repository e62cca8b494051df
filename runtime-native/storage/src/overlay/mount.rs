use std::ffi::CString;
use std::fs;
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, fsconfig_create,
    fsconfig_set_string, fsmount, fsopen, move_mount,
};

use crate::error::{ErrorKind, Result, StorageError};
use crate::tree;

const OVERLAY_MAGIC: rustix::fs::FsWord = 0x794c_7630;
/// The kernel takes this many bytes of a mount option's value.
const OPTION_LIMIT: usize = 255;
/// Features that would make a layer's directory unreadable on its own.
const PLAIN: [(&str, &str); 3] = [("index", "off"), ("metacopy", "off"), ("redirect_dir", "off")];

/// Which of the kernel's mount calls stacks the layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    /// fsopen and `lowerdir+`, one layer after another (Linux 6.7 and later).
    Fsopen,
    /// The one call of old, all layers in one string.
    Classic,
}

impl Method {
    pub(super) fn describe(self) -> &'static str {
        match self {
            Self::Fsopen => "fsopen",
            Self::Classic => "mount",
        }
    }
}

/// The directories of one mount; `lower` from the top down.
pub(super) struct Stack<'a> {
    pub lower: &'a [PathBuf],
    pub upper: &'a Path,
    pub work: &'a Path,
}

/// Mounts the stack at `target`.
pub(super) fn mount(method: Method, stack: &Stack<'_>, target: &Path) -> Result<()> {
    match method {
        Method::Fsopen => mount_fsopen(stack, target),
        Method::Classic => mount_classic(stack, target),
    }
    .map_err(|(error, said)| {
        let said = if said.is_empty() {
            String::new()
        } else {
            format!(" ({said})")
        };
        StorageError::io(format_args!("mount overlay at {}{said}", target.display()), error)
    })
}

type Failure = (Errno, String);

fn mount_fsopen(stack: &Stack<'_>, target: &Path) -> std::result::Result<(), Failure> {
    let quiet = |e: Errno| (e, String::new());
    let fs = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).map_err(quiet)?;
    let mut held = Vec::new();
    let configure = |held: &mut Vec<OwnedFd>| -> rustix::io::Result<()> {
        fsconfig_set_string(&fs, "source", "overlay")?;
        for (key, value) in PLAIN {
            fsconfig_set_string(&fs, key, value)?;
        }
        for lower in stack.lower {
            fsconfig_set_string(&fs, "lowerdir+", option_path(lower, held)?)?;
        }
        fsconfig_set_string(&fs, "upperdir", escape(&option_path(stack.upper, held)?))?;
        fsconfig_set_string(&fs, "workdir", escape(&option_path(stack.work, held)?))?;
        fsconfig_create(&fs)
    };
    configure(&mut held).map_err(|e| (e, kernel_words(&fs)))?;
    let mount = fsmount(&fs, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty()).map_err(quiet)?;
    move_mount(&mount, "", CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH).map_err(quiet)
}

fn mount_classic(stack: &Stack<'_>, target: &Path) -> std::result::Result<(), Failure> {
    let mount = || -> rustix::io::Result<()> {
        // One page must hold all layers, so each is named by a descriptor.
        let mut held = Vec::new();
        let mut options = b"lowerdir=".to_vec();
        for (at, lower) in stack.lower.iter().enumerate() {
            if at > 0 {
                options.push(b':');
            }
            options.extend(descriptor_path(lower, &mut held)?.as_os_str().as_bytes());
        }
        for (key, path) in [("upperdir", stack.upper), ("workdir", stack.work)] {
            options.extend(format!(",{key}=").into_bytes());
            options.extend(descriptor_path(path, &mut held)?.as_os_str().as_bytes());
        }
        for (key, value) in PLAIN {
            // A kernel built without the feature does not know its name.
            if Path::new("/sys/module/overlay/parameters").join(key).exists() {
                options.extend(format!(",{key}={value}").into_bytes());
            }
        }
        let options = CString::new(options).map_err(|_| Errno::INVAL)?;
        rustix::mount::mount(
            "overlay",
            target,
            "overlay",
            MountFlags::empty(),
            options.as_c_str(),
        )
    };
    mount().map_err(|e| (e, String::new()))
}

/// A path short enough for a mount option: itself, or the name of a descriptor kept open in `held`.
fn option_path(path: &Path, held: &mut Vec<OwnedFd>) -> rustix::io::Result<PathBuf> {
    if path.as_os_str().len()
        + path
            .as_os_str()
            .as_bytes()
            .iter()
            .filter(|b| **b == b'\\')
            .count()
        <= OPTION_LIMIT
    {
        return Ok(path.to_owned());
    }
    descriptor_path(path, held)
}

fn descriptor_path(path: &Path, held: &mut Vec<OwnedFd>) -> rustix::io::Result<PathBuf> {
    let fd = rustix::fs::open(
        path,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let name = PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()));
    held.push(fd);
    Ok(name)
}

fn escape(path: &Path) -> Vec<u8> {
    let mut out = Vec::new();
    for byte in path.as_os_str().as_bytes() {
        if *byte == b'\\' {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out
}

/// What the kernel has to say about a failed configuration.
fn kernel_words(fs: &OwnedFd) -> String {
    let Ok(fs) = fs.try_clone() else {
        return String::new();
    };
    let mut file = fs::File::from(fs);
    let mut words = Vec::new();
    let mut buffer = [0u8; 1024];
    // Each read gives one message; there are at most eight.
    for _ in 0..8 {
        match file.read(&mut buffer) {
            Ok(n) if n > 0 => words.push(String::from_utf8_lossy(&buffer[..n]).trim().to_owned()),
            _ => break,
        }
    }
    words.join("; ")
}

/// Whether an overlay is mounted on this very directory.
pub(super) fn is_overlay_mount(path: &Path) -> bool {
    tree::is_mount_point(path) && rustix::fs::statfs(path).is_ok_and(|s| s.f_type == OVERLAY_MAGIC)
}

/// Unmounts what is mounted at `path`, however often; a busy mount leaves the tree now and goes with its last user.
pub(super) fn unmount(path: &Path) -> Result<()> {
    while is_overlay_mount(path) && tree::unmount(path)? {}
    Ok(())
}

/// Tries a mount with a whiteout below `directory` and says what lacks when it fails.
pub(super) fn probe(directory: &Path) -> Result<Method> {
    let dir = |name: &str| directory.join(name);
    let made = || -> std::io::Result<()> {
        for name in ["lower", "upper", "work", "merged"] {
            fs::create_dir(dir(name))?;
        }
        fs::write(dir("lower").join("gone"), b"")
    };
    made().map_err(|e| StorageError::path("write in", directory, e))?;
    let lacks = |what: &str, error: String| {
        let text = format!(
            "overlay2 cannot be used on {} ({}): {what}: {error}; put the data root on ext4, xfs or btrfs, or use \
             --storage-driver vfs",
            directory.display(),
            filesystem_name(directory),
        );
        StorageError::new(ErrorKind::Unsupported, text)
    };
    rustix::fs::mknodat(
        CWD,
        dir("upper").join("gone"),
        FileType::CharacterDevice,
        Mode::empty(),
        0,
    )
    .map_err(|e| lacks("whiteouts cannot be made", e.to_string()))?;
    rustix::fs::setxattr(
        dir("upper"),
        "trusted.overlay.opaque",
        b"n",
        rustix::fs::XattrFlags::empty(),
    )
    .map_err(|e| lacks("the file system lacks trusted extended attributes", e.to_string()))?;
    let lower = [dir("lower")];
    let (upper, work, merged) = (dir("upper"), dir("work"), dir("merged"));
    let stack = Stack {
        lower: &lower,
        upper: &upper,
        work: &work,
    };
    let mut last = None;
    for method in [Method::Fsopen, Method::Classic] {
        match mount(method, &stack, &merged) {
            Ok(()) => {
                let hidden = !merged.join("gone").exists();
                let writable =
                    fs::write(merged.join("new"), b"").and_then(|()| fs::remove_file(merged.join("new")));
                unmount(&merged)?;
                writable.map_err(|e| lacks("the mount cannot be written to", e.to_string()))?;
                if !hidden {
                    return Err(lacks(
                        "whiteouts are not honoured",
                        "the deleted file shows".to_owned(),
                    ));
                }
                return Ok(method);
            }
            Err(error) => last = last.or(Some(error)),
        }
    }
    Err(lacks(
        "the kernel refuses the mount",
        last.map(|e| e.to_string()).unwrap_or_default(),
    ))
}

/// The name of the file system at `path`, for people.
pub(super) fn filesystem_name(path: &Path) -> String {
    let Ok(stat) = rustix::fs::statfs(path) else {
        return "unknown".to_owned();
    };
    let name = match stat.f_type {
        0xef53 => "extfs",
        0x9123_683e => "btrfs",
        0x5846_5342 => "xfs",
        0x0102_1994 => "tmpfs",
        0x2fc1_2fc1 => "zfs",
        0xf2f5_2010 => "f2fs",
        0x6969 => "nfs",
        0xca45_1a4e => "bcachefs",
        OVERLAY_MAGIC => "overlayfs",
        other => return format!("0x{other:x}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_methods_stack_many_layers() {
        let base = tempfile::tempdir().unwrap();
        for method in [Method::Fsopen, Method::Classic] {
            let root = base.path().join(method.describe());
            let lower: Vec<_> = (0..128).map(|n| root.join(format!("l{n}"))).collect();
            for (n, path) in lower.iter().enumerate() {
                fs::create_dir_all(path).unwrap();
                fs::write(path.join("top"), n.to_string()).unwrap();
                fs::write(path.join(format!("f{n}")), b"").unwrap();
            }
            let (upper, work, merged) = (root.join("upper"), root.join("work"), root.join("merged"));
            for path in [&upper, &work, &merged] {
                fs::create_dir(path).unwrap();
            }
            let stack = Stack {
                lower: &lower,
                upper: &upper,
                work: &work,
            };
            mount(method, &stack, &merged).unwrap();
            let seen = (
                fs::read(merged.join("top")),
                fs::read_dir(&merged).map(Iterator::count),
            );
            let written = fs::write(merged.join("new"), b"1");
            unmount(&merged).unwrap();
            assert_eq!((seen.0.unwrap(), seen.1.unwrap()), (b"0".to_vec(), 129));
            written.unwrap();
            assert!(upper.join("new").exists() && !is_overlay_mount(&merged));
        }
    }

    #[test]
    fn a_failed_mount_says_why() {
        let base = tempfile::tempdir().unwrap();
        let (missing, merged) = (base.path().join("missing"), base.path().join("merged"));
        fs::create_dir(&merged).unwrap();
        let stack = Stack {
            lower: std::slice::from_ref(&missing),
            upper: &missing,
            work: &missing,
        };
        let error = mount(Method::Fsopen, &stack, &merged).unwrap_err();
        assert!(error.to_string().contains("No such file or directory"), "{error}");
    }
}
