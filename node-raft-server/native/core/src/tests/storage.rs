use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use raft::eraftpb::{Entry, HardState};
use raft::{GetEntriesContext, Storage};

use crate::cipher::Cipher;
use crate::disk::{Batch, Disk};
use crate::engine_disk::EngineDisk;
use crate::error::Code;
use crate::members::{Members, Peer};
use crate::snapshot_file::{self, SnapshotHead};
use crate::storage::{KEY_IDENTITY, LogStorage, Start};
use crate::testing::TempDir;

fn peer(id: u64) -> Peer {
    Peer {
        id,
        address: format!("10.0.0.{id}:2377"),
    }
}

fn open(dir: &TempDir) -> LogStorage {
    LogStorage::open(dir.path(), 1, &Start::Bootstrap(vec![peer(1), peer(2)]), None).expect("opens")
}

fn entry(index: u64, term: u64, text: &str) -> Entry {
    Entry {
        index,
        term,
        data: text.as_bytes().to_vec().into(),
        ..Entry::default()
    }
}

fn state(term: u64, commit: u64) -> HardState {
    HardState {
        term,
        commit,
        ..HardState::default()
    }
}

fn texts(storage: &LogStorage) -> Vec<String> {
    let (low, high) = (storage.first_index().unwrap(), storage.last_index().unwrap() + 1);
    let entries = storage
        .entries(low, high, None, GetEntriesContext::empty(false))
        .unwrap();
    entries
        .iter()
        .map(|e| String::from_utf8(e.data.to_vec()).unwrap())
        .collect()
}

fn head(index: u64, term: u64) -> SnapshotHead {
    let mut head = SnapshotHead {
        members: Members::of(&[peer(1), peer(2)]),
        ..SnapshotHead::default()
    };
    head.metadata.index = index;
    head.metadata.term = term;
    head.metadata.set_conf_state((vec![1, 2], vec![]).into());
    head
}

fn log_file(dir: &TempDir) -> PathBuf {
    let files = fs::read_dir(dir.path().join("log"))
        .unwrap()
        .flatten()
        .map(|e| e.path());
    files
        .filter(|p| p.extension().is_some_and(|e| e == "raftlog"))
        .max()
        .expect("a log file")
}

#[test]
fn keeps_entries_state_and_members() {
    let dir = TempDir::new();
    let mut storage = open(&dir);
    storage
        .append(&[entry(2, 1, "a"), entry(3, 1, "b")], Some(&state(1, 2)), true)
        .unwrap();
    storage
        .append(&[entry(3, 2, "B"), entry(4, 2, "c")], Some(&state(2, 4)), true)
        .unwrap();
    drop(storage);
    let storage = open(&dir);
    assert_eq!(texts(&storage), ["a", "B", "c"]);
    assert_eq!(storage.term(3).unwrap(), 2);
    assert_eq!(storage.term(1).unwrap(), 1);
    assert_eq!(storage.hard_state(), &state(2, 4));
    assert_eq!(storage.head().members, Members::of(&[peer(1), peer(2)]));
    assert_eq!(storage.initial_state().unwrap().conf_state.voters, [1, 2]);
}

#[test]
fn compacts_behind_a_snapshot_but_for_a_tail() {
    let dir = TempDir::new();
    let mut storage = open(&dir);
    let entries: Vec<Entry> = (2..=20).map(|i| entry(i, 1, &i.to_string())).collect();
    storage.append(&entries, Some(&state(1, 20)), true).unwrap();
    storage.disk().write_snapshot(&head(15, 1), b"the state").unwrap();
    storage.compact(head(15, 1), 3).unwrap();
    let check = |storage: LogStorage| {
        assert_eq!(storage.first_index().unwrap(), 13);
        assert_eq!(storage.read_snapshot().unwrap(), b"the state");
        assert_eq!(texts(&storage)[0], "13");
        assert!(storage.term(11).is_err());
        assert_eq!(storage.term(12).unwrap(), 1);
    };
    check(storage);
    check(open(&dir));
}

#[test]
fn one_process_at_a_time() {
    let dir = TempDir::new();
    let storage = open(&dir);
    let error = LogStorage::open(dir.path(), 1, &Start::Existing, None)
        .err()
        .expect("refused");
    assert_eq!(error.code, Code::Conflict);
    drop(storage);
    open(&dir);
}

#[test]
fn a_leaders_snapshot_replaces_the_log() {
    let dir = TempDir::new();
    let mut storage = open(&dir);
    let entries: Vec<Entry> = (2..=200).map(|i| entry(i, 1, "old")).collect();
    storage.append(&entries, Some(&state(1, 5)), true).unwrap();
    storage
        .install(head(100, 3), b"new state", &state(3, 100))
        .unwrap();
    storage
        .append(
            &[entry(101, 3, "x"), entry(102, 3, "y")],
            Some(&state(3, 101)),
            true,
        )
        .unwrap();
    drop(storage);
    let storage = open(&dir);
    assert_eq!(texts(&storage), ["x", "y"]);
    assert_eq!(storage.first_index().unwrap(), 101);
    assert_eq!(storage.term(100).unwrap(), 3);
    assert_eq!(storage.read_snapshot().unwrap(), b"new state");
}

