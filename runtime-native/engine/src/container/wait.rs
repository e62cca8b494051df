//! Waiting for a container to end or to be removed.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::Container;
use crate::engine::Engine;
use crate::error::{EngineError, ErrorCode, Result};
use crate::proto::{WaitReply, WaitResult, wait_reply::Kind};

/// What a caller waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    NotRunning,
    NextExit,
    Removed,
}

impl Condition {
    /// Reads Docker's words.
    pub fn parse(text: &str) -> Result<Self> {
        match text {
            "" | "not-running" => Ok(Self::NotRunning),
            "next-exit" => Ok(Self::NextExit),
            "removed" => Ok(Self::Removed),
            _ => Err(EngineError::invalid(format!("invalid condition: {text:?}"))),
        }
    }
}

/// Says `armed` as soon as nothing can be missed any more, and later the result. Ends early when nobody listens.
pub fn wait(
    engine: Arc<Engine>,
    container: &Container,
    condition: Condition,
) -> mpsc::Receiver<std::result::Result<WaitReply, tonic::Status>> {
    let (sender, receiver) = mpsc::channel(2);
    let mut life = container.watch();
    let exits = life.borrow().exits;
    tokio::spawn(async move {
        if sender
            .send(Ok(WaitReply {
                kind: Some(Kind::Armed(true)),
            }))
            .await
            .is_err()
        {
            return;
        }
        let over = life.wait_for(|life| match condition {
            Condition::NotRunning => {
                !(life.has_process || life.restarting) || life.exits > exits || life.removed
            }
            Condition::NextExit => life.exits > exits || life.removed,
            Condition::Removed => life.removed,
        });
        let stopping = || Err(EngineError::new(ErrorCode::Stopped, "creel-engine is stopping").into());
        let result = tokio::select! {
            over = over => match over {
                Ok(life) => Ok(WaitResult {
                    exit_code: life.exit_code,
                    // A start that fails tells of it itself.
                    error: match condition {
                        Condition::NextExit => String::new(),
                        _ => life.error.clone(),
                    },
                }),
                // The container is gone with its last handle: so it was removed.
                Err(_) => Ok(WaitResult::default()),
            },
            () = sender.closed() => return,
            () = engine.stopped() => stopping(),
        };
        let _ = sender
            .send(result.map(|result| WaitReply {
                kind: Some(Kind::Result(result)),
            }))
            .await;
    });
    receiver
}
