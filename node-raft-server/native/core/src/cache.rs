//! The newest entries of the log, kept in memory so that followers and the state machine need no disk.

use std::collections::VecDeque;

use raft::eraftpb::Entry;

/// A contiguous run of entries up to the log's end, bounded by bytes.
#[derive(Default)]
pub struct EntryCache {
    entries: VecDeque<Entry>,
    bytes: usize,
    limit: usize,
}

impl EntryCache {
    /// An empty cache that holds about `limit` bytes.
    pub fn new(limit: usize) -> Self {
        EntryCache {
            limit,
            ..Default::default()
        }
    }

    /// Takes in what was appended; entries that it replaces go.
    pub fn append(&mut self, entries: &[Entry]) {
        let Some(first) = entries.first() else { return };
        while self.entries.back().is_some_and(|e| e.index >= first.index) {
            let gone = self.entries.pop_back().expect("just seen");
            self.bytes -= size(&gone);
        }
        if self.entries.back().is_some_and(|e| e.index + 1 != first.index) {
            self.clear();
        }
        for entry in entries {
            self.bytes += size(entry);
            self.entries.push_back(entry.clone());
        }
        while self.bytes > self.limit && self.entries.len() > 1 {
            let gone = self.entries.pop_front().expect("more than one");
            self.bytes -= size(&gone);
        }
    }

    /// The entry of that index, if it is here.
    pub fn get(&self, index: u64) -> Option<&Entry> {
        let first = self.entries.front()?.index;
        self.entries.get(usize::try_from(index.checked_sub(first)?).ok()?)
    }

    /// Entries from `low` up to, not including, `high`, at least one and at most about `max` bytes; none if `low` is
    /// not here.
    pub fn range(&self, low: u64, high: u64, max: u64) -> Option<Vec<Entry>> {
        self.get(low)?;
        let mut total = 0;
        let mut found = Vec::new();
        for index in low..high {
            let Some(entry) = self.get(index) else { break };
            total += size(entry) as u64;
            if !found.is_empty() && total > max {
                break;
            }
            found.push(entry.clone());
        }
        Some(found)
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.bytes = 0;
    }
}

fn size(entry: &Entry) -> usize {
    entry.data.len() + entry.context.len() + 32
}
