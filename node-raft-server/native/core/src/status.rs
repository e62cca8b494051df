//! A node's state, for those who look at it.

use std::sync::Arc;

use raft::{ProgressState, RawNode, StateRole};

use crate::members::{Members, Peer};
use crate::storage::LogStorage;

/// What a node is at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    Leader,
    Candidate,
    #[default]
    Follower,
    Learner,
}

impl Role {
    /// The role in a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Leader => "leader",
            Role::Candidate => "candidate",
            Role::Follower => "follower",
            Role::Learner => "learner",
        }
    }
}

/// How far a leader knows another node to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    pub id: u64,
    pub matched: u64,
    /// Whether it was heard of in the last election timeout.
    pub active: bool,
    /// Whether it is being sent a snapshot.
    pub snapshot: bool,
}

/// A node's state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    pub id: u64,
    pub role: Role,
    /// 0 while there is none.
    pub leader: u64,
    pub term: u64,
    pub commit: u64,
    pub last_index: u64,
    pub first_index: u64,
    pub snapshot_index: u64,
    pub group: Arc<Group>,
    /// Of a leader only.
    pub progress: Vec<Progress>,
    pub disk_full: bool,
}

/// Who belongs to the group, and where; shared by all states until it changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    pub voters: Vec<u64>,
    pub learners: Vec<u64>,
    pub peers: Vec<Peer>,
    /// This node was taken out of it.
    pub removed: bool,
}

impl Status {
    /// Whether it differs in more than in how far the log's end and the others are.
    pub fn is_news(&self, before: &Status) -> bool {
        let news = |s: &Status| {
            (
                s.role,
                s.leader,
                s.term,
                s.disk_full,
                s.snapshot_index,
                s.first_index,
            )
        };
        let others =
            |s: &Status| -> Vec<_> { s.progress.iter().map(|p| (p.id, p.active, p.snapshot)).collect() };
        news(self) != news(before) || self.group != before.group || others(self) != others(before)
    }

    /// Looks at a node.
    pub fn of(
        raw: &RawNode<LogStorage>,
        group: &Arc<Group>,
        active: impl Fn(u64) -> bool,
        stalled: bool,
    ) -> Self {
        let raft = &raw.raft;
        let role = match raft.state {
            // A node that cannot write leads nobody, whatever it was.
            _ if stalled => Role::Follower,
            StateRole::Leader => Role::Leader,
            StateRole::Candidate | StateRole::PreCandidate => Role::Candidate,
            StateRole::Follower if group.voters.contains(&raft.id) => Role::Follower,
            StateRole::Follower => Role::Learner,
        };
        let mut progress = Vec::new();
        if role == Role::Leader {
            progress.extend(raft.prs().iter().map(|(id, p)| Progress {
                id: *id,
                matched: p.matched,
                active: active(*id),
                snapshot: p.state == ProgressState::Snapshot,
            }));
            progress.sort_unstable_by_key(|p| p.id);
        }
        Status {
            id: raft.id,
            role,
            leader: if stalled { 0 } else { raft.leader_id },
            term: raft.term,
            commit: raft.raft_log.committed,
            last_index: raft.raft_log.last_index(),
            first_index: raft.raft_log.first_index(),
            snapshot_index: raw.store().head().metadata.index,
            group: group.clone(),
            progress,
            disk_full: stalled,
        }
    }
}

impl Group {
    /// Looks at a node.
    pub fn of(raw: &RawNode<LogStorage>, members: &Members) -> Self {
        let conf = raw.raft.prs().conf().to_conf_state();
        let mut voters = conf.get_voters().to_vec();
        for id in conf.get_voters_outgoing() {
            if !voters.contains(id) {
                voters.push(*id);
            }
        }
        voters.sort_unstable();
        let mut learners = conf.get_learners().to_vec();
        learners.extend(conf.get_learners_next());
        learners.sort_unstable();
        Group {
            voters,
            learners,
            peers: members.peers(),
            removed: members.was_removed(raw.raft.id),
        }
    }
}
