//! A node on a thread of its own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::command::Command;
use crate::error::{Code, Error, Result};
use crate::event::Event;
use crate::node::{Node, Options};

/// Commands done between two writes of the log, at most.
const BATCH: usize = 4096;
/// Messages of other nodes that wait, at most; Raft sends again what is dropped.
const MAX_MESSAGES: usize = 8192;
const MAX_MESSAGE_BYTES: usize = 1 << 30;
/// After a commit, so long for the next entry, which tells the others of it.
const COMMIT_NEWS: Duration = Duration::from_millis(3);
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
        queue.take()
    }

    /// The next commands; none when none has come within that time.
    fn take_within(&self, time: Duration) -> Vec<Command> {
        let (lock, wake) = &*self.0;
        let queue = lock.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut queue, _) = wake
            .wait_timeout_while(queue, time, |queue| queue.commands.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        queue.take()
    }

    /// What is there, if anything.
    pub(crate) fn take_now(&self) -> Vec<Command> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Queue {
    fn take(&mut self) -> Vec<Command> {
        let count = self.commands.len().min(BATCH);
        let taken: Vec<Command> = self.commands.drain(..count).collect();
        for command in &taken {
            match command {
                Command::Tick => self.ticks -= 1,
                Command::Receive { message, .. } => {
                    self.messages -= 1;
                    self.message_bytes -= message.len();
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
        let inbox = mailbox.clone();
        let (opened, outcome) = mpsc::sync_channel(1);
        let run = move || {
            // On this thread already: the log engine keeps the block it read last for each thread, whichever engine the
            // block is of, so that a thread must read one log only.
            let node = catch_unwind(AssertUnwindSafe(|| Node::open(options, Some(inbox.clone()))))
                .unwrap_or_else(|panic| Err(panicked("the Raft log could not be opened", &*panic)));
            match node {
                Err(error) => drop(opened.send(Err(error))),
                Ok(node) => {
                    drop(opened.send(Ok(())));
                    serve(node, &inbox, &mut sink);
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("raft".into())
            .spawn(run)
            .map_err(|e| Error::new(Code::Internal, e.to_string()))?;
        let driver = Driver {
            mailbox,
            thread: Some(thread),
        };
        let gone = Error::new(Code::Internal, "the Raft node's thread ended");
        outcome.recv().unwrap_or(Err(gone)).map(|()| driver)
    }

    /// Where its commands go.
    pub fn mailbox(&self) -> &Mailbox {
        &self.mailbox
    }
}

fn serve(mut node: Node, inbox: &Mailbox, sink: &mut dyn FnMut(Vec<Event>)) {
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let mut commands = Vec::new();
        loop {
            let stop = commands.iter().any(|c| matches!(c, Command::Stop));
            node.run(commands, sink);
            if stop {
                break;
            }
            commands = if node.owes_commit() {
                inbox.take_within(COMMIT_NEWS)
            } else {
                inbox.take()
            };
            if commands.is_empty() {
                node.tell_commit();
            }
        }
        node.close();
        node.flush(sink);
    }));
    // A library that panics must not end the process.
    if let Err(panic) = outcome {
        sink(vec![Event::Fatal(panicked("the Raft node stopped", &*panic))]);
    }
    drop(node);
    sink(vec![Event::Stopped]);
}

pub(crate) fn panicked(what: &str, panic: &(dyn std::any::Any + Send)) -> Error {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic");
    Error::new(Code::Internal, format!("{what}: {text}"))
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.mailbox.push(Command::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
