//! A node in memory that runs when it is told to, on the caller's thread: for simulations.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::command::Command;
use crate::driver::{Mailbox, panicked};
use crate::error::{Code, Error, Result};
use crate::event::Event;
use crate::memory_disk::MemoryDisk;
use crate::node::{Node, Options, Place};

/// Events of one run that belong together.
pub struct Flush {
    pub events: Vec<Event>,
    /// How many of the disk's synced writes must have settled before anybody may see these events.
    pub syncs: usize,
}

/// A node with its mailbox.
pub struct Stepped {
    node: Option<Node>,
    mailbox: Mailbox,
    disk: MemoryDisk,
}

impl Stepped {
    /// Opens a node on a disk in memory.
    pub fn open(options: Options) -> Result<Self> {
        let Place::Memory(disk) = &options.place else {
            let text = "a node that is stepped is in memory";
            return Err(Error::new(Code::InvalidParameter, text));
        };
        let disk = disk.clone();
        Ok(Stepped {
            node: Some(Node::open(options, None)?),
            mailbox: Mailbox::default(),
            disk,
        })
    }

    /// Where its commands go.
    pub fn mailbox(&self) -> &Mailbox {
        &self.mailbox
    }

    /// Does what the mailbox holds. The disk is written at once, and nothing of it is durable until it is settled.
    pub fn run(&mut self) -> Vec<Flush> {
        let mut flushes = Vec::new();
        let Some(node) = &mut self.node else {
            return flushes;
        };
        let commands = self.mailbox.take_now();
        let stop = commands.iter().any(|c| matches!(c, Command::Stop));
        let disk = &self.disk;
        let mut flush = |events| {
            flushes.push(Flush {
                events,
                syncs: disk.syncing(),
            })
        };
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            node.run(commands, &mut flush);
            if stop {
                node.close();
                node.flush(&mut flush);
            }
        }));
        if let Err(panic) = &outcome {
            flush(vec![Event::Fatal(panicked("the Raft node stopped", &**panic))]);
        }
        if stop || outcome.is_err() {
            self.node = None;
            flush(vec![Event::Stopped]);
        }
        flushes
    }
}
