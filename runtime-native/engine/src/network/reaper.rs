//! Deletes sandboxes in groups, off everybody's critical path: one costs the kernel as much as many.

use std::sync::Arc;

use creel_net::Host;
use tokio::sync::{mpsc, oneshot};

const BATCH: usize = 64;

enum Order {
    Delete(String, Box<dyn FnOnce() + Send>),
    Flush(oneshot::Sender<()>),
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
                let (mut ids, mut after, mut flushed) = (Vec::new(), Vec::new(), Vec::new());
                for order in batch.drain(..) {
                    match order {
                        Order::Delete(id, then) => {
                            ids.push(id);
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

    /// Has a sandbox deleted, and then `then` called.
    pub fn delete(&self, sandbox: String, then: impl FnOnce() + Send + 'static) {
        let _ = self.orders.send(Order::Delete(sandbox, Box::new(then)));
    }

    /// Waits until everything ordered before is done.
    pub async fn flush(&self) {
        let (done, wait) = oneshot::channel();
        if self.orders.send(Order::Flush(done)).is_ok() {
            let _ = wait.await;
        }
    }
}
