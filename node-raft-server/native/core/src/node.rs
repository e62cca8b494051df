//! The node: commands in, events out.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use protobuf::Message as _;
use raft::eraftpb::{ConfState, Message, MessageType};
use raft::{RawNode, Ready, SnapshotStatus, StateRole};

use crate::appends::join_appends;
use crate::cipher::Cipher;
use crate::command::Command;
use crate::delivery::Delivery;
use crate::driver::Mailbox;
use crate::error::{Code, Error, Result};
use crate::event::Event;
use crate::members::Members;
use crate::memory_disk::MemoryDisk;
use crate::pending::Pending;
use crate::raft_storage::open_envelope;
use crate::snapshot_file::SnapshotHead;
use crate::sole_member;
use crate::status::{Group, Role, Status};
use crate::storage::{FIRST_INDEX, LogStorage, Start};

const MAX_SIZE_PER_MSG: u64 = 1 << 20;
const MAX_INFLIGHT: usize = 256;
const MAX_UNCOMMITTED: u64 = 256 << 20;
const MAX_COMMITTED_PER_READY: u64 = 16 << 20;

/// Where a node keeps its log.
pub enum Place {
    Dir(PathBuf),
    Memory(MemoryDisk),
}

/// How a node is opened.
pub struct Options {
    pub place: Place,
    pub id: u64,
    pub start: Start,
    pub election_ticks: usize,
    pub heartbeat_ticks: usize,
    /// The largest proposal taken.
    pub max_entry_bytes: usize,
    /// Entries kept before a snapshot, so that a slow follower needs none.
    pub log_tail: u64,
    /// Bytes of the committed stream that the consumer may have before it.
    pub window_bytes: usize,
    /// With less free space than this, nothing is proposed and nobody is led.
    pub min_free_bytes: u64,
    pub key: Option<[u8; 32]>,
    /// The group's other members are lost for good: this node, at this address, is the whole group from now on.
    pub sole_address: Option<String>,
    /// Makes election timeouts a function of this seed, the node, the term and the ticks.
    pub election_seed: Option<u64>,
}

/// One node of a group.
pub struct Node {
    pub(crate) raw: RawNode<LogStorage>,
    pub(crate) members: Members,
    /// The members after each change since the newest snapshot.
    pub(crate) history: Vec<(u64, ConfState, Members)>,
    pub(crate) pending: Pending,
    pub(crate) delivery: Delivery,
    pub(crate) events: Vec<Event>,
    /// What could not be written because the disk is full.
    pub(crate) stalled: Option<Ready>,
    /// A tick passed while the node was stalled: it may try again.
    pub(crate) ticked: bool,
    pub(crate) disk_full: bool,
    pub(crate) fatal: Option<Error>,
    pub(crate) options: Options,
    /// Where a thread posts that a snapshot is written; without it the node writes snapshots itself.
    pub(crate) mailbox: Option<Mailbox>,
    pub(crate) writing: Option<SnapshotHead>,
    pub(crate) helpers: Vec<JoinHandle<()>>,
    pub(crate) ticks: u64,
    pub(crate) snapshots_since: HashMap<u64, u64>,
    /// The tick at which each node was last heard of.
    heard: HashMap<u64, u64>,
    boot: [u8; 8],
    /// The commit index as other nodes were told it last.
    told_commit: u64,
    status: Status,
    /// The status as it was told last.
    told: Status,
    /// A tick passed: what changed is told, whatever it is.
    tell: bool,
    group: Arc<Group>,
    /// The group is another than at the last look.
    pub(crate) regroup: bool,
}

