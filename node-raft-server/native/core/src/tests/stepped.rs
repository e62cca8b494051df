//! A node in memory: what it says of its disk, and what a power cut leaves.

use crate::command::{Change, Command};
use crate::event::{Committed, Event};
use crate::members::Peer;
use crate::memory_disk::MemoryDisk;
use crate::node::{Options, Place};
use crate::status::Role;
use crate::stepped::{Flush, Stepped};
use crate::storage::Start;

fn open(disk: &MemoryDisk) -> Stepped {
    let peer = Peer {
        id: 1,
        address: "n1".into(),
    };
    Stepped::open(Options {
        place: Place::Memory(disk.clone()),
        id: 1,
        start: Start::Bootstrap(vec![peer]),
        election_ticks: 10,
        heartbeat_ticks: 1,
        max_entry_bytes: 1 << 20,
        log_tail: 2,
        window_bytes: 1 << 20,
        min_free_bytes: 1,
        key: None,
        election_seed: Some(1),
        sole_address: None,
    })
    .expect("opens")
}

/// Runs the commands with a disk that syncs at once; what was committed comes back.
fn settled(node: &mut Stepped, disk: &MemoryDisk, commands: Vec<Command>) -> Vec<String> {
    commands.into_iter().for_each(|c| assert!(node.mailbox().push(c)));
    let flushes = node.run();
    disk.settle(disk.syncing());
    entries(&flushes)
}

fn entries(flushes: &[Flush]) -> Vec<String> {
    let events = flushes.iter().flat_map(|f| &f.events);
    events
        .filter_map(|event| match event {
            Event::Committed(Committed::Entry { data, .. } | Committed::Snapshot { data, .. }) => {
                Some(String::from_utf8(data.clone()).unwrap())
            }
            _ => None,
        })
        .collect()
}

fn propose(id: u64, text: &str) -> Command {
    let data = text.as_bytes().to_vec();
    Command::Propose { id, data }
}

#[test]
fn what_a_proposal_is_answered_with_waits_for_the_disk() {
    let disk = MemoryDisk::default();
    let mut node = open(&disk);
    settled(&mut node, &disk, vec![]);
    node.mailbox().push(propose(1, "a"));
    let flushes = node.run();
    let answered = |f: &&Flush| f.events.iter().any(|e| matches!(e, Event::Done { .. }));
    assert_eq!(flushes.iter().find(answered).expect("answered").syncs, 1);
}

#[test]
fn a_power_cut_takes_what_was_not_settled_and_nothing_else() {
    for kept in [0, 8] {
        let disk = MemoryDisk::default();
        let mut node = open(&disk);
        settled(&mut node, &disk, vec![]);
        assert_eq!(settled(&mut node, &disk, vec![propose(1, "a")]), ["a"]);
        node.mailbox().push(propose(2, "b"));
        node.run();
        let disk = disk.crash(kept);
        let mut again = open(&disk);
        let found = settled(&mut again, &disk, vec![]);
        assert_eq!(found, ["a", "b"][..if kept == 0 { 1 } else { 2 }]);
    }
}

#[test]
fn does_not_lead_alone_once_others_were_taken_in() {
    let disk = MemoryDisk::default();
    let mut node = open(&disk);
    settled(&mut node, &disk, vec![]);
    let other = Peer {
        id: 2,
        address: "n2".into(),
    };
    let change = Change::AddVoter(other);
    settled(&mut node, &disk, vec![Command::Change { id: 1, change }]);
    let mut again = open(&disk.crash(0));
    let status = again
        .run()
        .into_iter()
        .flat_map(|f| f.events)
        .find_map(|event| match event {
            Event::Status { status, .. } => Some(status),
            _ => None,
        })
        .expect("a status");
    assert_eq!(status.group.voters, [1, 2]);
    assert_ne!(status.role, Role::Leader);
}

#[test]
fn begins_with_its_snapshot_and_what_follows() {
    let disk = MemoryDisk::default();
    let mut node = open(&disk);
    settled(&mut node, &disk, vec![]);
    for (id, text) in (1..).zip(["a", "b", "c"]) {
        settled(&mut node, &disk, vec![propose(id, text)]);
    }
    let data = b"abc".to_vec();
    settled(
        &mut node,
        &disk,
        vec![Command::Snapshot {
            id: 9,
            index: 5,
            data,
            keep_old: 0,
        }],
    );
    settled(&mut node, &disk, vec![propose(10, "d")]);
    let disk = disk.crash(0);
    let mut again = open(&disk);
    assert_eq!(settled(&mut again, &disk, vec![]), ["abc", "d"]);
}

#[test]
fn a_full_disk_refuses_and_goes_on_when_there_is_room() {
    let disk = MemoryDisk::default();
    let mut node = open(&disk);
    settled(&mut node, &disk, vec![]);
    disk.set_free(Some(0));
    assert!(settled(&mut node, &disk, vec![propose(1, "a")]).is_empty());
    disk.set_free(None);
    let ticks = (0..40).map(|_| Command::Tick);
    for tick in ticks {
        settled(&mut node, &disk, vec![tick]);
    }
    let found = settled(&mut node, &disk, vec![propose(2, "b")]);
    assert!(found.contains(&"b".to_string()), "{found:?}");
}
