//! The container's file system: its mounts, devices, and what of it is hidden or read-only.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use oci_spec::runtime::{LinuxDevice, LinuxDeviceType};

use super::copy_up::copy_up;
use super::plan::{MountPlan, Plan, What};
use super::sys::{self, Outcome, when};
use crate::user_namespace::IdMap;
use crate::{proc_mounts, rootfs};

const IN_ROOT: u64 = sys::RESOLVE_IN_ROOT | sys::RESOLVE_NO_MAGICLINKS;

/// What each container has in its /dev.
const DEVICES: [(&str, u32, u32); 6] = [
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/tty", 5, 0),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
];
const LINKS: [(&str, &str); 5] = [
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
    ("pts/ptmx", "ptmx"),
];

/// The root of the container, and what was found on the way to it.
pub(super) struct Filesystem {
    pub(super) root: OwnedFd,
    proc: OwnedFd,
}

/// Makes everything that a container sees, in a mount namespace of its own, and makes it the root; `before` is called
/// while the host's paths can still be seen.
pub(super) fn enter(
    plan: &Plan,
    users: Option<&OwnedFd>,
    before: impl FnOnce() -> Outcome<()>,
) -> Outcome<Filesystem> {
    // Modes are as they are asked for.
    // SAFETY: a plain call; the command gets a mask of its own later.
    unsafe { libc::umask(0) };
    let linux = plan.spec.linux().as_ref();
    let kind = match linux.and_then(|linux| linux.rootfs_propagation().as_deref()) {
        Some("private" | "rprivate") => libc::MS_PRIVATE,
        _ => libc::MS_SLAVE,
    };
    when(sys::propagate(kind | libc::MS_REC, c"/"), || {
        "change how mounts propagate".into()
    })?;
    let root = when(bind_root(plan.rootfs), || {
        format!("mount the root {}", plan.rootfs.display())
    })?;
    let mut proc = None;
    for mount in &plan.mounts {
        let made = place(&root, mount, users)?;
        if mount.destination == Path::new("/proc") {
            proc = Some(made);
        }
    }
    let proc = proc.ok_or("the container has no /proc")?;
    if plan.own_dev {
        devices(
            &root,
            linux.and_then(|l| l.devices().as_deref()).unwrap_or_default(),
            plan.users.as_ref().map(|users| &users.ids),
        )?;
    }
    let filesystem = Filesystem { root, proc };
    // The masks take the container's own null device.
    if let Some(linux) = linux {
        filesystem.settle(linux.sysctl().iter().flatten())?;
        let paths = |paths: &'_ Option<Vec<String>>| paths.clone().unwrap_or_default();
        filesystem.protect(&paths(linux.readonly_paths()))?;
        filesystem.mask(&paths(linux.masked_paths()))?;
    }
    before()?;
    if plan
        .spec
        .root()
        .as_ref()
        .and_then(|root| root.readonly())
        .unwrap_or(false)
    {
        let made = sys::set_attributes(&filesystem.root, sys::ATTR_RDONLY, 0, 0, false);
        when(made, || "make the root read-only".into())?;
    }
    when(sys::pivot_root(&filesystem.root), || "change the root".into())?;
    Ok(filesystem)
}

fn bind_root(path: &Path) -> io::Result<OwnedFd> {
    let root = sys::clone_path(path, true)?;
    let here = open_host(path)?;
    sys::attach(&root, &here)?;
    Ok(root)
}

fn open_host(path: &Path) -> io::Result<OwnedFd> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    options.read(true).custom_flags(libc::O_PATH);
    options.open(path).map(OwnedFd::from)
}

