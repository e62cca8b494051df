//! Appends that follow each other, as one message.

use raft::eraftpb::{Message, MessageType};

/// Puts appends to the same node together where one goes on exactly where the one before ends, to about `max` bytes.
///
/// raft-rs can do that by itself (`batch_append`), but it puts entries into an empty append of another place too, as
/// happens when a node's progress was set back between the two: what is acknowledged then was never there.
pub fn join_appends(messages: Vec<Message>, max: usize) -> Vec<Message> {
    let mut joined: Vec<Message> = Vec::with_capacity(messages.len());
    for mut message in messages {
        let before = joined.iter_mut().rfind(|m| m.to == message.to);
        match before.filter(|m| continues(m, &message, max)) {
            Some(before) => {
                before.commit = message.commit;
                before.mut_entries().extend(message.take_entries());
            }
            None => joined.push(message),
        }
    }
    joined
}

fn continues(before: &Message, message: &Message, max: usize) -> bool {
    let append = |m: &Message| m.get_msg_type() == MessageType::MsgAppend;
    let (index, term) = before
        .entries
        .last()
        .map_or((before.index, before.log_term), |e| (e.index, e.term));
    append(before)
        && append(message)
        && before.term == message.term
        && (message.index, message.log_term) == (index, term)
        && size(before) + size(message) <= max
}

fn size(message: &Message) -> usize {
    message
        .entries
        .iter()
        .map(|e| e.data.len() + e.context.len() + 32)
        .sum()
}

#[cfg(test)]
mod tests {
    use raft::eraftpb::Entry;

    use super::*;

    fn append(to: u64, index: u64, entries: &[u64], commit: u64) -> Message {
        let mut message = Message {
            to,
            index,
            log_term: 1,
            commit,
            ..Message::default()
        };
        message.set_msg_type(MessageType::MsgAppend);
        let entry = |index: &u64| Entry {
            index: *index,
            term: 1,
            data: vec![0; 100].into(),
            ..Entry::default()
        };
        message.set_entries(entries.iter().map(entry).collect());
        message
    }

    fn shape(messages: &[Message]) -> Vec<(u64, u64, Vec<u64>, u64)> {
        let indexes = |m: &Message| m.entries.iter().map(|e| e.index).collect();
        messages
            .iter()
            .map(|m| (m.to, m.index, indexes(m), m.commit))
            .collect()
    }

    #[test]
    fn joins_what_follows_and_nothing_else() {
        let messages = vec![
            append(2, 4, &[5], 3),
            append(3, 4, &[5], 3),
            append(2, 5, &[6, 7], 4),
            append(2, 7, &[], 5),
            append(3, 3, &[4, 5], 5),
        ];
        let joined = join_appends(messages, 1 << 20);
        assert_eq!(
            shape(&joined),
            [
                (2, 4, vec![5, 6, 7], 5),
                (3, 4, vec![5], 3),
                (3, 3, vec![4, 5], 5),
            ]
        );
    }

    #[test]
    fn entries_of_another_place_do_not_go_into_an_empty_append() {
        let messages = vec![append(2, 9, &[], 3), append(2, 7, &[8, 9], 3)];
        assert_eq!(join_appends(messages, 1 << 20).len(), 2);
    }

    #[test]
    fn does_not_grow_beyond_its_bound() {
        let messages = vec![append(2, 4, &[5, 6], 3), append(2, 6, &[7], 3)];
        assert_eq!(join_appends(messages, 300).len(), 2);
    }
}
