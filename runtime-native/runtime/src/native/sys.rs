//! The system calls that the C library does not wrap.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

pub(super) use libc::{
    MOUNT_ATTR__ATIME as ATTR_ATIME, MOUNT_ATTR_NOATIME as ATTR_NOATIME, MOUNT_ATTR_NODEV as ATTR_NODEV,
    MOUNT_ATTR_NODIRATIME as ATTR_NODIRATIME, MOUNT_ATTR_NOEXEC as ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID as ATTR_NOSUID, MOUNT_ATTR_RDONLY as ATTR_RDONLY,
    MOUNT_ATTR_STRICTATIME as ATTR_STRICTATIME,
};

pub(super) const RESOLVE_NO_XDEV: u64 = 0x01;
pub(super) const RESOLVE_NO_MAGICLINKS: u64 = 0x02;
pub(super) const RESOLVE_NO_SYMLINKS: u64 = 0x04;
pub(super) const RESOLVE_BENEATH: u64 = 0x08;
pub(super) const RESOLVE_IN_ROOT: u64 = 0x10;

const AT_RECURSIVE: libc::c_uint = 0x8000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

#[repr(C)]
struct OpenHow {
    flags: u64,
    mode: u64,
    resolve: u64,
}

#[repr(C, align(8))]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// What failed, with the object it failed on.
pub(super) type Outcome<T> = Result<T, String>;

/// Puts what was being done before the kernel's answer.
pub(super) fn when<T>(result: io::Result<T>, what: impl FnOnce() -> String) -> Outcome<T> {
    result.map_err(|err| format!("{}: {err}", what()))
}

pub(super) fn c_path(path: &Path) -> io::Result<CString> {
    Ok(CString::new(path.as_os_str().as_bytes())?)
}

pub(super) fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

pub(super) fn owned(result: libc::c_long) -> io::Result<OwnedFd> {
    // SAFETY: a descriptor that the kernel has just given to this process.
    check(result).map(|fd| unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Whether this kernel has all the calls below.
pub(super) fn available() -> bool {
    // The youngest of them, asked for nothing.
    // SAFETY: the kernel looks at no memory before it refuses the descriptor and the size.
    unsafe { libc::syscall(libc::SYS_mount_setattr, -1, c"".as_ptr(), 0, 0, 0) };
    io::Error::last_os_error().raw_os_error() != Some(libc::ENOSYS)
}

/// Opens a path below `at`, as the `RESOLVE_` flags say.
pub(super) fn open_at(at: &OwnedFd, path: &Path, flags: i32, resolve: u64) -> io::Result<OwnedFd> {
    let path = c_path(path)?;
    let how = OpenHow {
        flags: (flags | libc::O_CLOEXEC) as u64,
        mode: 0,
        resolve,
    };
    // SAFETY: path and structure outlive the call, and the size is the structure's.
    owned(unsafe {
        libc::syscall(
            libc::SYS_openat2,
            at.as_raw_fd(),
            path.as_ptr(),
            &how,
            size_of::<OpenHow>(),
        )
    })
}

/// A copy of what is mounted at a path of this process, attached nowhere.
pub(crate) fn clone_path(path: &Path, recursive: bool) -> io::Result<OwnedFd> {
    let path = c_path(path)?;
    clone_tree(libc::AT_FDCWD, &path, recursive, 0)
}

/// A copy of what `fd` shows, attached nowhere.
pub(super) fn clone_fd(fd: &OwnedFd, recursive: bool) -> io::Result<OwnedFd> {
    clone_tree(
        fd.as_raw_fd(),
        c"",
        recursive,
        libc::AT_EMPTY_PATH as libc::c_uint,
    )
}

fn clone_tree(at: RawFd, path: &CStr, recursive: bool, flags: libc::c_uint) -> io::Result<OwnedFd> {
    let recursion = if recursive { AT_RECURSIVE } else { 0 };
    let flags = libc::OPEN_TREE_CLONE | libc::O_CLOEXEC as libc::c_uint | recursion | flags;
    // SAFETY: the path outlives the call.
    owned(unsafe { libc::syscall(libc::SYS_open_tree, at, path.as_ptr(), flags) })
}

/// Attaches a mount at what `target` shows.
pub(super) fn attach(mount: &OwnedFd, target: &OwnedFd) -> io::Result<()> {
    let flags = libc::MOVE_MOUNT_F_EMPTY_PATH | libc::MOVE_MOUNT_T_EMPTY_PATH;
    // SAFETY: plain descriptors and empty paths.
    check(unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            mount.as_raw_fd(),
            c"".as_ptr(),
            target.as_raw_fd(),
            c"".as_ptr(),
            flags,
        )
    })
    .map(drop)
}

