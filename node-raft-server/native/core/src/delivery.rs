//! The committed stream on its way to the consumer, with a window: what does not fit is read from the log later.

use std::collections::VecDeque;

use raft::eraftpb::{ConfState, Entry, EntryType};

use crate::error::Result;
use crate::event::{Committed, Event};
use crate::members::Members;
use crate::snapshot_file::SnapshotHead;
use crate::storage::{FIRST_INDEX, LogStorage};

const READ_BYTES: u64 = 4 << 20;

enum Item {
    Ready(Committed),
    /// Entries `next..=last`, still in the log.
    Later {
        next: u64,
        last: u64,
    },
}

/// The queue before the consumer.
pub struct Delivery {
    queue: VecDeque<Item>,
    window: usize,
    unconsumed: usize,
    /// The last index that was committed.
    seen: u64,
    /// The last index handed out.
    delivered: u64,
}

impl Delivery {
    /// A stream whose consumer has at most about `window` bytes before it.
    pub fn new(window: usize) -> Self {
        Delivery {
            queue: VecDeque::new(),
            window,
            unconsumed: 0,
            seen: 0,
            delivered: 0,
        }
    }

    /// The last index the consumer was given.
    pub fn delivered(&self) -> u64 {
        self.delivered
    }

    /// A snapshot makes everything before it moot.
    pub fn snapshot(&mut self, head: &SnapshotHead, data: Vec<u8>) {
        self.queue.clear();
        let metadata = &head.metadata;
        if metadata.index > FIRST_INDEX {
            self.queue.push_back(Item::Ready(Committed::Snapshot {
                index: metadata.index,
                term: metadata.term,
                data,
            }));
        }
        self.membership(metadata.index, metadata.get_conf_state(), &head.members);
    }

    /// The members as they are from `index` on.
    pub fn membership(&mut self, index: u64, conf: &ConfState, members: &Members) {
        self.seen = index;
        let mut voters = conf.get_voters().to_vec();
        voters.sort_unstable();
        let mut learners = conf.get_learners().to_vec();
        learners.sort_unstable();
        self.queue.push_back(Item::Ready(Committed::Membership {
            index,
            voters,
            learners,
            peers: members.peers(),
        }));
    }

    /// An entry was committed that tells the consumer nothing.
    pub fn skip(&mut self, index: u64) {
        self.seen = index;
    }

    /// A normal entry was committed.
    pub fn entry(&mut self, entry: &Entry) {
        let index = entry.index;
        self.seen = index;
        if let Some(Item::Later { last, .. }) = self.queue.back_mut() {
            *last = index;
        } else if self.unconsumed + entry.data.len() > self.window || self.queue.len() > 4096 {
            self.queue.push_back(Item::Later {
                next: index,
                last: index,
            });
        } else if !entry.data.is_empty() {
            self.queue.push_back(Item::Ready(entry_of(entry)));
        }
    }

    /// The consumer took so many bytes.
    pub fn consumed(&mut self, bytes: usize) {
        self.unconsumed = self.unconsumed.saturating_sub(bytes);
    }

    /// Hands out what fits.
    pub fn pump(&mut self, storage: &LogStorage, events: &mut Vec<Event>) -> Result<()> {
        while self.unconsumed < self.window {
            match self.queue.pop_front() {
                None => break,
                Some(Item::Ready(item)) => self.hand_out(item, events),
                Some(Item::Later { next, last }) => {
                    let entries = storage.read(next, last + 1, READ_BYTES)?;
                    let read = entries.last().map_or(last, |e| e.index);
                    if read < last {
                        self.queue.push_front(Item::Later { next: read + 1, last });
                    }
                    for entry in &entries {
                        if entry.entry_type == EntryType::EntryNormal && !entry.data.is_empty() {
                            self.hand_out(entry_of(entry), events);
                        }
                    }
                }
            }
        }
        if self.queue.is_empty() && self.delivered < self.seen {
            self.delivered = self.seen;
            events.push(Event::Reached { index: self.seen });
        }
        Ok(())
    }

    fn hand_out(&mut self, item: Committed, events: &mut Vec<Event>) {
        self.unconsumed += item.bytes();
        self.delivered = match &item {
            Committed::Entry { index, .. }
            | Committed::Membership { index, .. }
            | Committed::Snapshot { index, .. } => *index,
        };
        events.push(Event::Committed(item));
    }
}

fn entry_of(entry: &Entry) -> Committed {
    Committed::Entry {
        index: entry.index,
        term: entry.term,
        data: entry.data.to_vec(),
    }
}