fn place(root: &OwnedFd, plan: &MountPlan, users: Option<&OwnedFd>) -> Outcome<OwnedFd> {
    let name = plan.destination.display();
    let over_proc = proc_mounts::may_cover(&plan.destination);
    let (mount, is_dir, strict) = match &plan.what {
        What::Bind { source, recursive } => {
            let failed = || format!("mount {} to {name}", source.display());
            let mount = when(sys::clone_path(source, *recursive), failed)?;
            let is_dir = when(is_directory(&mount), failed)?;
            if let Some(users) = users.filter(|_| plan.shown_inside) {
                when(sys::show_ids(&mount, users), || {
                    format!("show other owners of the files at {name}")
                })?;
            }
            if plan.set != 0 || plan.clear != 0 {
                let set = sys::set_attributes(&mount, plan.set, plan.clear, 0, false);
                when(set, || format!("set the options of {name}"))?;
            }
            if plan.set_below != 0 {
                let set = sys::set_attributes(&mount, plan.set_below, 0, 0, true);
                when(set, || format!("make {name} read-only with all below"))?;
            }
            (mount, is_dir, over_proc)
        }
        What::Filesystem {
            kind,
            source,
            options,
            ..
        } => {
            let options: Vec<&str> = options.iter().map(String::as_str).collect();
            let made = sys::new_filesystem(kind, source, &options, plan.set);
            let mount = when(made, || format!("mount a {kind} to {name}"))?;
            (mount, true, matches!(kind.as_str(), "proc" | "sysfs"))
        }
    };
    let target = when(target(root, &plan.destination, is_dir, strict), || {
        format!("prepare the mount point {name}")
    })?;
    // By its name, or by a link of the image's or of a volume's.
    if !over_proc && when(is_proc(&target), || format!("look at {name}"))? {
        return Err(proc_mounts::refusal(&plan.destination));
    }
    if matches!(plan.what, What::Filesystem { copied_up: true, .. }) {
        let copy = || {
            let flags = libc::O_RDONLY | libc::O_DIRECTORY;
            let from = sys::open_at(&target, Path::new("."), flags, sys::RESOLVE_BENEATH)?;
            let to = sys::open_at(&mount, Path::new("."), flags, sys::RESOLVE_BENEATH)?;
            copy_up(&from, &to)
        };
        when(copy(), || format!("copy what the image has at {name}"))?;
    }
    when(sys::attach(&mount, &target), || format!("mount to {name}"))?;
    if plan.propagation != 0 {
        let set = sys::set_attributes(&mount, 0, 0, plan.propagation, plan.propagation_below);
        when(set, || format!("change how mounts below {name} propagate"))?;
    }
    Ok(mount)
}

/// The mount point, made where it is missing. A strict one has no link on its way: it is a part of /proc, or what the
/// kernel shows there is asked for confinement later.
fn target(root: &OwnedFd, path: &Path, is_dir: bool, strict: bool) -> io::Result<OwnedFd> {
    let resolve = if strict {
        IN_ROOT | sys::RESOLVE_NO_SYMLINKS
    } else {
        IN_ROOT
    };
    let flags = libc::O_PATH | if strict && is_dir { libc::O_DIRECTORY } else { 0 };
    match sys::open_at(root, path, flags, resolve) {
        Err(err) if err.kind() == ErrorKind::NotFound => {}
        found => return found,
    }
    let root_file = File::from(root.try_clone()?);
    if is_dir {
        rootfs::create_dir_all_at(&root_file, path, 0o755)?;
    } else {
        let parent = path.parent().unwrap_or(Path::new("/"));
        rootfs::create_dir_all_at(&root_file, parent, 0o755)?;
        let parent = sys::open_at(root, parent, libc::O_PATH | libc::O_DIRECTORY, IN_ROOT)?;
        let name = sys::c_path(Path::new(path.file_name().unwrap_or_default()))?;
        // SAFETY: the name is a C string of one component.
        let made = unsafe { libc::mknodat(parent.as_raw_fd(), name.as_ptr(), libc::S_IFREG | 0o644, 0) };
        sys::check(made.into())?;
    }
    sys::open_at(root, path, flags, resolve)
}

fn is_directory(fd: &OwnedFd) -> io::Result<bool> {
    Ok(status(fd)?.st_mode & libc::S_IFMT == libc::S_IFDIR)
}

