//! System calls with their errors in words.

use std::ffi::CString;
use std::io;

/// What went wrong, for a person.
pub type Result<T> = std::result::Result<T, String>;

/// Turns a system call's -1 into words: `what` was being done.
pub fn check(code: libc::c_int, what: &str) -> Result<libc::c_int> {
    if code < 0 {
        Err(format!("{what}: {}", io::Error::last_os_error()))
    } else {
        Ok(code)
    }
}

/// Mounts `kind` on `target`.
pub fn mount(source: &str, target: &str, kind: &str, flags: libc::c_ulong) -> Result<()> {
    let text = |s: &str| CString::new(s).map_err(|_| format!("a zero byte in {s}"));
    let (source, path, kind) = (text(source)?, text(target)?, text(kind)?);
    // SAFETY: three valid strings; no data argument.
    let code = unsafe {
        libc::mount(
            source.as_ptr(),
            path.as_ptr(),
            kind.as_ptr(),
            flags,
            std::ptr::null(),
        )
    };
    check(code, &format!("mount {target}")).map(drop)
}

/// Forks; 0 in the child. The process must have one thread.
pub fn fork() -> Result<libc::pid_t> {
    // SAFETY: this program never starts a thread before it forks.
    check(unsafe { libc::fork() }, "fork")
}
