//! What a leader is asked for: entries, changes of the members, the lead for another.

use raft::StateRole;
use raft::eraftpb::{ConfChangeSingle, ConfChangeType, ConfChangeV2};

use crate::command::Change;
use crate::error::{Code, Error, Result};
use crate::event::Event;
use crate::members::{Peer, encode_peers};
use crate::node::Node;

impl Node {
    fn lead(&self) -> Result<()> {
        if self.raw.raft.state == StateRole::Leader {
            return Ok(());
        }
        let leader = match self.raw.raft.leader_id {
            0 => "unknown at the moment".to_string(),
            id => id.to_string(),
        };
        Err(Error::new(
            Code::NotLeader,
            format!("this manager is not the leader; the leader is {leader}"),
        ))
    }

    pub(crate) fn propose(&mut self, id: u64, data: Vec<u8>) -> Result<()> {
        self.lead()?;
        if self.disk_full {
            return Err(self.full());
        }
        let (size, max) = (data.len(), self.options.max_entry_bytes);
        if size > max {
            let text = format!("the change has {size} bytes; at most {max} are taken at once");
            return Err(Error::new(Code::TooLarge, text));
        }
        if size == 0 {
            return Err(Error::new(
                Code::InvalidParameter,
                "an entry has at least one byte",
            ));
        }
        let transferring = self.raw.raft.lead_transferee.is_some();
        self.raw
            .propose(Vec::new(), data)
            .map_err(|e| refused(&e, transferring))?;
        self.await_commit(id, false);
        Ok(())
    }

    pub(crate) fn change(&mut self, id: u64, change: &Change) -> Result<()> {
        self.lead()?;
        let (kind, node, peers) = self.check_change(change)?;
        let mut single = ConfChangeSingle::default();
        single.set_change_type(kind);
        single.node_id = node;
        let mut proposal = ConfChangeV2::default();
        proposal.set_changes(vec![single].into());
        let transferring = self.raw.raft.lead_transferee.is_some();
        self.raw
            .propose_conf_change(encode_peers(&peers), proposal)
            .map_err(|e| refused(&e, transferring))?;
        self.await_commit(id, true);
        Ok(())
    }

    fn check_change(&self, change: &Change) -> Result<(ConfChangeType, u64, Vec<Peer>)> {
        let voters = &self.status_voters();
        let conflict = |text: String| Err(Error::new(Code::Conflict, text));
        match change {
            Change::AddLearner(peer) | Change::AddVoter(peer) if peer.id == 0 => {
                Err(Error::new(Code::InvalidParameter, "a node's id is not 0"))
            }
            Change::AddLearner(peer) if voters.contains(&peer.id) => {
                conflict(format!("node {} is a voter already", peer.id))
            }
            Change::AddLearner(peer) => Ok((ConfChangeType::AddLearnerNode, peer.id, vec![peer.clone()])),
            Change::AddVoter(peer) => Ok((ConfChangeType::AddNode, peer.id, vec![peer.clone()])),
            Change::Remove(id) if voters == &[*id] => conflict(format!(
                "node {id} is the only voter; without it there is no group"
            )),
            Change::Remove(id) => Ok((ConfChangeType::RemoveNode, *id, Vec::new())),
        }
    }

    fn await_commit(&mut self, id: u64, change: bool) {
        let index = self.raw.raft.raft_log.last_index();
        self.pending.insert(index, self.raw.raft.term, id, change);
    }

    pub(crate) fn transfer(&mut self, id: u64, to: u64) -> Result<()> {
        self.lead()?;
        if !self.status_voters().contains(&to) {
            return Err(Error::new(
                Code::InvalidParameter,
                format!("node {to} has no vote, so it cannot lead"),
            ));
        }
        self.raw.transfer_leader(to);
        self.events.push(Event::Done { id, index: 0 });
        Ok(())
    }
}

fn refused(error: &raft::Error, transferring: bool) -> Error {
    match error {
        raft::Error::ProposalDropped if transferring => crate::pending::dropped(),
        raft::Error::ProposalDropped => Error::new(
            Code::QueueFull,
            "too many changes are waiting; try again in a moment",
        ),
        other => Error::new(Code::Internal, other.to_string()),
    }
}
