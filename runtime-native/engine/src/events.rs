//! The ring of events: bounded, numbered, read by any number of readers at their own pace.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

use tokio::sync::watch;

use crate::clock::now_nanos;
use crate::proto::Event;

const CAPACITY: usize = 2048;

/// Keeps the last events and wakes those who read them.
pub struct Events {
    ring: Mutex<Ring>,
    newest: watch::Sender<u64>,
}

struct Ring {
    next_seq: u64,
    events: VecDeque<Event>,
}

/// A place in the ring. A reader that falls behind learns that it missed something.
pub struct Reader {
    next: u64,
    newest: watch::Receiver<u64>,
}

impl Default for Events {
    fn default() -> Self {
        let ring = Ring {
            next_seq: 1,
            events: VecDeque::new(),
        };
        Self {
            ring: Mutex::new(ring),
            newest: watch::Sender::new(0),
        }
    }
}

impl Events {
    /// Adds an event.
    pub fn emit(
        &self,
        kind: &str,
        action: &str,
        id: &str,
        attributes: impl IntoIterator<Item = (String, String)>,
    ) {
        let attributes: BTreeMap<_, _> = attributes.into_iter().collect();
        let mut ring = self.ring.lock().expect("no panic while locked");
        let seq = ring.next_seq;
        ring.next_seq += 1;
        if ring.events.len() == CAPACITY {
            ring.events.pop_front();
        }
        ring.events.push_back(Event {
            seq,
            time_nanos: now_nanos(),
            r#type: kind.into(),
            action: action.into(),
            id: id.into(),
            attributes: attributes.into_iter().collect(),
            missed: false,
        });
        drop(ring);
        self.newest.send_replace(seq);
    }

    /// Starts to read after `since`, or from now on when it is 0.
    pub fn reader(&self, since: u64) -> Reader {
        let ring = self.ring.lock().expect("no panic while locked");
        let next = if since == 0 { ring.next_seq } else { since + 1 };
        Reader {
            next,
            newest: self.newest.subscribe(),
        }
    }

    /// The events that wait for `reader`; waits for at least one.
    pub async fn next(&self, reader: &mut Reader) -> Vec<Event> {
        loop {
            let waiting = self.take(reader);
            if !waiting.is_empty() {
                return waiting;
            }
            let next = reader.next;
            // The sender lives in `self`, so this cannot fail.
            let _ = reader.newest.wait_for(|newest| *newest >= next).await;
        }
    }

    fn take(&self, reader: &mut Reader) -> Vec<Event> {
        let ring = self.ring.lock().expect("no panic while locked");
        // A reader from an earlier start of the engine may be ahead of this ring.
        let ahead = reader.next > ring.next_seq;
        let oldest = ring.events.front().map_or(ring.next_seq, |e| e.seq);
        let missed = ahead || reader.next < oldest;
        let from = if missed { oldest } else { reader.next };
        let skip = (from - oldest) as usize;
        let mut events: Vec<Event> = ring.events.iter().skip(skip).take(256).cloned().collect();
        if let Some(first) = events.first_mut() {
            first.missed = missed;
            reader.next = events.last().map_or(from, |e| e.seq + 1);
        } else if ahead {
            reader.next = ring.next_seq;
        }
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_slow_reader_learns_that_it_missed_events() {
        let events = Events::default();
        let mut reader = events.reader(0);
        for n in 0..CAPACITY + 10 {
            events.emit("container", "start", &n.to_string(), []);
        }
        let batch = events.next(&mut reader).await;
        assert!(batch[0].missed);
        assert_eq!(batch[0].id, "10");
        assert!(!batch[1].missed);
        let batch = events.next(&mut reader).await;
        assert!(!batch[0].missed);
    }
}
