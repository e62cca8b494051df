//! Snapshots of the state machine: written on a thread of their own, then the log before them goes.

use raft::{ProgressState, SnapshotStatus};

use crate::command::Command;
use crate::error::{Code, Error, Result};
use crate::event::Event;
use crate::node::Node;
use crate::snapshot_file::SnapshotHead;

/// A snapshot whose arrival nobody reported is given up after so many election timeouts.
const SNAPSHOT_TIMEOUT: u64 = 60;

impl Node {
    pub(crate) fn snapshot(&mut self, id: u64, index: u64, data: Vec<u8>) -> Result<()> {
        if self.writing.is_some() {
            return Err(Error::new(Code::Conflict, "a snapshot is being written already"));
        }
        if index <= self.raw.store().head().metadata.index {
            self.events.push(Event::Done { id, index });
            return Ok(());
        }
        if index > self.delivery.delivered() {
            let text = format!("entry {index} was not handed out yet, so it cannot be in a snapshot");
            return Err(Error::new(Code::InvalidParameter, text));
        }
        let term = self
            .raw
            .raft
            .raft_log
            .term(index)
            .map_err(|e| Error::new(Code::Internal, e.to_string()))?;
        let (_, conf, members) = self
            .history
            .iter()
            .rev()
            .find(|(from, ..)| *from <= index)
            .expect("the history begins at the snapshot");
        let mut head = SnapshotHead {
            members: members.clone(),
            ..SnapshotHead::default()
        };
        head.metadata.index = index;
        head.metadata.term = term;
        head.metadata.set_conf_state(conf.clone());
        self.writing = Some(head.clone());
        let disk = self.raw.store().disk();
        let write = move || disk.write_snapshot(&head, &data);
        match self.mailbox.clone() {
            None => self.snapshot_written(id, index, write()),
            Some(mailbox) => {
                self.help("raft-snapshot", move || {
                    let result = write();
                    mailbox.push(Command::SnapshotWritten { id, index, result });
                });
                Ok(())
            }
        }
    }

    pub(crate) fn snapshot_written(&mut self, id: u64, index: u64, result: Result<()>) -> Result<()> {
        let head = self.writing.take();
        result?;
        let newer = self.raw.store().head().metadata.index < index;
        if let Some(head) = head.filter(|_| newer) {
            let tail = self.options.log_tail;
            self.raw.mut_store().compact(head, tail)?;
            let current = self
                .history
                .iter()
                .rposition(|(from, ..)| *from <= index)
                .unwrap_or(0);
            self.history.drain(..current);
            let disk = self.raw.store().disk();
            let purge = move || disk.purge();
            match self.mailbox {
                None => purge(),
                Some(_) => self.help("raft-purge", purge),
            }
        }
        self.events.push(Event::Done { id, index });
        Ok(())
    }

    fn help(&mut self, name: &str, work: impl FnOnce() + Send + 'static) {
        self.helpers.retain(|h| !h.is_finished());
        let thread = std::thread::Builder::new().name(name.into()).spawn(work);
        self.helpers.extend(thread.ok());
    }

    pub(crate) fn give_up_snapshots(&mut self) {
        let sending: Vec<u64> = self
            .raw
            .raft
            .prs()
            .iter()
            .filter(|(_, p)| p.state == ProgressState::Snapshot)
            .map(|(id, _)| *id)
            .collect();
        self.snapshots_since.retain(|id, _| sending.contains(id));
        let limit = SNAPSHOT_TIMEOUT * self.options.election_ticks as u64;
        for id in sending {
            let since = *self.snapshots_since.entry(id).or_insert(self.ticks);
            if self.ticks - since > limit {
                self.snapshots_since.remove(&id);
                self.raw.report_snapshot(id, SnapshotStatus::Failure);
            }
        }
    }
}