/// Changes the attributes and the propagation of a mount; with no propagation given, that stays.
pub(super) fn set_attributes(
    mount: &OwnedFd,
    set: u64,
    clear: u64,
    propagation: u64,
    recursive: bool,
) -> io::Result<()> {
    // A kind of access time is set in the place of another.
    let clear = clear | if set & ATTR_ATIME != 0 { ATTR_ATIME } else { 0 };
    let attributes = libc::mount_attr {
        attr_set: set,
        attr_clr: clear,
        propagation,
        userns_fd: 0,
    };
    change(mount, &attributes, recursive)
}

/// Shows the owners of a mount's files as a user namespace has them.
pub(crate) fn show_ids(mount: &OwnedFd, users: &OwnedFd) -> io::Result<()> {
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_IDMAP,
        attr_clr: 0,
        propagation: 0,
        userns_fd: users.as_raw_fd() as u64,
    };
    change(mount, &attributes, false)
}

fn change(mount: &OwnedFd, attributes: &libc::mount_attr, recursive: bool) -> io::Result<()> {
    let recursion = if recursive { AT_RECURSIVE } else { 0 };
    // SAFETY: the structure outlives the call, and the size is its own.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH as libc::c_uint | recursion,
            std::ptr::from_ref(attributes),
            size_of::<libc::mount_attr>(),
        )
    })
    .map(drop)
}

/// A new file system with these options (`name` or `name=value`), attached nowhere.
pub(super) fn new_filesystem(
    kind: &str,
    source: &Path,
    options: &[&str],
    attributes: u64,
) -> io::Result<OwnedFd> {
    let name = CString::new(kind)?;
    let source = c_path(source)?;
    // SAFETY: strings outlive the calls, which take plain numbers besides.
    unsafe {
        let context = owned(libc::syscall(
            libc::SYS_fsopen,
            name.as_ptr(),
            libc::FSOPEN_CLOEXEC,
        ))?;
        let fd = context.as_raw_fd();
        let configure = |command: libc::c_uint, key: *const libc::c_char, value: *const libc::c_char| {
            check(libc::syscall(libc::SYS_fsconfig, fd, command, key, value, 0)).map(drop)
        };
        configure(libc::FSCONFIG_SET_STRING, c"source".as_ptr(), source.as_ptr())?;
        for option in options {
            match option.split_once('=') {
                Some((key, value)) => {
                    let (key, value) = (CString::new(key)?, CString::new(value)?);
                    configure(libc::FSCONFIG_SET_STRING, key.as_ptr(), value.as_ptr())?;
                }
                None => configure(
                    libc::FSCONFIG_SET_FLAG,
                    CString::new(*option)?.as_ptr(),
                    std::ptr::null(),
                )?,
            }
        }
        configure(libc::FSCONFIG_CMD_CREATE, std::ptr::null(), std::ptr::null())?;
        owned(libc::syscall(
            libc::SYS_fsmount,
            fd,
            libc::FSMOUNT_CLOEXEC,
            attributes as libc::c_uint,
        ))
    }
}

/// Makes this process's new root what `root` shows, and lets go of the old one.
pub(super) fn pivot_root(root: &OwnedFd) -> io::Result<()> {
    // SAFETY: constant paths and plain descriptors.
    unsafe {
        let old = owned(
            libc::open(c"/".as_ptr(), libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC) as libc::c_long,
        )?;
        check(libc::fchdir(root.as_raw_fd()).into())?;
        // One on top of the other: there need be no directory for the old one.
        check(libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()))?;
        check(libc::fchdir(old.as_raw_fd()).into())?;
        propagate(libc::MS_SLAVE | libc::MS_REC, c".")?;
        check(libc::umount2(c".".as_ptr(), libc::MNT_DETACH).into())?;
        check(libc::chdir(c"/".as_ptr()).into())?;
    }
    Ok(())
}

/// Sets how mounts at a path propagate.
pub(super) fn propagate(flags: libc::c_ulong, path: &CStr) -> io::Result<()> {
    let none = std::ptr::null();
    // SAFETY: the path outlives the call; the kernel ignores the rest.
    check(unsafe { libc::mount(none, path.as_ptr(), none, flags, none.cast()) }.into()).map(drop)
}

/// Forks a child of this process's parent: into new namespaces, and into a v2 cgroup where one is given. Gives 0 in the
/// child.
///
/// # Safety
/// The process has a single thread.
pub(super) unsafe fn fork_sibling(namespaces: i32, cgroup: Option<&OwnedFd>) -> io::Result<i32> {
    let mut arguments = CloneArgs {
        flags: (libc::CLONE_PARENT | namespaces) as u32 as u64,
        ..CloneArgs::default()
    };
    if let Some(cgroup) = cgroup {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: the structure outlives the call; without a stack of its own the child has a copy of this one.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &arguments, size_of::<CloneArgs>()) };
    check(pid).map(|pid| pid as i32)
}
