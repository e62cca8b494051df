//! Proposals that wait for their commit.

use std::collections::BTreeMap;

use crate::error::{Code, Error};
use crate::event::Event;

struct Waiting {
    id: u64,
    term: u64,
    /// Whether a membership change must be found there; raft-rs puts an empty entry where it refuses one.
    change: bool,
}

/// Waiting proposals by the index they were given.
#[derive(Default)]
pub struct Pending {
    by_index: BTreeMap<u64, Waiting>,
}

impl Pending {
    /// Remembers a proposal that was appended.
    pub fn insert(&mut self, index: u64, term: u64, id: u64, change: bool) {
        self.by_index.insert(index, Waiting { id, term, change });
    }

    /// The entry of that index is committed: answers who waits for it.
    pub fn committed(&mut self, index: u64, term: u64, change: bool, events: &mut Vec<Event>) {
        let Some(waiting) = self.by_index.remove(&index) else {
            return;
        };
        let id = waiting.id;
        if waiting.term != term {
            events.push(Event::Failed { id, error: dropped() });
        } else if waiting.change && !change {
            let text = "another change of the members is under way; try again";
            events.push(Event::Failed {
                id,
                error: Error::new(Code::Conflict, text),
            });
        } else {
            events.push(Event::Done { id, index });
        }
    }

    /// The change at that index was committed but cannot be made.
    pub fn refused(&mut self, index: u64, error: Error, events: &mut Vec<Event>) {
        if let Some(waiting) = self.by_index.remove(&index) {
            events.push(Event::Failed {
                id: waiting.id,
                error,
            });
        }
    }

    /// Gives everybody the same bad news.
    pub fn fail_all(&mut self, error: &Error, events: &mut Vec<Event>) {
        for (_, waiting) in std::mem::take(&mut self.by_index) {
            events.push(Event::Failed {
                id: waiting.id,
                error: error.clone(),
            });
        }
    }
}

/// The leadership went while a proposal waited: it may have been committed, or not.
pub fn dropped() -> Error {
    Error::new(
        Code::ProposalDropped,
        "the leader changed while the change waited, so that it may or may not have been taken; look, then try again",
    )
}