#[test]
fn a_snapshot_for_a_newcomer_names_it() {
    let dir = TempDir::new();
    let storage = open(&dir);
    let sent = storage.snapshot(0, 9).unwrap();
    assert_eq!(sent.get_metadata().get_conf_state().learners, [9]);
    assert!(
        storage
            .snapshot(0, 2)
            .unwrap()
            .get_metadata()
            .get_conf_state()
            .learners
            .is_empty()
    );
}

#[test]
fn a_torn_write_is_forgiven_and_damage_is_named() {
    let dir = TempDir::new();
    let mut storage = open(&dir);
    for i in 2..=4 {
        storage
            .append(
                &[entry(i, 1, &format!("entry number {i}"))],
                Some(&state(1, 1)),
                true,
            )
            .unwrap();
    }
    drop(storage);
    let file = log_file(&dir);
    let whole = fs::read(&file).unwrap();
    let used = whole.iter().rposition(|b| *b != 0).unwrap();

    fs::write(&file, &whole[..used - 2]).unwrap();
    let storage = open(&dir);
    assert_eq!(texts(&storage), ["entry number 2", "entry number 3"]);
    drop(storage);

    let at = whole.windows(14).position(|w| w == b"entry number 3").unwrap();
    // The entry, the lengths before it, and a hole of zeros over it: whole batches behind show that it is damage.
    for hurt in [at..at + 1, at - 20..at - 12, at - 30..at + 14] {
        let mut bytes = whole.clone();
        bytes[hurt.clone()]
            .iter_mut()
            .for_each(|b| *b = if hurt.len() == 1 { *b ^ 1 } else { 0 });
        fs::write(&file, &bytes).unwrap();
        let error = LogStorage::open(dir.path(), 1, &Start::Existing, None)
            .err()
            .expect("refused");
        assert_eq!(error.code, Code::StorageDamaged);
        assert!(error.text.contains(file.to_str().unwrap()), "{error}");
    }
}

#[test]
fn a_cut_snapshot_is_named() {
    let dir = TempDir::new();
    let cipher = Cipher::new(None);
    snapshot_file::write(dir.path(), &head(5, 1), &vec![7; 3 << 20], &cipher).unwrap();
    let path = snapshot_file::path(dir.path(), 5);
    assert_eq!(
        snapshot_file::read(&path, 5, &cipher).unwrap(),
        (head(5, 1), vec![7; 3 << 20])
    );
    let bytes = fs::read(&path).unwrap();
    for len in [0, 11, 40, 2 << 20, bytes.len() - 1] {
        fs::write(&path, &bytes[..len]).unwrap();
        let error = snapshot_file::read(&path, 5, &cipher).expect_err("cut");
        assert_eq!(error.code, Code::StorageDamaged);
        assert!(error.text.contains(path.to_str().unwrap()));
    }
}

#[test]
fn a_log_of_a_newer_version_is_refused() {
    let dir = TempDir::new();
    drop(open(&dir));
    let disk = EngineDisk::open(dir.path(), Arc::new(Cipher::new(None))).unwrap();
    let mut identity = disk.value(KEY_IDENTITY).unwrap();
    identity[0] += 1;
    let batch = Batch {
        drop_before: None,
        entries: &[],
        values: vec![(KEY_IDENTITY, identity)],
    };
    disk.write(batch, true).unwrap();
    drop(disk);
    let error = LogStorage::open(dir.path(), 1, &Start::Existing, None)
        .err()
        .unwrap();
    assert_eq!(error.code, Code::DataFormatNewer);
    assert!(
        error
            .text
            .contains("written by a newer Creel (format 2; this one knows 1)")
    );
}

#[test]
fn how_far_it_is_committed_is_kept_with_the_next_write_or_at_the_end() {
    let dir = TempDir::new();
    let mut storage = open(&dir);
    storage
        .append(&[entry(2, 1, "a")], Some(&state(1, 1)), true)
        .unwrap();
    storage.set_commit(2);
    assert_eq!(storage.initial_state().unwrap().hard_state.commit, 2);
    drop(storage);
    let mut storage = open(&dir);
    assert_eq!(
        storage.hard_state(),
        &state(1, 1),
        "nothing was written for it alone"
    );
    storage.set_commit(2);
    storage.write_state(false).unwrap();
    drop(storage);
    assert_eq!(open(&dir).hard_state(), &state(1, 2));
}
