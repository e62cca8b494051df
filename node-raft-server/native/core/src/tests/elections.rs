//! Three nodes without threads, their messages handed over by hand.

use crate::command::Command;
use crate::event::{Committed, Event};
use crate::members::Peer;
use crate::node::{Node, Options, Place};
use crate::status::Role;
use crate::storage::Start;
use crate::testing::TempDir;

struct Group {
    nodes: Vec<Node>,
    applied: Vec<Vec<String>>,
    done: Vec<u64>,
    _dir: TempDir,
}

fn group(seed: u64) -> Group {
    let dir = TempDir::new();
    let peers: Vec<Peer> = (1..=3)
        .map(|id| Peer {
            id,
            address: format!("n{id}"),
        })
        .collect();
    let open = |id: u64| Options {
        place: Place::Dir(dir.path().join(id.to_string())),
        id,
        start: Start::Bootstrap(peers.clone()),
        election_ticks: 10,
        heartbeat_ticks: 1,
        max_entry_bytes: 1 << 20,
        log_tail: 10,
        window_bytes: 1 << 20,
        min_free_bytes: 0,
        key: None,
        sole_address: None,
        election_seed: Some(seed),
    };
    let nodes = (1..=3)
        .map(|id| Node::open(open(id), None).expect("opens"))
        .collect();
    Group {
        nodes,
        applied: vec![Vec::new(); 3],
        done: Vec::new(),
        _dir: dir,
    }
}

impl Group {
    /// Runs one node, then whatever its messages set off, in order.
    fn run(&mut self, at: usize, command: Command) {
        let mut mail = std::collections::VecDeque::from([(at, command)]);
        while let Some((at, command)) = mail.pop_front() {
            let mut events = Vec::new();
            self.nodes[at].run(vec![command], &mut |more| events.extend(more));
            for event in events {
                match event {
                    Event::Send { to, message, .. } => {
                        mail.push_back((
                            to as usize - 1,
                            Command::Receive {
                                from: at as u64 + 1,
                                message,
                            },
                        ));
                    }
                    Event::Committed(Committed::Entry { data, .. }) => {
                        self.applied[at].push(String::from_utf8(data).unwrap());
                    }
                    Event::Done { id, .. } => self.done.push(id),
                    Event::Fatal(error) => panic!("{error}"),
                    _ => {}
                }
            }
        }
    }

    fn tick(&mut self) {
        (0..3).for_each(|at| self.run(at, Command::Tick));
    }

    fn leader(&self) -> Option<usize> {
        self.nodes.iter().position(|n| n.status().role == Role::Leader)
    }

    fn elect(&mut self) -> (usize, usize, u64) {
        for ticks in 1..200 {
            self.tick();
            if let Some(leader) = self.leader() {
                return (ticks, leader, self.nodes[leader].status().term);
            }
        }
        panic!("nobody was elected");
    }
}

#[test]
fn the_same_seed_elects_the_same_leader_at_the_same_tick() {
    let outcomes: Vec<_> = (0..6)
        .map(|seed| (group(seed).elect(), group(seed).elect()))
        .collect();
    assert!(outcomes.iter().all(|(a, b)| a == b), "{outcomes:?}");
    let first = outcomes[0].0;
    assert!(
        outcomes.iter().any(|(a, _)| *a != first),
        "seeds differ: {outcomes:?}"
    );
}

#[test]
fn replicates_and_snapshots_without_threads() {
    let mut group = group(1);
    let (_, leader, _) = group.elect();
    for id in 1..=20 {
        group.run(
            leader,
            Command::Propose {
                id,
                data: id.to_string().into_bytes(),
            },
        );
    }
    group.tick();
    let all: Vec<String> = (1..=20).map(|i| i.to_string()).collect();
    assert_eq!(group.applied, vec![all.clone(), all.clone(), all]);
    assert_eq!(group.done, (1..=20).collect::<Vec<u64>>());
    let index = group.nodes[leader].status().commit;
    group.run(
        leader,
        Command::Snapshot {
            id: 99,
            index,
            data: b"state".to_vec(),
            keep_old: 0,
        },
    );
    assert_eq!(group.done.last(), Some(&99));
    assert_eq!(group.nodes[leader].status().snapshot_index, index);
    assert_eq!(group.nodes[leader].status().first_index, index - 9);
}
