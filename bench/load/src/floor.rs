//! What the kernel itself takes for a container: a process in new namespaces, the usual file systems mounted, the root
//! changed, the command executed, its end awaited. No spec, no state, no cgroup, no seccomp, no capabilities.

use std::ffi::{CStr, CString, c_char, c_int, c_long, c_ulong, c_void};
use std::io::{Error, Result};
use std::ptr::null;

const NEW_MOUNTS: c_int = 0x0002_0000;
const NEW_CGROUP: c_int = 0x0200_0000;
const NEW_NAMES: c_int = 0x0400_0000;
const NEW_IPC: c_int = 0x0800_0000;
const NEW_PIDS: c_int = 0x2000_0000;
const NEW_NETWORK: c_int = 0x4000_0000;
const CHILD_ENDS: c_int = 17;

const SLAVE: c_ulong = 1 << 19;
const BIND: c_ulong = 1 << 12;
const RECURSIVE: c_ulong = 1 << 14;
const DETACH: c_int = 2;

#[cfg(target_arch = "x86_64")]
const PIVOT_ROOT: c_long = 155;
#[cfg(target_arch = "x86_64")]
const CLONE: c_long = 56;
#[cfg(not(target_arch = "x86_64"))]
const PIVOT_ROOT: c_long = 41;
#[cfg(not(target_arch = "x86_64"))]
const CLONE: c_long = 220;

unsafe extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
    fn mount(
        source: *const c_char,
        target: *const c_char,
        kind: *const c_char,
        flags: c_ulong,
        data: *const c_void,
    ) -> c_int;
    fn umount2(target: *const c_char, flags: c_int) -> c_int;
    fn mkdir(path: *const c_char, mode: u32) -> c_int;
    fn chdir(path: *const c_char) -> c_int;
    fn execv(program: *const c_char, arguments: *const *const c_char) -> c_int;
    fn waitpid(process: c_int, status: *mut c_int, options: c_int) -> c_int;
    fn _exit(status: c_int) -> !;
}

/// What every container has mounted, the way below its root.
const FILE_SYSTEMS: [(&CStr, &CStr); 6] = [
    (c"proc", c"proc"),
    (c"tmpfs", c"dev"),
    (c"devpts", c"dev/pts"),
    (c"tmpfs", c"dev/shm"),
    (c"mqueue", c"dev/mqueue"),
    (c"sysfs", c"sys"),
];

/// Runs a command with `root` as its root directory, and waits for its end.
pub fn run(root: &str, command: &[&str]) -> Result<()> {
    let root = CString::new(root)?;
    let words = command
        .iter()
        .map(|word| CString::new(*word))
        .collect::<std::result::Result<Vec<_>, _>>()?;
    let arguments: Vec<_> = words.iter().map(|word| word.as_ptr()).chain([null()]).collect();
    let namespaces = NEW_MOUNTS | NEW_CGROUP | NEW_NAMES | NEW_IPC | NEW_PIDS | NEW_NETWORK;
    // SAFETY: without a stack of its own the child has a copy of this one; the process has a single thread.
    let child = check(unsafe { syscall(CLONE, namespaces | CHILD_ENDS, 0, 0, 0, 0) })?;
    if child == 0 {
        let failed = enter(&root).err().unwrap_or_else(|| {
            // SAFETY: the list ends with null and outlives the call.
            unsafe { execv(arguments[0], arguments.as_ptr()) };
            Error::last_os_error()
        });
        eprintln!("load: floor: {failed}");
        // SAFETY: ends the copy of this process.
        unsafe { _exit(127) }
    }
    let mut status = 0;
    // SAFETY: the status is a local.
    check(unsafe { waitpid(child as c_int, &raw mut status, 0) }.into())?;
    match status {
        0 => Ok(()),
        other => Err(Error::other(format!(
            "the command ended with wait status {other}"
        ))),
    }
}

fn enter(root: &CStr) -> Result<()> {
    // SAFETY: all strings are constants or outlive the calls.
    unsafe {
        let attach = |source: &CStr, target: &CStr, kind: *const c_char, flags: c_ulong| {
            check(mount(source.as_ptr(), target.as_ptr(), kind, flags, null()).into()).map(drop)
        };
        attach(c"", c"/", null(), SLAVE | RECURSIVE)?;
        attach(root, root, null(), BIND | RECURSIVE)?;
        check(chdir(root.as_ptr()).into())?;
        for (kind, target) in FILE_SYSTEMS {
            // It may be there.
            mkdir(target.as_ptr(), 0o755);
            attach(kind, target, kind.as_ptr(), 0)?;
        }
        check(syscall(PIVOT_ROOT, c".".as_ptr(), c".".as_ptr()))?;
        check(umount2(c".".as_ptr(), DETACH).into())?;
        check(chdir(c"/".as_ptr()).into())?;
    }
    Ok(())
}

fn check(result: c_long) -> Result<c_long> {
    if result < 0 {
        Err(Error::last_os_error())
    } else {
        Ok(result)
    }
}
