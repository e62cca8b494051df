use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::time::{sleep, timeout};

use super::ShimError;
use crate::exit::read_exit;
use crate::protocol::{MAX_MESSAGE, Reply, Request, SOCKET_NAME};
use crate::socket;

const RETRY: Duration = Duration::from_millis(5);
const RETRIES: usize = 400;

/// Makes one request of the shim in this directory and waits for the answer; for ever if there is no limit.
pub(super) async fn call(
    state_dir: &Path,
    request: &Request,
    with: Option<RawFd>,
    limit: Option<Duration>,
) -> Result<Reply, ShimError> {
    let talk = async {
        let socket = connect(state_dir).await?;
        let message =
            serde_json::to_vec(request).map_err(|err| ShimError::io("encode request")(err.into()))?;
        match socket::send(socket.as_raw_fd(), &message, with.as_slice()) {
            Err(err) if gone(&err) => return Err(ShimError::Gone(read_exit(state_dir))),
            other => other.map_err(ShimError::io("send to the shim"))?,
        }
        answer(socket, state_dir).await
    };
    match limit {
        None => talk.await,
        Some(limit) => timeout(limit, talk)
            .await
            .unwrap_or(Err(ShimError::TimedOut(limit.as_secs()))),
    }
}

/// Waits for one answer on a connection that is set not to block.
pub(super) async fn answer(socket: OwnedFd, state_dir: &Path) -> Result<Reply, ShimError> {
    let watched = AsyncFd::new(socket).map_err(ShimError::io("watch the shim"))?;
    let mut buffer = vec![0; MAX_MESSAGE];
    loop {
        let mut ready = watched
            .readable()
            .await
            .map_err(ShimError::io("wait for the shim"))?;
        match ready.try_io(|fd| socket::receive(fd.as_raw_fd(), &mut buffer)) {
            Err(_would_block) => {}
            Ok(Ok((0, _))) => return Err(ShimError::Gone(read_exit(state_dir))),
            Ok(Err(err)) if gone(&err) => return Err(ShimError::Gone(read_exit(state_dir))),
            Ok(Err(err)) => return Err(ShimError::io("receive from the shim")(err)),
            Ok(Ok((size, _))) => {
                let reply = serde_json::from_slice(&buffer[..size])
                    .map_err(|err| ShimError::io("read the shim's answer")(err.into()))?;
                return match reply {
                    Reply::Failed(failure) => Err(ShimError::Failed(failure)),
                    reply => Ok(reply),
                };
            }
        }
    }
}

async fn connect(state_dir: &Path) -> Result<OwnedFd, ShimError> {
    for _ in 0..RETRIES {
        match socket::connect(state_dir, SOCKET_NAME) {
            Ok(socket) => return Ok(socket),
            Err(err) if err.kind() == io::ErrorKind::WouldBlock => sleep(RETRY).await,
            Err(err) if err.kind() == io::ErrorKind::NotFound || gone(&err) => {
                return Err(ShimError::Gone(read_exit(state_dir)));
            }
            Err(err) => return Err(ShimError::io("connect to the shim")(err)),
        }
    }
    Err(ShimError::io("connect to the shim")(
        io::ErrorKind::WouldBlock.into(),
    ))
}

fn gone(err: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionRefused, ConnectionReset};
    matches!(err.kind(), BrokenPipe | ConnectionRefused | ConnectionReset)
}
