//! Joining a client to a container's streams, also before it runs.

use std::sync::Arc;

use creel_shim::client::Shim;
use creel_shim::protocol;
use tokio::net::UnixStream;
use tokio::sync::oneshot;

use super::record::Status;
use super::stop::shim_error;
use super::{Container, log_options};
use crate::bulk::{closed, join};
use crate::engine::Engine;
use crate::error::{EngineError, Result};
use crate::logs::{Ending, Selection, copy_log};
use crate::proto::{AttachRequest, StreamReply};

/// A client that waits for the container to start.
pub struct PendingAttach {
    request: protocol::AttachRequest,
    joined: oneshot::Sender<UnixStream>,
}

impl Engine {
    /// Gives a socket that is joined to the container's streams: now, or when it starts.
    pub async fn attach(self: &Arc<Self>, request: AttachRequest) -> Result<StreamReply> {
        let container = self.containers.find(&request.id)?;
        let definition = container.definition();
        let raw = definition.spec.tty;
        let keys = detach_keys(&request.detach_keys)?;
        let wanted = protocol::AttachRequest {
            stdin: request.stdin && definition.spec.open_stdin,
            stdout: request.stdout,
            stderr: request.stderr,
            // Without a terminal nobody types: all bytes are data.
            detach_keys: if raw { keys } else { Vec::new() },
        };
        let status = container.status();
        if status == Status::Paused {
            let text = format!(
                "Container {} is paused, unpause the container before attach",
                container.id
            );
            return Err(EngineError::conflict(text));
        }
        let shim_side = if request.stream || !request.logs {
            Some(self.shim_side(&container, wanted).await?)
        } else {
            None
        };
        let socket = self.bulk.create()?;
        let reply = StreamReply {
            socket: socket.path(),
            raw,
        };
        let engine = self.clone();
        tokio::spawn(async move {
            let Some(mut client) = socket.accept().await else {
                return;
            };
            if request.logs {
                let selection = Selection {
                    stdout: request.stdout,
                    stderr: request.stderr,
                    since_nanos: 0,
                    until_nanos: 0,
                    timestamps: false,
                    details: false,
                    raw,
                };
                // Of a driver that keeps nothing there is nothing to show.
                if let Ok(source) = log_options::source(&container.definition())
                    && copy_log(&mut client, &source, -1, &selection, Ending::Now)
                        .await
                        .is_err()
                {
                    return;
                }
            }
            let Some(shim_side) = shim_side else { return };
            engine.emit_container(&container, "attach", []);
            let stream = match shim_side {
                ShimSide::Now(stream) => stream,
                ShimSide::Later(joined) => {
                    drop(container);
                    tokio::select! {
                        stream = joined => match stream {
                            Ok(stream) => stream,
                            // The container was removed, or could not be started.
                            Err(_) => return,
                        },
                        () = closed(&client) => return,
                    }
                }
            };
            join(client, stream, async {}).await;
        });
        Ok(reply)
    }

    async fn shim_side(&self, container: &Container, wanted: protocol::AttachRequest) -> Result<ShimSide> {
        if container.status() == Status::Running
            && let Some(shim) = container.shim()
        {
            return shim.attach(wanted).await.map(ShimSide::Now).map_err(shim_error);
        }
        let (joined, later) = oneshot::channel();
        let mut pending = container.pending_attaches.lock().expect("no panic while locked");
        pending.retain(|p| !p.joined.is_closed());
        if pending.len() >= MAX_PENDING {
            return Err(EngineError::conflict(
                "too many clients wait for the container to start",
            ));
        }
        pending.push(PendingAttach {
            request: wanted,
            joined,
        });
        Ok(ShimSide::Later(later))
    }

    /// Joins the clients that waited, between the container's creation and its start: they miss nothing.
    pub(super) async fn join_pending(&self, container: &Container, shim: &Shim) {
        let pending = std::mem::take(&mut *container.pending_attaches.lock().expect("no panic while locked"));
        for waiting in pending.into_iter().filter(|p| !p.joined.is_closed()) {
            match shim.attach(waiting.request).await {
                Ok(stream) => drop(waiting.joined.send(stream)),
                Err(error) => {
                    tracing::warn!(container = container.id, %error, "a client could not be attached")
                }
            }
        }
    }
}

const MAX_PENDING: usize = 64;

enum ShimSide {
    Now(UnixStream),
    Later(oneshot::Receiver<UnixStream>),
}

/// Reads Docker's form of detach keys: `ctrl-p,ctrl-q`. Nothing stands for that; what cannot be read is refused.
pub(super) fn detach_keys(text: &str) -> Result<Vec<u8>> {
    if text.is_empty() {
        return Ok(vec![16, 17]);
    }
    text.split(',')
        .map(|key| {
            let invalid = || EngineError::invalid(format!("Unknown character: '{key}'"));
            match key.strip_prefix("ctrl-").or_else(|| key.strip_prefix("CTRL-")) {
                Some(letter) => match letter.as_bytes() {
                    [c @ b'a'..=b'z'] => Ok(c - b'a' + 1),
                    [c @ b'@'..=b'_'] => Ok(c - b'@'),
                    _ => Err(invalid()),
                },
                None => match key.as_bytes() {
                    [c] => Ok(*c),
                    _ => Err(invalid()),
                },
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys() {
        assert_eq!(detach_keys("").unwrap(), [16, 17]);
        assert_eq!(detach_keys("ctrl-a,x,ctrl-@").unwrap(), [1, b'x', 0]);
        assert!(detach_keys("ctrl-aa").is_err());
        assert!(detach_keys("shift-a").is_err());
    }
}
