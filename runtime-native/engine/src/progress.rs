//! Operations whose bytes go over a one-time socket while their progress is told.

use std::os::unix::net::UnixStream;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::engine::Engine;
use crate::error::{EngineError, Result};
use crate::network::blocking;
use crate::proto::{Progress, ProgressDone, ProgressLine, progress::Kind};

/// What a caller reads the progress from.
pub type ProgressStream = mpsc::Receiver<std::result::Result<Progress, tonic::Status>>;
pub(crate) type ProgressSender = mpsc::Sender<std::result::Result<Progress, tonic::Status>>;

/// Progress at which a caller is too slow to look is dropped, not waited for.
const QUEUE: usize = 128;

pub(crate) fn message(kind: Kind) -> std::result::Result<Progress, tonic::Status> {
    Ok(Progress { kind: Some(kind) })
}

fn text(stream: String) -> Kind {
    Kind::Line(ProgressLine {
        stream,
        ..ProgressLine::default()
    })
}

impl Engine {
    /// Names a socket, waits for the caller on it, and runs `work` with it on a blocking thread.
    pub(crate) fn over_socket(
        self: &Arc<Self>,
        work: impl FnOnce(&Arc<Self>, UnixStream, &ProgressSender) -> Result<(Vec<String>, ProgressDone)>
        + Send
        + 'static,
    ) -> Result<ProgressStream> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let socket = self.bulk.create()?;
        let first = message(Kind::Socket(socket.path()));
        let engine = self.clone();
        tokio::spawn(async move {
            if sender.send(first).await.is_err() {
                return;
            }
            let accepted = tokio::select! {
                accepted = socket.accept() => accepted,
                () = sender.closed() => return,
            };
            let Some(stream) = accepted else {
                let error = EngineError::invalid("nobody connected to the socket in time");
                let _ = sender.send(Err(error.into())).await;
                return;
            };
            let worker = sender.clone();
            let done = blocking(move || {
                let stream = stream
                    .into_std()
                    .map_err(|e| EngineError::io("use the socket", e))?;
                stream
                    .set_nonblocking(false)
                    .map_err(|e| EngineError::io("use the socket", e))?;
                work(&engine, stream, &worker)
            })
            .await;
            match done {
                Ok((lines, done)) => {
                    for line in lines {
                        let _ = sender.send(message(text(line))).await;
                    }
                    let _ = sender.send(message(Kind::Done(done))).await;
                }
                Err(error) => drop(sender.send(Err(error.into())).await),
            }
        });
        Ok(receiver)
    }
}