fn is_proc(fd: &OwnedFd) -> io::Result<bool> {
    // SAFETY: an all-zero structure is valid, and it is ours.
    let mut found: libc::statfs = unsafe { std::mem::zeroed() };
    sys::check(unsafe { libc::fstatfs(fd.as_raw_fd(), &mut found) }.into())?;
    Ok(found.f_type == libc::PROC_SUPER_MAGIC)
}

fn status(fd: &OwnedFd) -> io::Result<libc::stat> {
    // SAFETY: an all-zero structure is valid, and it is ours.
    let mut status: libc::stat = unsafe { std::mem::zeroed() };
    sys::check(unsafe { libc::fstat(fd.as_raw_fd(), &mut status) }.into())?;
    Ok(status)
}

fn devices(root: &OwnedFd, asked: &[LinuxDevice], ids: Option<&IdMap>) -> Outcome<()> {
    let dev = sys::open_at(root, Path::new("/dev"), libc::O_PATH | libc::O_DIRECTORY, IN_ROOT);
    let dev = when(dev, || "open /dev".into())?;
    for (to, name) in LINKS.into_iter().chain(std::iter::once(("/proc/kcore", "core"))) {
        when(link(&dev, to, name), || format!("make /dev/{name}"))?;
    }
    for device in asked {
        let kind = match device.typ() {
            LinuxDeviceType::B => libc::S_IFBLK,
            LinuxDeviceType::P => libc::S_IFIFO,
            _ => libc::S_IFCHR,
        };
        let mode = kind | device.file_mode().unwrap_or(0o666);
        let inside = (device.uid().unwrap_or(0), device.gid().unwrap_or(0));
        // What is made belongs to root already.
        let owner = (inside != (0, 0)).then(|| ids.map_or(inside, |ids| ids.outside(inside)));
        let numbers = (device.major() as u32, device.minor() as u32);
        when(node(root, device.path(), mode, numbers, owner), || {
            format!("make the device {}", device.path().display())
        })?;
    }
    for (path, major, minor) in DEVICES {
        let path = Path::new(path);
        if !asked.iter().any(|device| device.path() == path) {
            let made = node(root, path, libc::S_IFCHR | 0o666, (major, minor), None);
            when(made, || format!("make the device {}", path.display()))?;
        }
    }
    Ok(())
}

fn link(dev: &OwnedFd, to: &str, name: &str) -> io::Result<()> {
    let (to, name) = (sys::c_path(Path::new(to))?, sys::c_path(Path::new(name))?);
    // SAFETY: C strings that outlive the call.
    let made = unsafe { libc::symlinkat(to.as_ptr(), dev.as_raw_fd(), name.as_ptr()) };
    unless_there(sys::check(made.into()).map(drop))
}

