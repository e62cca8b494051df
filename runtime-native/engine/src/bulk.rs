//! One-time sockets for bytes that do not belong into messages: archives, logs, terminals.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use tokio::io::AsyncWriteExt;
use tokio::net::{UnixListener, UnixStream};

use crate::error::{EngineError, Result};
use crate::ids::random_hex;

const PATIENCE: Duration = Duration::from_secs(10);
/// How long a stream stays open for its process to be known as ended.
const SETTLE: Duration = Duration::from_secs(2);

/// The folder in which one-time sockets appear.
pub struct BulkSockets {
    dir: PathBuf,
}

/// A socket that takes one connection and is gone after it, or after ten seconds without one.
pub struct BulkSocket {
    path: PathBuf,
    listener: UnixListener,
}

impl BulkSockets {
    /// Makes the folder, readable by the engine's user alone, and sweeps what an earlier engine left in it.
    pub fn open(dir: &Path) -> Result<Self> {
        let failed = |e| EngineError::io(format_args!("prepare {}", dir.display()), e);
        if dir.exists() {
            fs::remove_dir_all(dir).map_err(failed)?;
        }
        fs::create_dir_all(dir).map_err(failed)?;
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).map_err(failed)?;
        Ok(Self {
            dir: dir.to_path_buf(),
        })
    }

    /// A new socket with a name that cannot be guessed.
    pub fn create(&self) -> Result<BulkSocket> {
        let path = self.dir.join(random_hex(12));
        let failed = |e| EngineError::io(format_args!("make the socket {}", path.display()), e);
        let listener = UnixListener::bind(&path).map_err(failed)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(failed)?;
        Ok(BulkSocket { path, listener })
    }
}

impl BulkSocket {
    /// Where to connect.
    pub fn path(&self) -> String {
        self.path.to_string_lossy().into_owned()
    }

    /// The one connection; `None` if nobody came in time.
    pub async fn accept(self) -> Option<UnixStream> {
        let accepted = tokio::time::timeout(PATIENCE, self.listener.accept()).await;
        match accepted {
            Ok(Ok((stream, _))) => Some(stream),
            _ => None,
        }
    }
}

impl Drop for BulkSocket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Returns when the other side has closed the connection altogether; one that only stopped sending still reads.
/// What it sends is thrown away.
pub async fn hung_up(stream: &UnixStream) {
    let mut waste = [0u8; 1024];
    loop {
        if stream.readable().await.is_err() {
            return;
        }
        match stream.try_read(&mut waste) {
            Ok(0) => break,
            Ok(_) => {}
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
    closed(stream).await;
}

/// The same, without touching what it sends. The kernel tells it by polling only.
pub async fn closed(stream: &UnixStream) {
    loop {
        let mut poll = [PollFd::new(stream, PollFlags::empty())];
        let polled = rustix::event::poll(
            &mut poll,
            Some(&Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            }),
        );
        if polled.is_err() || poll[0].revents().intersects(PollFlags::HUP | PollFlags::ERR) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Joins a client to the streams of a process. It is over when the process's side ends, or the client is gone; a
/// client that only stopped sending still reads. The client sees the end of the output only once `settled`: whoever
/// asks then how the process ended is told.
pub async fn join(mut client: UnixStream, mut process: UnixStream, settled: impl Future<Output = ()>) {
    let (mut from_client, mut to_client) = client.split();
    let (mut from_process, mut to_process) = process.split();
    let input = async {
        let _ = tokio::io::copy(&mut from_client, &mut to_process).await;
        let _ = to_process.shutdown().await;
        closed(from_client.as_ref()).await;
    };
    let output = async {
        let _ = tokio::io::copy(&mut from_process, &mut to_client).await;
        let _ = tokio::time::timeout(SETTLE, settled).await;
        let _ = to_client.shutdown().await;
    };
    tokio::select! {
        () = input => {}
        () = output => {}
    }
}