impl Node {
    /// Opens the node's log, or begins one.
    pub fn open(options: Options, mailbox: Option<Mailbox>) -> Result<Self> {
        let (id, start, key) = (options.id, &options.start, options.key.as_ref());
        let mut storage = match &options.place {
            Place::Dir(dir) => LogStorage::open(dir, id, start, key)?,
            Place::Memory(disk) => {
                LogStorage::on(Arc::new(disk.clone()), Arc::new(Cipher::new(key)), id, start)?
            }
        };
        if let Some(address) = &options.sole_address {
            sole_member::force(&mut storage, options.id, address)?;
        }
        let head = storage.head().clone();
        let data = storage.read_snapshot()?;
        let config = raft::Config {
            id: options.id,
            election_tick: options.election_ticks,
            heartbeat_tick: options.heartbeat_ticks,
            applied: head.metadata.index,
            max_size_per_msg: MAX_SIZE_PER_MSG,
            max_inflight_msgs: MAX_INFLIGHT,
            check_quorum: true,
            pre_vote: true,
            max_uncommitted_size: MAX_UNCOMMITTED,
            max_committed_size_per_ready: MAX_COMMITTED_PER_READY,
            skip_bcast_commit: true,
            ..raft::Config::default()
        };
        let invalid = |e: raft::Error| Error::new(Code::InvalidParameter, e.to_string());
        config.validate().map_err(invalid)?;
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let raw = RawNode::new(&config, storage, &logger).map_err(invalid)?;
        let mut boot = [0; 8];
        getrandom::fill(&mut boot).map_err(|e| Error::new(Code::Internal, e.to_string()))?;
        // A joiner learns the members by a snapshot; until then its address book is what it was told.
        let members = match &options.start {
            Start::Join(peers) if head.metadata.index == 0 => Members::of(peers),
            _ => head.members.clone(),
        };
        let mut node = Node {
            raw,
            members,
            history: Vec::new(),
            pending: Pending::default(),
            delivery: Delivery::new(options.window_bytes),
            events: Vec::new(),
            stalled: None,
            ticked: false,
            disk_full: false,
            fatal: None,
            mailbox,
            writing: None,
            helpers: Vec::new(),
            ticks: 0,
            snapshots_since: HashMap::new(),
            heard: HashMap::new(),
            boot,
            told_commit: 0,
            status: Status::default(),
            told: Status::default(),
            tell: true,
            group: Arc::default(),
            regroup: true,
            options,
        };
        if head.metadata.index >= FIRST_INDEX {
            node.restart_from(head, data);
        }
        node.look_at_disk();
        let alone = node.raw.raft.prs().conf().to_conf_state().get_voters() == [node.options.id];
        if alone && !node.disk_full {
            let _ = node.raw.campaign();
        }
        Ok(node)
    }

    /// Does the commands, and whatever follows from them; `sink` is given the events, messages as early as may be.
    pub fn run(&mut self, commands: Vec<Command>, sink: &mut dyn FnMut(Vec<Event>)) {
        for command in commands {
            self.handle(command);
        }
        self.process_ready(sink);
        self.note_status();
        self.flush(sink);
    }

    /// Whether this node leads and has committed more than it has told: the next entry says it along with itself, so that
    /// none but the last one of a row costs another message to each node, and its answer.
    pub fn owes_commit(&self) -> bool {
        self.raw.raft.state == StateRole::Leader && self.raw.raft.raft_log.committed > self.told_commit
    }

    /// Tells the others what is committed, by a heartbeat.
    pub fn tell_commit(&mut self) {
        self.told_commit = self.raw.raft.raft_log.committed;
        self.raw.ping();
    }

    /// Ends what runs beside the node; the log is released when the node is dropped.
    pub fn close(&mut self) {
        let stopped = Error::new(Code::Stopped, "the Raft server is stopping");
        self.pending.fail_all(&stopped, &mut self.events);
        for helper in self.helpers.drain(..) {
            let _ = helper.join();
        }
        // Where the disk has no room for it, it is learnt again.
        let _ = self.raw.mut_store().write_state(false);
    }

    /// The node's state at the end of the last run.
    pub fn status(&self) -> &Status {
        &self.status
    }

    pub(crate) fn flush(&mut self, sink: &mut dyn FnMut(Vec<Event>)) {
        if !self.events.is_empty() {
            sink(std::mem::take(&mut self.events));
        }
    }

    fn note_status(&mut self) {
        if std::mem::take(&mut self.regroup) {
            self.group = Arc::new(Group::of(&self.raw, &self.members));
        }
        let mut status = Status::of(
            &self.raw,
            &self.group,
            |id| self.active(id),
            self.stalled.is_some(),
        );
        status.disk_full |= self.disk_full;
        let led = self.status.role == Role::Leader;
        if led && status.role != Role::Leader && self.stalled.is_none() {
            self.pending
                .fail_all(&crate::pending::dropped(), &mut self.events);
        }
        // How far everybody is changes with each entry: it is told with the next tick.
        let ticked = std::mem::take(&mut self.tell);
        if status.is_news(&self.told) || (ticked && status != self.told) {
            let members_changed = status.group != self.told.group;
            self.told = status.clone();
            self.events.push(Event::Status {
                status: Box::new(status.clone()),
                members_changed,
            });
        }
        self.status = status;
    }

