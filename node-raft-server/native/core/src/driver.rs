//! A node on a thread of its own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::command::Command;
use crate::error::{Code, Error, Result};
use crate::event::Event;
use crate::node::{Node, Options};

/// Commands done between two writes of the log, at most.
const BATCH: usize = 4096;
/// Messages of other nodes that wait, at most; Raft sends again what is dropped.
const MAX_MESSAGES: usize = 8192;
const MAX_MESSAGE_BYTES: usize = 1 << 30;
/// Ticks that wait, at most: after a slow write, time that passed meanwhile is not made up for.
const MAX_TICKS: usize = 5;

#[derive(Default)]
struct Queue {
    commands: std::collections::VecDeque<Command>,
    messages: usize,
    message_bytes: usize,
    ticks: usize,
}

/// Where commands for a node are put.
#[derive(Clone, Default)]
pub struct Mailbox(Arc<(Mutex<Queue>, Condvar)>);

impl Mailbox {
    /// Queues a command; false if it is one that may be dropped, and was.
    pub fn push(&self, command: Command) -> bool {
        let (lock, wake) = &*self.0;
        let mut queue = lock.lock().unwrap_or_else(PoisonError::into_inner);
        match &command {
            Command::Tick if queue.ticks >= MAX_TICKS => return false,
            Command::Tick => queue.ticks += 1,
            Command::Receive { message, .. } => {
                if queue.messages >= MAX_MESSAGES || queue.message_bytes + message.len() > MAX_MESSAGE_BYTES {
                    return false;
                }
                queue.messages += 1;
                queue.message_bytes += message.len();
            }
            _ => {}
        }
        queue.commands.push_back(command);
        wake.notify_one();
        true
    }

    fn take(&self) -> Vec<Command> {
        let (lock, wake) = &*self.0;
        let mut queue = lock.lock().unwrap_or_else(PoisonError::into_inner);
        while queue.commands.is_empty() {
            queue = wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        let count = queue.commands.len().min(BATCH);
        let taken: Vec<Command> = queue.commands.drain(..count).collect();
        for command in &taken {
            match command {
                Command::Tick => queue.ticks -= 1,
                Command::Receive { message, .. } => {
                    queue.messages -= 1;
                    queue.message_bytes -= message.len();
                }
                _ => {}
            }
        }
        taken
    }
}

/// A running node.
pub struct Driver {
    mailbox: Mailbox,
    thread: Option<JoinHandle<()>>,
}

impl Driver {
    /// Opens a node and runs it; `sink` is called on the node's thread.
    pub fn start(options: Options, mut sink: impl FnMut(Vec<Event>) + Send + 'static) -> Result<Self> {
        let mailbox = Mailbox::default();
        let mut node = Node::open(options, Some(mailbox.clone()))?;
        let inbox = mailbox.clone();
        let run = move || {
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                let mut commands = Vec::new();
                loop {
                    let stop = commands.iter().any(|c| matches!(c, Command::Stop));
                    node.run(commands, &mut sink);
                    if stop {
                        break;
                    }
                    commands = inbox.take();
                }
                node.close();
                node.flush(&mut sink);
            }));
            if let Err(panic) = outcome {
                let text = panic
                    .downcast_ref::<String>()
                    .map(String::as_str)
                    .or_else(|| panic.downcast_ref::<&str>().copied())
                    .unwrap_or("a panic");
                sink(vec![Event::Fatal(Error::new(
                    Code::Internal,
                    format!("the Raft node stopped: {text}"),
                ))]);
            }
            drop(node);
            sink(vec![Event::Stopped]);
        };
        let thread = std::thread::Builder::new()
            .name("raft".into())
            .spawn(run)
            .map_err(|e| Error::new(Code::Internal, e.to_string()))?;
        Ok(Driver {
            mailbox,
            thread: Some(thread),
        })
    }

    /// Where its commands go.
    pub fn mailbox(&self) -> &Mailbox {
        &self.mailbox
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.mailbox.push(Command::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
