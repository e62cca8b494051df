//! A container must not be able to write to the program that makes it, whatever it finds under /proc/PID/exe
//! (CVE-2019-5736): the program runs from a read-only view of itself that is mounted nowhere.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStringExt;

use crate::Outcome;

const SEALED: &str = "_CREEL_RUNTIME_SEALED";

/// Executes this program again from a read-only view of it. Returns where it already runs from one.
pub fn seal() -> Outcome<()> {
    // SAFETY: a plain call.
    if unsafe { libc::geteuid() } != 0 {
        return Err("only root can make containers with this runtime".into());
    }
    run_sealed().map_err(|err| format!("seal the runtime's program: {err}"))
}

fn run_sealed() -> io::Result<()> {
    if std::env::var_os(SEALED).is_some() {
        // SAFETY: the process has a single thread. Nothing it starts is to have the mark.
        unsafe { std::env::remove_var(SEALED) };
        if sealed()? {
            return Ok(());
        }
        return Err(io::Error::other("the runtime's own program is not read-only"));
    }
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_RDONLY,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    let check = |result: libc::c_long| match result {
        result if result < 0 => Err(io::Error::last_os_error()),
        result => Ok(result),
    };
    let arguments: Vec<CString> = std::env::args_os()
        .map(|argument| CString::new(argument.into_vec()))
        .collect::<Result<_, _>>()?;
    let environment: Vec<CString> = std::env::vars_os()
        .map(|(name, value)| [name.into_vec(), value.into_vec()].join(&b'='))
        .chain([format!("{SEALED}=1").into_bytes()])
        .map(CString::new)
        .collect::<Result<_, _>>()?;
    let pointers = |list: &[CString]| -> Vec<*const libc::c_char> {
        list.iter()
            .map(|text| text.as_ptr())
            .chain([std::ptr::null()])
            .collect()
    };
    // SAFETY: strings and structures outlive the calls; the lists end with null.
    unsafe {
        let fd = check(libc::syscall(
            libc::SYS_open_tree,
            libc::AT_FDCWD,
            c"/proc/self/exe".as_ptr(),
            libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC,
        ))?;
        check(libc::syscall(
            libc::SYS_mount_setattr,
            fd,
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            &attributes,
            size_of::<libc::mount_attr>(),
        ))?;
        check(libc::syscall(
            libc::SYS_execveat,
            fd,
            c"".as_ptr(),
            pointers(&arguments).as_ptr(),
            pointers(&environment).as_ptr(),
            libc::AT_EMPTY_PATH,
        ))?;
    }
    unreachable!("the execution of a program does not return")
}

fn sealed() -> io::Result<bool> {
    // SAFETY: an all-zero structure is valid, and path and structure outlive the call.
    unsafe {
        let mut found: libc::statvfs = std::mem::zeroed();
        if libc::statvfs(c"/proc/self/exe".as_ptr(), &mut found) != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(found.f_flag & libc::ST_RDONLY != 0)
    }
}
