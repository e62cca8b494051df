//! What raft-rs hands out: messages, entries to keep, entries to apply. Nothing leaves a follower before it is durable.

use protobuf::Message as _;
use raft::Ready;
use raft::eraftpb::{ConfChangeType, ConfChangeV2, Entry, EntryType};

use crate::error::{Code, Error, Result};
use crate::event::Event;
use crate::members::decode_peers;
use crate::node::Node;
use crate::raft_storage::open_envelope;
use crate::snapshot_file::SnapshotHead;

impl Node {
    /// Persists, sends and applies until nothing is left to do.
    pub(crate) fn process_ready(&mut self, sink: &mut dyn FnMut(Vec<Event>)) {
        if let Some(ready) = self.stalled.take_if(|_| self.ticked) {
            if self.has_room(&ready) {
                self.settle(ready);
            } else {
                self.stalled = Some(ready);
            }
        }
        self.ticked = false;
        while self.fatal.is_none() && self.stalled.is_none() && self.raw.has_ready() {
            let mut ready = self.raw.ready();
            let messages = ready.take_messages();
            self.send(messages);
            for state in ready.take_read_states() {
                let id = state.request_ctx.last_chunk::<8>();
                self.events.extend(id.map(|id| Event::ReadReady {
                    id: u64::from_le_bytes(*id),
                    index: state.index,
                }));
            }
            // A leader's messages travel while its own disk still writes.
            if ready.must_sync() {
                self.flush(sink);
            }
            self.settle(ready);
        }
        if let Err(error) = self.pump() {
            self.fail(error);
        }
    }

    fn settle(&mut self, ready: Ready) {
        match self.persist(&ready) {
            Ok(()) => self.finish(ready),
            Err(error) if error.code == Code::DiskFull => {
                self.disk_full = true;
                self.stalled = Some(ready);
                self.pending.fail_all(&error, &mut self.events);
            }
            Err(error) => self.fail(error),
        }
    }

    fn persist(&mut self, ready: &Ready) -> Result<()> {
        if !ready.snapshot().is_empty() {
            let (head, data) = open_envelope(ready.snapshot()).expect("checked when it was received");
            let state = ready.hs().unwrap_or(self.raw.store().hard_state()).clone();
            if self.raw.store().head().metadata.index < head.metadata.index {
                self.raw.mut_store().install(head, data, &state)?;
            }
        }
        let store = self.raw.mut_store();
        if !ready.entries().is_empty() || ready.must_sync() {
            return store.append(ready.entries(), ready.hs(), ready.must_sync());
        }
        if let Some(state) = ready.hs() {
            store.set_commit(state.commit);
        }
        Ok(())
    }

    fn finish(&mut self, mut ready: Ready) {
        if !ready.snapshot().is_empty() {
            let (head, data) = open_envelope(ready.snapshot()).expect("checked when it was received");
            let data = data.to_vec();
            self.restart_from(head, data);
        }
        let mut committed = ready.take_committed_entries();
        let messages = ready.take_persisted_messages();
        self.send(messages);
        let mut light = self.raw.advance_append(ready);
        let messages = light.take_messages();
        self.send(messages);
        if let Some(commit) = light.commit_index() {
            self.raw.mut_store().set_commit(commit);
        }
        committed.append(&mut light.take_committed_entries());
        // A node that forgot that a change of members is committed would stand for election among those of before.
        if committed.iter().any(|e| e.entry_type != EntryType::EntryNormal)
            && let Err(error) = self.raw.mut_store().write_state(true)
        {
            return self.fail(error);
        }
        for entry in &committed {
            self.apply(entry);
        }
        self.raw.advance_apply();
        if let Err(error) = self.pump() {
            self.fail(error);
        }
    }

    /// The state machine's state is a snapshot's from here on.
    pub(crate) fn restart_from(&mut self, head: SnapshotHead, data: Vec<u8>) {
        self.members = head.members.clone();
        self.regroup = true;
        self.history = vec![(
            head.metadata.index,
            head.metadata.get_conf_state().clone(),
            head.members.clone(),
        )];
        self.delivery.snapshot(&head, data);
    }

    fn apply(&mut self, entry: &Entry) {
        if entry.entry_type == EntryType::EntryNormal {
            self.pending
                .committed(entry.index, entry.term, false, &mut self.events);
            return self.delivery.entry(entry);
        }
        self.delivery.skip(entry.index);
        let made = ConfChangeV2::parse_from_bytes(&entry.data)
            .map_err(|e| e.to_string())
            .and_then(|c| {
                self.raw
                    .apply_conf_change(&c)
                    .map(|conf| (c, conf))
                    .map_err(|e| e.to_string())
            });
        match made {
            Err(text) => {
                self.pending
                    .refused(entry.index, Error::new(Code::Conflict, text), &mut self.events)
            }
            Ok((change, conf)) => {
                self.regroup = true;
                for peer in decode_peers(&entry.context).unwrap_or_default() {
                    self.members.put(&peer);
                }
                for single in change.get_changes() {
                    if single.get_change_type() == ConfChangeType::RemoveNode {
                        self.members.remove(single.node_id);
                    }
                }
                self.history
                    .push((entry.index, conf.clone(), self.members.clone()));
                self.delivery.membership(entry.index, &conf, &self.members);
                self.pending
                    .committed(entry.index, entry.term, true, &mut self.events);
            }
        }
    }

    fn pump(&mut self) -> Result<()> {
        self.delivery.pump(self.raw.store(), &mut self.events)
    }

    fn fail(&mut self, error: Error) {
        self.pending.fail_all(&error, &mut self.events);
        self.events.push(Event::Fatal(error.clone()));
        self.fatal = Some(error);
    }
}
