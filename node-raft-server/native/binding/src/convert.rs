//! Plain data on both sides of the door; numbers are safe integers.

use creel_raft::{Committed, Error, Event, Flush, Peer, Progress, Status};
use napi::bindgen_prelude::{Buffer, Uint8Array};
use napi_derive::napi;

/// An error as JavaScript gets it: the registry's code, a colon, the text.
pub fn to_napi(error: Error) -> napi::Error {
    napi::Error::from_reason(format!("{}:{}", error.code.as_str(), error.text))
}

#[napi(object)]
pub struct NativePeer {
    pub id: i64,
    pub address: String,
}

#[napi(object)]
pub struct NativeOptions {
    pub dir: String,
    pub id: i64,
    pub bootstrap: Option<Vec<NativePeer>>,
    pub join: Option<Vec<NativePeer>>,
    pub election_ticks: u32,
    pub heartbeat_ticks: u32,
    pub max_entry_bytes: u32,
    pub log_tail: u32,
    pub window_bytes: u32,
    pub min_free_bytes: i64,
    pub key: Option<Uint8Array>,
    pub election_seed: Option<i64>,
    pub sole_address: Option<String>,
}

#[napi(object)]
pub struct NativeProgress {
    pub id: i64,
    pub matched: i64,
    pub active: bool,
    pub snapshot: bool,
}

#[napi(object)]
pub struct NativeStatus {
    pub id: i64,
    pub role: String,
    pub leader: i64,
    pub term: i64,
    pub commit: i64,
    pub last_index: i64,
    pub first_index: i64,
    pub snapshot_index: i64,
    /// With `learners` and `peers` only where they changed: a status comes with each commit, members hardly ever do.
    pub voters: Option<Vec<i64>>,
    pub learners: Option<Vec<i64>>,
    pub peers: Option<Vec<NativePeer>>,
    pub progress: Vec<NativeProgress>,
    pub disk_full: bool,
    pub removed: bool,
}

/// An event; `kind` says which of the fields are there.
#[napi(object, object_from_js = false)]
#[derive(Default)]
pub struct NativeEvent {
    pub kind: &'static str,
    pub id: Option<i64>,
    pub index: Option<i64>,
    pub term: Option<i64>,
    pub data: Option<Buffer>,
    pub to: Option<i64>,
    pub address: Option<String>,
    pub snapshot: Option<bool>,
    pub code: Option<&'static str>,
    pub text: Option<String>,
    pub voters: Option<Vec<i64>>,
    pub learners: Option<Vec<i64>>,
    pub peers: Option<Vec<NativePeer>>,
    pub status: Option<NativeStatus>,
}

/// Events, and how many of the disk's synced writes they must wait for.
#[napi(object, object_from_js = false)]
pub struct NativeFlush {
    pub events: Vec<NativeEvent>,
    pub syncs: u32,
}

impl From<Flush> for NativeFlush {
    fn from(flush: Flush) -> Self {
        NativeFlush {
            events: flush.events.into_iter().map(NativeEvent::from).collect(),
            syncs: flush.syncs as u32,
        }
    }
}

impl From<Peer> for NativePeer {
    fn from(peer: Peer) -> Self {
        NativePeer {
            id: peer.id as i64,
            address: peer.address,
        }
    }
}

impl From<NativePeer> for Peer {
    fn from(peer: NativePeer) -> Self {
        Peer {
            id: peer.id as u64,
            address: peer.address,
        }
    }
}

impl From<Progress> for NativeProgress {
    fn from(p: Progress) -> Self {
        NativeProgress {
            id: p.id as i64,
            matched: p.matched as i64,
            active: p.active,
            snapshot: p.snapshot,
        }
    }
}

impl NativeStatus {
    fn of(s: Status, members: bool) -> Self {
        NativeStatus {
            id: s.id as i64,
            role: s.role.as_str().into(),
            leader: s.leader as i64,
            term: s.term as i64,
            commit: s.commit as i64,
            last_index: s.last_index as i64,
            first_index: s.first_index as i64,
            snapshot_index: s.snapshot_index as i64,
            voters: members.then(|| numbers(s.group.voters.clone())),
            learners: members.then(|| numbers(s.group.learners.clone())),
            peers: members.then(|| peers(s.group.peers.clone())),
            progress: s.progress.into_iter().map(NativeProgress::from).collect(),
            disk_full: s.disk_full,
            removed: s.group.removed,
        }
    }
}

impl From<Event> for NativeEvent {
    fn from(event: Event) -> Self {
        let of = |kind| NativeEvent {
            kind,
            ..NativeEvent::default()
        };
        match event {
            Event::Send {
                to,
                address,
                message,
                snapshot,
            } => NativeEvent {
                to: Some(to as i64),
                address: Some(address),
                data: Some(message.into()),
                snapshot: Some(snapshot),
                ..of("send")
            },
            Event::Committed(Committed::Entry { index, term, data }) => NativeEvent {
                index: number(index),
                term: number(term),
                data: Some(data.into()),
                ..of("entry")
            },
            Event::Committed(Committed::Snapshot { index, term, data }) => NativeEvent {
                index: number(index),
                term: number(term),
                data: Some(data.into()),
                ..of("snapshot")
            },
            Event::Committed(Committed::Membership {
                index,
                voters,
                learners,
                peers: list,
            }) => NativeEvent {
                index: number(index),
                voters: Some(numbers(voters)),
                learners: Some(numbers(learners)),
                peers: Some(peers(list)),
                ..of("membership")
            },
            Event::Reached { index } => NativeEvent {
                index: number(index),
                ..of("reached")
            },
            Event::Done { id, index } => NativeEvent {
                id: number(id),
                index: number(index),
                ..of("done")
            },
            Event::ReadReady { id, index } => NativeEvent {
                id: number(id),
                index: number(index),
                ..of("read")
            },
            Event::Failed { id, error } => NativeEvent {
                id: number(id),
                code: Some(error.code.as_str()),
                text: Some(error.text),
                ..of("failed")
            },
            Event::Status {
                status,
                members_changed,
            } => NativeEvent {
                status: Some(NativeStatus::of(*status, members_changed)),
                ..of("status")
            },
            Event::Fatal(error) => NativeEvent {
                code: Some(error.code.as_str()),
                text: Some(error.text),
                ..of("fatal")
            },
            Event::Stopped => of("stopped"),
        }
    }
}

fn number(value: u64) -> Option<i64> {
    Some(value as i64)
}

fn numbers(values: Vec<u64>) -> Vec<i64> {
    values.into_iter().map(|v| v as i64).collect()
}

fn peers(values: Vec<Peer>) -> Vec<NativePeer> {
    values.into_iter().map(NativePeer::from).collect()
}
