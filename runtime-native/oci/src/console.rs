//! A container's terminal on this program's own.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use crate::Outcome;
use crate::helper::{block, reap};

/// A socket that waits for a terminal.
pub struct Console {
    listener: UnixListener,
    directory: PathBuf,
    path: PathBuf,
}

impl Console {
    /// Listens on a socket in a directory of its own below `parent`.
    pub fn prepare(parent: &Path) -> Outcome<Self> {
        use std::os::unix::fs::DirBuilderExt;
        let directory = parent.join(format!(".console-{}", std::process::id()));
        let failed = |err: io::Error| format!("make a console socket in {}: {err}", parent.display());
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&directory)
            .map_err(failed)?;
        let path = directory.join("socket");
        match UnixListener::bind(&path) {
            Ok(listener) => Ok(Self {
                listener,
                directory,
                path,
            }),
            Err(err) => {
                let _ = fs::remove_dir_all(&directory);
                Err(failed(err))
            }
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Joins the terminal that has been sent to this program's standard streams until the process `pid`, a child of
    /// this one, has ended; gives its exit status.
    pub fn serve(self, pid: i32) -> Outcome<u8> {
        let terminal = self
            .receive()
            .map_err(|err| format!("receive the terminal: {err}"))?;
        let raw = Raw::begin();
        resize(terminal.as_raw_fd());
        let signals = signal_file().map_err(|err| format!("wait for signals: {err}"))?;
        let result = join(&terminal, &signals, pid).map_err(|err| format!("serve the terminal: {err}"));
        drop(raw);
        result
    }

    fn receive(&self) -> io::Result<OwnedFd> {
        let (stream, _) = self.listener.accept()?;
        let mut byte = [0u8; 64];
        let mut buffer = libc::iovec {
            iov_base: byte.as_mut_ptr().cast(),
            iov_len: byte.len(),
        };
        #[repr(align(8))]
        struct Control([u8; 64]);
        let mut control = Control([0; 64]);
        // SAFETY: all parts of the message outlive the call; a descriptor that came is ours.
        unsafe {
            let mut message: libc::msghdr = std::mem::zeroed();
            message.msg_iov = &mut buffer;
            message.msg_iovlen = 1;
            message.msg_control = control.0.as_mut_ptr().cast();
            message.msg_controllen = control.0.len() as _;
            if libc::recvmsg(stream.as_raw_fd(), &mut message, libc::MSG_CMSG_CLOEXEC) < 0 {
                return Err(io::Error::last_os_error());
            }
            let header = libc::CMSG_FIRSTHDR(&message);
            if header.is_null() || (*header).cmsg_type != libc::SCM_RIGHTS {
                return Err(io::Error::other("no terminal was sent"));
            }
            let fd: RawFd = std::ptr::read_unaligned(libc::CMSG_DATA(header).cast());
            Ok(OwnedFd::from_raw_fd(fd))
        }
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// This program's own terminal, passing on every key; as it was again when this is dropped.
struct Raw(Option<libc::termios>);

impl Raw {
    fn begin() -> Self {
        // SAFETY: an all-zero structure is valid, and it outlives the calls.
        unsafe {
            let mut before: libc::termios = std::mem::zeroed();
            if libc::tcgetattr(0, &mut before) != 0 {
                return Self(None);
            }
            let mut raw = before;
            libc::cfmakeraw(&mut raw);
            libc::tcsetattr(0, libc::TCSANOW, &raw);
            Self(Some(before))
        }
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            // SAFETY: the structure outlives the call.
            unsafe { libc::tcsetattr(0, libc::TCSANOW, before) };
        }
    }
}

fn resize(terminal: RawFd) {
    // SAFETY: an all-zero structure is valid, and it outlives the calls.
    unsafe {
        let mut size: libc::winsize = std::mem::zeroed();
        if libc::ioctl(0, libc::TIOCGWINSZ, &mut size) == 0 {
            libc::ioctl(terminal, libc::TIOCSWINSZ, &size);
        }
    }
}

fn signal_file() -> io::Result<OwnedFd> {
    let set = block(&[libc::SIGWINCH, libc::SIGTERM, libc::SIGHUP]);
    // SAFETY: the set outlives the call; the descriptor is new and ours.
    unsafe {
        match libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) {
            fd if fd >= 0 => Ok(OwnedFd::from_raw_fd(fd)),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

fn join(terminal: &OwnedFd, signals: &OwnedFd, pid: i32) -> io::Result<u8> {
    let mut input_open = true;
    let mut ended = None;
    let wanted = |fd: RawFd, wanted: bool| libc::pollfd {
        fd: if wanted { fd } else { -1 },
        events: libc::POLLIN,
        revents: 0,
    };
    loop {
        let mut files = [
            wanted(terminal.as_raw_fd(), true),
            wanted(signals.as_raw_fd(), ended.is_none()),
            wanted(0, input_open && ended.is_none()),
        ];
        // Once the process has ended, what it wrote is taken to the last byte.
        let patience = if ended.is_some() { 50 } else { -1 };
        // SAFETY: the list has the length given.
        let ready = unsafe { libc::poll(files.as_mut_ptr(), files.len() as libc::nfds_t, patience) };
        if ready < 0 {
            let err = io::Error::last_os_error();
            if err.kind() == io::ErrorKind::Interrupted {
                continue;
            }
            return Err(err);
        }
        if files[0].revents != 0 && !copy(terminal.as_raw_fd(), 1)? || ready == 0 {
            let code = ended.unwrap_or_else(|| super::helper::wait(pid));
            return Ok(code as u8);
        }
        if files[1].revents != 0 {
            match next_signal(signals) {
                Some(libc::SIGWINCH) => resize(terminal.as_raw_fd()),
                Some(libc::SIGCHLD) | None => ended = reap(pid),
                // SAFETY: the child has not been reaped, so its id is its own.
                Some(number) => drop(unsafe { libc::kill(pid, number) }),
            }
        }
        if files[2].revents != 0 {
            input_open = copy(0, terminal.as_raw_fd())?;
        }
    }
}

fn next_signal(signals: &OwnedFd) -> Option<i32> {
    // SAFETY: an all-zero structure is valid, and the size is its own.
    unsafe {
        let mut record: libc::signalfd_siginfo = std::mem::zeroed();
        let size = size_of::<libc::signalfd_siginfo>();
        let read = libc::read(signals.as_raw_fd(), (&raw mut record).cast(), size);
        (read == size as isize).then_some(record.ssi_signo as i32)
    }
}

/// Hands on what can be read; `false` at the end.
fn copy(from: RawFd, to: RawFd) -> io::Result<bool> {
    let mut buffer = [0u8; 16 << 10];
    // SAFETY: the buffer has the length given.
    let size = unsafe { libc::read(from, buffer.as_mut_ptr().cast(), buffer.len()) };
    if size <= 0 {
        let err = io::Error::last_os_error();
        // A terminal whose other side is closed says EIO.
        return match (size, err.raw_os_error()) {
            (0, _) | (_, Some(libc::EIO)) => Ok(false),
            (_, Some(libc::EINTR | libc::EAGAIN)) => Ok(true),
            _ => Err(err),
        };
    }
    let mut rest = &buffer[..size as usize];
    while !rest.is_empty() {
        // SAFETY: the slice has the length given.
        let written = unsafe { libc::write(to, rest.as_ptr().cast(), rest.len()) };
        if written < 0 {
            let err = io::Error::last_os_error();
            match err.raw_os_error() {
                Some(libc::EINTR) => continue,
                Some(libc::EIO | libc::EPIPE) => return Ok(false),
                _ => return Err(err),
            }
        }
        rest = &rest[written as usize..];
    }
    Ok(true)
}
