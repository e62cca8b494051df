//! Engine: information, events, shutdown.

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response};

use super::{Answers, Door, Reply};
use crate::error::{EngineError, ErrorCode};
use crate::info;
use crate::log_level;
use crate::proto::{self, engine_server};

#[tonic::async_trait]
impl engine_server::Engine for Door {
    async fn info(&self, _: Request<proto::InfoRequest>) -> Reply<proto::InfoReply> {
        Ok(Response::new(info::info(&self.0)))
    }

    type EventsStream = Answers<proto::Event>;

    async fn events(&self, request: Request<proto::EventsRequest>) -> Reply<Self::EventsStream> {
        let engine = self.0.clone();
        let mut reader = engine.events.reader(request.into_inner().since_seq);
        let (sender, receiver) = mpsc::channel(64);
        tokio::spawn(async move {
            loop {
                let batch = tokio::select! {
                    batch = engine.events.next(&mut reader) => batch,
                    () = sender.closed() => return,
                    () = engine.stopped() => return,
                };
                for event in batch {
                    if sender.send(Ok(event)).await.is_err() {
                        return;
                    }
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn shutdown(&self, _: Request<proto::ShutdownRequest>) -> Reply<proto::ShutdownReply> {
        self.0.request_stop();
        Ok(Response::new(proto::ShutdownReply {}))
    }

    async fn set_log_level(&self, request: Request<proto::SetLogLevelRequest>) -> Reply<proto::Empty> {
        let level = request.into_inner().level;
        log_level::set(&level).map_err(|text| EngineError::new(ErrorCode::InvalidParameter, text))?;
        tracing::info!(level, "the log level was changed");
        Ok(Response::new(proto::Empty {}))
    }
}
