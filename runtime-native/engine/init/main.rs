//! `creel-init -- COMMAND [ARGUMENT...]`: the first process of a container that asks for `--init`. It starts the command,
//! hands on the signals it gets, takes the children that others left, and ends as the command did. It is begun with all
//! signals blocked, so that none is lost before it can take them.
//!
//! Linked statically and without Rust's own library: it runs in any image, also in an empty one, and takes little memory.
#![no_std]
#![no_main]

use core::ffi::{c_char, c_int, c_void};

#[repr(C, align(8))]
struct SignalSet([u8; 128]);

#[link(name = "c", kind = "static", modifiers = "-bundle")]
unsafe extern "C" {
    fn fork() -> c_int;
    fn execvp(file: *const c_char, arguments: *const *const c_char) -> c_int;
    fn waitpid(pid: c_int, status: *mut c_int, options: c_int) -> c_int;
    fn kill(pid: c_int, signal: c_int) -> c_int;
    fn sigfillset(set: *mut SignalSet) -> c_int;
    fn sigdelset(set: *mut SignalSet, signal: c_int) -> c_int;
    fn sigprocmask(how: c_int, set: *const SignalSet, old: *mut SignalSet) -> c_int;
    fn sigwaitinfo(set: *const SignalSet, info: *mut c_void) -> c_int;
    fn signal(signal: c_int, handler: usize) -> usize;
    fn setpgid(pid: c_int, group: c_int) -> c_int;
    fn tcsetpgrp(file: c_int, group: c_int) -> c_int;
    fn getpid() -> c_int;
    fn strlen(text: *const c_char) -> usize;
    fn write(file: c_int, bytes: *const c_void, count: usize) -> isize;
    fn _exit(status: c_int) -> !;
    fn __errno_location() -> *mut c_int;
}

const SIGCHLD: c_int = 17;
const SIGTTIN: c_int = 21;
const SIGTTOU: c_int = 22;
/// What the kernel sends a process for its own faults: ILL, TRAP, ABRT, BUS, FPE, SEGV, SYS.
const FAULTS: [c_int; 7] = [4, 5, 6, 7, 8, 11, 31];
const SIG_SETMASK: c_int = 2;
const SIG_IGN: usize = 1;
const WNOHANG: c_int = 1;
const EACCES: c_int = 13;
const ENOENT: c_int = 2;
const ENOEXEC: c_int = 8;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    // SAFETY: ends the process.
    unsafe { _exit(125) }
}

/// # Safety
/// Called by the C library with its arguments.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn main(count: c_int, arguments: *const *const c_char) -> c_int {
    unsafe {
        if count < 3 {
            say(c"creel-init: usage: creel-init -- COMMAND [ARGUMENT...]\n".as_ptr());
            return 125;
        }
        let (mut all, none) = (SignalSet([0; 128]), SignalSet([0; 128]));
        sigfillset(&mut all);
        for fault in FAULTS {
            sigdelset(&mut all, fault);
        }
        sigprocmask(SIG_SETMASK, &all, core::ptr::null_mut());
        let child = fork();
        match child {
            -1 => {
                say(c"creel-init: cannot make a process\n".as_ptr());
                return 125;
            }
            0 => become_command(arguments.add(2), &none),
            _ => {}
        }
        // The terminal is handed over from the background.
        signal(SIGTTOU, SIG_IGN);
        signal(SIGTTIN, SIG_IGN);
        loop {
            match sigwaitinfo(&all, core::ptr::null_mut()) {
                SIGCHLD => {
                    if let Some(status) = reap(child) {
                        return status;
                    }
                }
                number if number > 0 => {
                    kill(child, number);
                }
                _ => {}
            }
        }
    }
}

/// Its own group in the foreground: what the terminal sends reaches it once.
unsafe fn become_command(arguments: *const *const c_char, mask: &SignalSet) -> ! {
    unsafe {
        setpgid(0, 0);
        tcsetpgrp(0, getpid());
        sigprocmask(SIG_SETMASK, mask, core::ptr::null_mut());
        execvp(*arguments, arguments);
        let error = *__errno_location();
        let (reason, status) = match error {
            ENOENT => (c"executable file not found\n", 127),
            EACCES => (c"permission denied\n", 126),
            ENOEXEC => (c"exec format error\n", 126),
            _ => (c"it cannot be executed\n", 126),
        };
        say(c"creel-init: exec: ".as_ptr());
        say(*arguments);
        say(c": ".as_ptr());
        say(reason.as_ptr());
        _exit(status)
    }
}

/// Takes every process that has ended; how the command ended, if it has.
unsafe fn reap(command: c_int) -> Option<c_int> {
    let mut ended = None;
    loop {
        let mut status = 0;
        let pid = unsafe { waitpid(-1, &mut status, WNOHANG) };
        if pid <= 0 {
            return ended;
        }
        if pid == command {
            let killed_by = status & 0x7f;
            ended = Some(if killed_by == 0 {
                status >> 8 & 0xff
            } else {
                128 + killed_by
            });
        }
    }
}

unsafe fn say(text: *const c_char) {
    unsafe { write(2, text.cast(), strlen(text)) };
}
