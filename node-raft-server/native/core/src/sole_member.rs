//! A group whose other members are lost for good: the one that is left goes on alone.

use std::collections::BTreeSet;

use protobuf::Message as _;
use raft::eraftpb::{ConfChangeSingle, ConfChangeType, ConfChangeV2, Entry, EntryType};

use crate::error::{Error, Result};
use crate::members::{Peer, encode_peers};
use crate::storage::LogStorage;

const READ_BYTES: u64 = 4 << 20;

/// Makes the node `id`, at `address`, the only member, by changes at the log's end that count as committed. What stands
/// in the log before them counts too: a majority may have had it, and nobody is left who could tell.
pub fn force(storage: &mut LogStorage, id: u64, address: &str) -> Result<()> {
    let own = Peer {
        id,
        address: address.to_string(),
    };
    let others = members_ever(storage)?.into_iter().filter(|other| *other != id);
    let changes = std::iter::once((ConfChangeType::AddNode, id, vec![own]))
        .chain(others.map(|other| (ConfChangeType::RemoveNode, other, Vec::new())));
    // A member that comes back after all finds a newer term than its own.
    let mut state = storage.hard_state().clone();
    state.term += 1;
    state.vote = 0;
    let mut entries = Vec::new();
    for (index, (kind, node, peers)) in (storage.last_index + 1..).zip(changes) {
        entries.push(change(index, state.term, kind, node, &peers));
        state.commit = index;
    }
    storage.append(&entries, Some(&state), true)
}

fn change(index: u64, term: u64, kind: ConfChangeType, node: u64, peers: &[Peer]) -> Entry {
    let mut single = ConfChangeSingle::default();
    single.set_change_type(kind);
    single.node_id = node;
    let mut change = ConfChangeV2::default();
    change.set_changes(vec![single].into());
    let mut entry = Entry {
        index,
        term,
        data: change.write_to_bytes().expect("changes encode").into(),
        context: encode_peers(peers).into(),
        ..Entry::default()
    };
    entry.set_entry_type(EntryType::EntryConfChangeV2);
    entry
}

/// All that the newest snapshot or the log after it names.
fn members_ever(storage: &LogStorage) -> Result<BTreeSet<u64>> {
    let conf = storage.head().metadata.get_conf_state();
    let mut ids: BTreeSet<u64> = conf
        .get_voters()
        .iter()
        .chain(conf.get_learners())
        .copied()
        .collect();
    let mut next = storage.head().metadata.index.max(storage.truncated.0) + 1;
    while next <= storage.last_index {
        let entries = storage.read(next, storage.last_index + 1, READ_BYTES)?;
        for entry in &entries {
            if entry.get_entry_type() == EntryType::EntryConfChangeV2 {
                let change = ConfChangeV2::parse_from_bytes(&entry.data)
                    .map_err(|_| Error::damaged(storage.disk.path(), "a change of the members"))?;
                ids.extend(change.get_changes().iter().map(|single| single.node_id));
            }
            next = entry.index + 1;
        }
    }
    Ok(ids)
}
