//! Deletes sandboxes in groups, off everybody's critical path: one costs the kernel as much as many.

use std::sync::Arc;
use std::time::Duration;

use creel_net::Host;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

const BATCH: usize = 64;
/// How long one sandbox waits for others to go with it. The kernel holds up all other changes of the network meanwhile.
const GATHER: Duration = Duration::from_millis(250);

enum Order {
    Delete {
        sandbox: String,
        urgent: bool,
        then: Box<dyn FnOnce() + Send>,
    },
    Flush(oneshot::Sender<()>),
}

impl Order {
    fn may_wait(&self) -> bool {
        matches!(self, Self::Delete { urgent: false, .. })
    }
}

/// The queue of sandboxes to delete.
#[derive(Clone)]
pub struct Reaper {
    orders: mpsc::UnboundedSender<Order>,
}

impl Reaper {
    /// Starts the reaper. The queue holds at most one order for each container of the node and one for each caller
    /// that waits.
    pub fn start(host: Arc<Host>) -> Self {
        let (orders, mut queue) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut batch = Vec::with_capacity(BATCH);
            while queue.recv_many(&mut batch, BATCH).await > 0 {
                let until = Instant::now() + GATHER;
                while batch.len() < BATCH && batch.iter().all(Order::may_wait) {
                    match tokio::time::timeout_at(until, queue.recv()).await {
                        Ok(Some(order)) => batch.push(order),
                        _ => break,
                    }
                }
                let (mut ids, mut after, mut flushed) = (Vec::new(), Vec::new(), Vec::new());
                for order in batch.drain(..) {
                    match order {
                        Order::Delete { sandbox, then, .. } => {
                            ids.push(sandbox);
                            after.push(then);
                        }
                        Order::Flush(done) => flushed.push(done),
                    }
                }
                if !ids.is_empty() {
                    let host = host.clone();
                    let deleted = tokio::task::spawn_blocking(move || host.delete_sandboxes(&ids)).await;
                    if let Ok(Err(error)) = deleted {
                        tracing::warn!(%error, "a sandbox could not be deleted");
                    }
                }
                after.into_iter().for_each(|then| then());
                flushed.into_iter().for_each(|done| {
                    let _ = done.send(());
                });
            }
        });
        Self { orders }
    }

    /// Has a sandbox deleted, and then `then` called; at once if it is urgent.
    pub fn delete(&self, sandbox: String, urgent: bool, then: impl FnOnce() + Send + 'static) {
        let _ = self.orders.send(Order::Delete {
            sandbox,
            urgent,
            then: Box::new(then),
        });
    }

    /// Waits until everything ordered before is done.
    pub async fn flush(&self) {
        let (done, wait) = oneshot::channel();
        if self.orders.send(Order::Flush(done)).is_ok() {
            let _ = wait.await;
        }
    }
}
