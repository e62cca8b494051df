use std::collections::BTreeSet;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

use creel_runtime::seccomp::{DEFAULT_PROFILE, Profile, compile};

use crate::protocol::{CreateRequest, MAX_MESSAGE};
use crate::server;
use crate::socket::{check, receive};

/// Waits on standard input, a packet socket, for containers to create, and forks a shim for each. Ends when the engine
/// closes the socket; the shims stay.
pub fn run() -> io::Result<()> {
    // Whatever else the engine's descriptors were, no shim shall hold them.
    // SAFETY: nothing has been opened by this process yet.
    unsafe { libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, 0u32) };
    // SAFETY: descriptor 0 is the socket the engine gave; it is taken here and nowhere else.
    let requests = unsafe { OwnedFd::from_raw_fd(check(libc::fcntl(0, libc::F_DUPFD_CLOEXEC, 3))?) };
    redirect_to_null(&[0])?;
    std::env::set_current_dir("/")?;
    // SAFETY: plain calls of a single-threaded process.
    unsafe {
        libc::umask(0o022);
        libc::signal(libc::SIGINT, libc::SIG_IGN);
    }
    warm_up();
    let mut buffer = vec![0; MAX_MESSAGE];
    loop {
        let (size, fds) = match receive(std::os::fd::AsRawFd::as_raw_fd(&requests), &mut buffer) {
            Ok((0, _)) => return Ok(()),
            Ok(received) => received,
            Err(err) if err.kind() == io::ErrorKind::Interrupted => continue,
            Err(err) => return Err(err),
        };
        let mut fds = fds.into_iter();
        let (Some(connection), Some(lock)) = (fds.next(), fds.next()) else {
            continue;
        };
        let message = &buffer[..size];
        // SAFETY: this process has a single thread.
        match check(unsafe { libc::fork() })? {
            0 => {
                drop(requests);
                // SAFETY: as above. The process in between ends at once, so that nobody but init has to reap the shim.
                unsafe { libc::setsid() };
                match unsafe { libc::fork() } {
                    0 => {}
                    _ => unsafe { libc::_exit(0) },
                }
                let request = CreateRequest::read(message);
                drop(buffer);
                server::run(request, connection, lock);
                unsafe { libc::_exit(0) };
            }
            middle => {
                drop((connection, lock));
                // SAFETY: waits for the child just made.
                unsafe { libc::waitpid(middle, std::ptr::null_mut(), 0) };
            }
        }
    }
}

/// Reads and touches what every shim will use, so that the shims have it and share its pages.
fn warm_up() {
    creel_runtime::cgroup::mounted();
    if let Ok(policy) = Profile::parse(DEFAULT_PROFILE).and_then(|profile| profile.resolve(&BTreeSet::new()))
    {
        drop(compile(&policy));
    }
}

/// Puts /dev/null in the place of these descriptors.
pub(crate) fn redirect_to_null(targets: &[i32]) -> io::Result<()> {
    // SAFETY: plain descriptor calls; the path is a C string.
    let null = check(unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC) })?;
    for target in targets {
        check(unsafe { libc::dup2(null, *target) })?;
    }
    if !targets.contains(&null) {
        unsafe { libc::close(null) };
    }
    Ok(())
}