    fn handle(&mut self, command: Command) {
        if let Command::Consumed { bytes } = command {
            self.delivery.consumed(bytes);
            return;
        }
        let refusal = match (&self.fatal, &self.stalled) {
            (Some(error), _) => Some(error.clone()),
            (None, Some(_)) => Some(self.full()),
            (None, None) => None,
        };
        if let Some(error) = refusal {
            match command {
                Command::Propose { id, .. }
                | Command::Change { id, .. }
                | Command::ReadIndex { id }
                | Command::TransferLeader { id, .. }
                | Command::Snapshot { id, .. } => self.events.push(Event::Failed { id, error }),
                Command::SnapshotWritten { id, .. } => {
                    self.writing = None;
                    self.events.push(Event::Failed { id, error });
                }
                Command::Tick => self.ticked = true,
                _ => {}
            }
            return;
        }
        match command {
            Command::Tick => self.tick(),
            Command::Propose { id, data } => self.answer(id, |node| node.propose(id, data)),
            Command::Change { id, change } => self.answer(id, |node| node.change(id, &change)),
            Command::ReadIndex { id } => {
                let context = [self.options.id.to_le_bytes(), self.boot, id.to_le_bytes()].concat();
                self.raw.read_index(context);
            }
            Command::TransferLeader { id, to } => self.answer(id, |node| node.transfer(id, to)),
            Command::Campaign => drop(self.raw.campaign()),
            Command::Receive { from, message } => self.receive(from, &message),
            Command::Unreachable { peer } => self.raw.report_unreachable(peer),
            Command::SnapshotSent { peer, ok } => {
                let status = if ok {
                    SnapshotStatus::Finish
                } else {
                    SnapshotStatus::Failure
                };
                self.raw.report_snapshot(peer, status);
            }
            Command::Snapshot {
                id,
                index,
                data,
                keep_old,
            } => {
                self.raw.mut_store().keep_old = keep_old;
                self.answer(id, |node| node.snapshot(id, index, data));
            }
            Command::SnapshotWritten { id, index, result } => {
                self.answer(id, |node| node.snapshot_written(id, index, result));
            }
            Command::Consumed { .. } | Command::Stop => {}
        }
    }

    fn answer(&mut self, id: u64, act: impl FnOnce(&mut Self) -> Result<()>) {
        if let Err(error) = act(self) {
            self.events.push(Event::Failed { id, error });
        }
    }

    fn tick(&mut self) {
        self.ticks += 1;
        self.tell = true;
        if let Some(seed) = self.options.election_seed {
            let timeout = self.seeded_timeout(seed);
            self.raw.raft.set_randomized_election_timeout(timeout);
        }
        self.raw.tick();
        if self.ticks.is_multiple_of(self.options.election_ticks as u64) {
            self.look_at_disk();
            self.give_up_snapshots();
        }
    }

    fn seeded_timeout(&self, seed: u64) -> usize {
        let ticks = self.options.election_ticks as u64;
        let parts = [self.options.id, self.raw.raft.term, self.ticks / ticks];
        let mixed = parts.iter().fold(seed, |hash, part| {
            let mut z = (hash ^ part).wrapping_add(0x9e37_79b9_7f4a_7c15);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        });
        (ticks + mixed % ticks) as usize
    }

    /// Whether a node was heard of in the last election timeout. (raft-rs's own mark is wiped at each timeout.)
    pub(crate) fn active(&self, id: u64) -> bool {
        let since = self.heard.get(&id).map(|tick| self.ticks - tick);
        id == self.options.id || since.is_some_and(|ticks| ticks <= self.options.election_ticks as u64)
    }

    pub(crate) fn status_voters(&self) -> Vec<u64> {
        self.raw.raft.prs().conf().to_conf_state().get_voters().to_vec()
    }

    fn receive(&mut self, from: u64, bytes: &[u8]) {
        let Ok(message) = Message::parse_from_bytes(bytes) else {
            return;
        };
        let kind = message.get_msg_type();
        let known = message.from == from && message.to == self.options.id && !self.members.was_removed(from);
        let snapshot_broken =
            kind == MessageType::MsgSnapshot && open_envelope(message.get_snapshot()).is_none();
        // A proposal of another node is never forwarded: who proposes waits for the answer at the leader.
        if known && kind != MessageType::MsgPropose && !snapshot_broken {
            if self.members.address(from).is_some() {
                self.heard.insert(from, self.ticks);
            }
            let _ = self.raw.step(message);
        }
    }

    pub(crate) fn send(&mut self, messages: Vec<Message>) {
        for message in join_appends(messages, MAX_SIZE_PER_MSG as usize) {
            let to = message.to;
            let kind = message.get_msg_type();
            let snapshot = kind == MessageType::MsgSnapshot;
            if matches!(kind, MessageType::MsgAppend | MessageType::MsgHeartbeat) {
                self.told_commit = self.told_commit.max(message.commit);
            }
            let address = self.members.address(to).unwrap_or_default().to_string();
            let message = message.write_to_bytes().expect("messages encode");
            self.events.push(Event::Send {
                to,
                address,
                message,
                snapshot,
            });
        }
    }
}
