//! The terminal of a process: a pair in the container's own devpts, its controlling end sent to whoever asked for it.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use oci_spec::runtime::Process;

use super::sys::{self, Outcome, check, when};
use crate::user_namespace::IdMap;

const TIOCGPTPEER: libc::c_ulong = 0x5441;
const IN_ROOT: u64 = sys::RESOLVE_IN_ROOT | sys::RESOLVE_NO_MAGICLINKS;

/// Makes a terminal, sends its controlling end through `socket`, and makes the other this process's controlling terminal
/// and standard streams. `root` is the container's; with `console` the terminal also stands at /dev/console. It belongs to
/// the process's user, whom `ids` tell from the host's.
pub(super) fn take(
    socket: &UnixStream,
    root: &OwnedFd,
    process: &Process,
    ids: Option<&IdMap>,
    console: bool,
) -> Outcome<()> {
    let made = pair(root);
    let (control, terminal) = when(made, || "make a terminal".into())?;
    if let Some(size) = process.console_size() {
        let size = libc::winsize {
            ws_row: size.height() as u16,
            ws_col: size.width() as u16,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        // SAFETY: the structure outlives the call.
        let set = unsafe { libc::ioctl(control.as_raw_fd(), libc::TIOCSWINSZ, &size) };
        when(check(set.into()), || "set the terminal's size".into())?;
    }
    let inside = (process.user().uid(), process.user().gid());
    let (user, _) = ids.map_or(inside, |ids| ids.outside(inside));
    // SAFETY: an open descriptor; group -1 stays as it is.
    let owned = unsafe { libc::fchown(terminal.as_raw_fd(), user, u32::MAX) };
    when(check(owned.into()), || "give the terminal to the user".into())?;
    if console {
        when(place(root, &terminal), || {
            "mount the terminal to /dev/console".into()
        })?;
    }
    when(send(socket, &control), || "hand over the terminal".into())?;
    drop(control);
    // SAFETY: plain calls on an open descriptor.
    unsafe {
        let taken = libc::ioctl(terminal.as_raw_fd(), libc::TIOCSCTTY, 0);
        when(check(taken.into()), || "take the terminal".into())?;
        for stream in 0..3 {
            let taken = libc::dup2(terminal.as_raw_fd(), stream);
            when(check(taken.into()), || "take the standard streams".into())?;
        }
    }
    Ok(())
}

fn pair(root: &OwnedFd) -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = libc::O_RDWR | libc::O_NOCTTY;
    let path = Path::new("/dev/pts/ptmx");
    let control = sys::open_at(root, path, flags, IN_ROOT | sys::RESOLVE_NO_SYMLINKS)?;
    let fd = control.as_raw_fd();
    let unlocked: libc::c_int = 0;
    // SAFETY: the number outlives the call; the new descriptor is ours. The kernel gives the peer itself: no name that
    // the container could have changed is looked up.
    unsafe {
        check(libc::ioctl(fd, libc::TIOCSPTLCK, &unlocked).into())?;
        let peer = check(libc::ioctl(fd, TIOCGPTPEER, flags | libc::O_CLOEXEC).into())?;
        Ok((control, OwnedFd::from_raw_fd(peer as i32)))
    }
}

fn place(root: &OwnedFd, terminal: &OwnedFd) -> io::Result<()> {
    let dev = sys::open_at(root, Path::new("/dev"), libc::O_PATH | libc::O_DIRECTORY, IN_ROOT)?;
    // SAFETY: a constant name of one component.
    let made = unsafe { libc::mknodat(dev.as_raw_fd(), c"console".as_ptr(), libc::S_IFREG | 0o600, 0) };
    match check(made.into()) {
        Err(err) if err.kind() != io::ErrorKind::AlreadyExists => return Err(err),
        _ => {}
    }
    let target = sys::open_at(
        &dev,
        Path::new("console"),
        libc::O_PATH,
        sys::RESOLVE_BENEATH | sys::RESOLVE_NO_SYMLINKS,
    )?;
    sys::attach(&sys::clone_fd(terminal, false)?, &target)
}

/// One byte, and the descriptor with it.
fn send(socket: &UnixStream, fd: &OwnedFd) -> io::Result<()> {
    const SPACE: usize = 64;
    let mut byte = *b"t";
    let mut buffer = libc::iovec {
        iov_base: byte.as_mut_ptr().cast(),
        iov_len: 1,
    };
    #[repr(align(8))]
    struct Control([u8; SPACE]);
    let mut control = Control([0; SPACE]);
    // SAFETY: all parts of the message outlive the call; the control buffer has room for one descriptor.
    unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &mut buffer;
        message.msg_iovlen = 1;
        message.msg_control = control.0.as_mut_ptr().cast();
        message.msg_controllen = libc::CMSG_SPACE(size_of::<i32>() as u32) as _;
        let header = libc::CMSG_FIRSTHDR(&message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(size_of::<i32>() as u32) as _;
        std::ptr::write_unaligned(libc::CMSG_DATA(header).cast(), fd.as_raw_fd());
        check(libc::sendmsg(socket.as_raw_fd(), &message, libc::MSG_NOSIGNAL) as libc::c_long).map(drop)
    }
}