/// A mount of the user's may have put something there; that is what was asked for.
fn unless_there(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(err) if err.kind() == ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

fn node(
    root: &OwnedFd,
    path: &Path,
    mode: u32,
    numbers: (u32, u32),
    owner: Option<(u32, u32)>,
) -> io::Result<()> {
    let Some(parent) = path.parent().filter(|_| path.is_absolute()) else {
        return Err(io::Error::new(
            ErrorKind::InvalidInput,
            "its path is not absolute",
        ));
    };
    if parent != Path::new("/dev") {
        rootfs::create_dir_all_at(&File::from(root.try_clone()?), parent, 0o755)?;
    }
    let parent = sys::open_at(root, parent, libc::O_PATH | libc::O_DIRECTORY, IN_ROOT)?;
    let name = sys::c_path(Path::new(path.file_name().unwrap_or_default()))?;
    let device = libc::makedev(numbers.0, numbers.1);
    // SAFETY: the name is a C string of one component.
    let made = unsafe { libc::mknodat(parent.as_raw_fd(), name.as_ptr(), mode, device) };
    unless_there(sys::check(made.into()).map(drop))?;
    if let Some((user, group)) = owner {
        let flags = libc::AT_SYMLINK_NOFOLLOW;
        // SAFETY: as above.
        let changed = unsafe { libc::fchownat(parent.as_raw_fd(), name.as_ptr(), user, group, flags) };
        sys::check(changed.into())?;
    }
    Ok(())
}

impl Filesystem {
    /// Writes kernel parameters. Through the mount that was made here: nothing in the image can stand in for it.
    fn settle<'s>(&self, parameters: impl Iterator<Item = (&'s String, &'s String)>) -> Outcome<()> {
        let resolve = sys::RESOLVE_BENEATH
            | sys::RESOLVE_NO_SYMLINKS
            | sys::RESOLVE_NO_MAGICLINKS
            | sys::RESOLVE_NO_XDEV;
        for (name, value) in parameters {
            let path = format!("sys/{}", name.replace('.', "/"));
            let write = || {
                let file = sys::open_at(&self.proc, Path::new(&path), libc::O_WRONLY, resolve)?;
                File::from(file).write_all(value.as_bytes())
            };
            when(write(), || {
                format!("set the kernel parameter {name} to {value:?}")
            })?;
        }
        Ok(())
    }

    fn protect(&self, paths: &[String]) -> Outcome<()> {
        for path in paths {
            let Some(target) = self.find(path)? else { continue };
            let protect = || {
                let mount = sys::clone_fd(&target, true)?;
                let attributes = sys::ATTR_RDONLY | sys::ATTR_NOSUID | sys::ATTR_NODEV | sys::ATTR_NOEXEC;
                sys::set_attributes(&mount, attributes, 0, 0, false)?;
                sys::attach(&mount, &target)
            };
            when(protect(), || format!("make {path} read-only"))?;
        }
        Ok(())
    }

    /// Hides paths: an empty directory over a directory, the null device over anything else.
    fn mask(&self, paths: &[String]) -> Outcome<()> {
        let null = when(self.null(), || "open the container's /dev/null".into())?;
        for path in paths {
            let Some(target) = self.find(path)? else { continue };
            let mask = || {
                let mount = match is_directory(&target)? {
                    false => sys::clone_fd(&null, false)?,
                    true => sys::new_filesystem("tmpfs", Path::new("tmpfs"), &["ro"], sys::ATTR_RDONLY)?,
                };
                sys::attach(&mount, &target)
            };
            when(mask(), || format!("mask {path}"))?;
        }
        Ok(())
    }

    fn find(&self, path: &str) -> Outcome<Option<OwnedFd>> {
        match sys::open_at(&self.root, Path::new(path), libc::O_PATH, IN_ROOT) {
            Ok(found) => Ok(Some(found)),
            Err(err) if matches!(err.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR)) => Ok(None),
            Err(err) => Err(format!("open {path}: {err}")),
        }
    }

    fn null(&self) -> io::Result<OwnedFd> {
        let resolve = IN_ROOT | sys::RESOLVE_NO_SYMLINKS;
        let null = sys::open_at(&self.root, Path::new("/dev/null"), libc::O_PATH, resolve)?;
        if is_null(&status(&null)?) {
            return Ok(null);
        }
        Err(io::Error::new(
            ErrorKind::InvalidData,
            "it is not the null device",
        ))
    }

    /// Standard streams that are the host's null device become the container's.
    pub(super) fn take_null(&self) -> io::Result<()> {
        for stream in 0..3 {
            // SAFETY: an all-zero structure is valid, and it is ours.
            let mut found: libc::stat = unsafe { std::mem::zeroed() };
            sys::check(unsafe { libc::fstat(stream, &mut found) }.into())?;
            if is_null(&found) {
                let resolve = IN_ROOT | sys::RESOLVE_NO_SYMLINKS;
                let null = sys::open_at(&self.root, Path::new("/dev/null"), libc::O_RDWR, resolve)?;
                if !is_null(&status(&null)?) {
                    return Err(io::Error::new(
                        ErrorKind::InvalidData,
                        "it is not the null device",
                    ));
                }
                // SAFETY: both descriptors are open.
                sys::check(unsafe { libc::dup2(null.as_raw_fd(), stream) }.into())?;
            }
        }
        Ok(())
    }
}

fn is_null(status: &libc::stat) -> bool {
    status.st_mode & libc::S_IFMT == libc::S_IFCHR && status.st_rdev == libc::makedev(1, 3)
}
