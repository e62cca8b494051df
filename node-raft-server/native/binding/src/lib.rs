//! The N-API door of creel-raft: plain data across, every decision on one side or the other.

mod convert;

use std::sync::Mutex;

use creel_raft::{Change, Command, Driver, Event, Options, Peer, Start};
use napi::bindgen_prelude::{AsyncTask, Env, Function, Status, Task, Uint8Array, Unknown};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi_derive::napi;

use crate::convert::{NativeEvent, NativeOptions, NativePeer, to_napi};

type Sink = ThreadsafeFunction<Vec<NativeEvent>, Unknown<'static>, Vec<NativeEvent>, Status, false>;

/// A running node.
#[napi]
pub struct NativeRaft {
    driver: Mutex<Option<Driver>>,
}

/// The work of opening a log, off the JavaScript thread.
pub struct Open(Option<(Options, Sink)>);

impl Task for Open {
    type Output = Driver;
    type JsValue = NativeRaft;

    fn compute(&mut self) -> napi::Result<Driver> {
        let (options, sink) = self.0.take().expect("computed once");
        let deliver = move |events: Vec<Event>| {
            let events: Vec<NativeEvent> = events.into_iter().map(NativeEvent::from).collect();
            sink.call(events, ThreadsafeFunctionCallMode::NonBlocking);
        };
        Driver::start(options, deliver).map_err(to_napi)
    }

    fn resolve(&mut self, _env: Env, driver: Driver) -> napi::Result<NativeRaft> {
        Ok(NativeRaft {
            driver: Mutex::new(Some(driver)),
        })
    }
}

/// Opens a node; `sink` is called with arrays of events until one says `stopped`.
#[napi]
pub fn open_node(
    options: NativeOptions,
    sink: Function<Vec<NativeEvent>, Unknown<'static>>,
) -> napi::Result<AsyncTask<Open>> {
    let sink = sink.build_threadsafe_function::<Vec<NativeEvent>>().build()?;
    Ok(AsyncTask::new(Open(Some((options.try_into()?, sink)))))
}

#[napi]
impl NativeRaft {
    fn push(&self, command: Command) -> bool {
        let driver = self.driver.lock().expect("no panic holds it");
        driver.as_ref().is_some_and(|d| d.mailbox().push(command))
    }

    /// One tick of the clock passed.
    #[napi]
    pub fn tick(&self) {
        self.push(Command::Tick);
    }

    /// Proposes an entry.
    #[napi]
    pub fn propose(&self, id: i64, data: Uint8Array) {
        self.push(Command::Propose {
            id: id as u64,
            data: data.to_vec(),
        });
    }

    /// Proposes a change of the members: `learner`, `voter` or `remove`.
    #[napi]
    pub fn change(&self, id: i64, kind: String, peer: NativePeer) {
        let node = peer.id as u64;
        let peer = Peer {
            id: node,
            address: peer.address,
        };
        let change = match kind.as_str() {
            "learner" => Change::AddLearner(peer),
            "voter" => Change::AddVoter(peer),
            _ => Change::Remove(node),
        };
        self.push(Command::Change {
            id: id as u64,
            change,
        });
    }

    /// Asks for an index that a linearizable read must wait for.
    #[napi]
    pub fn read_index(&self, id: i64) {
        self.push(Command::ReadIndex { id: id as u64 });
    }

    /// Begins to hand the lead to another node.
    #[napi]
    pub fn transfer_leader(&self, id: i64, to: i64) {
        self.push(Command::TransferLeader {
            id: id as u64,
            to: to as u64,
        });
    }

    /// Stands for election at once.
    #[napi]
    pub fn campaign(&self) {
        self.push(Command::Campaign);
    }

    /// A message came from another node; false if it was dropped.
    #[napi]
    pub fn receive(&self, from: i64, message: Uint8Array) -> bool {
        self.push(Command::Receive {
            from: from as u64,
            message: message.to_vec(),
        })
    }

    /// A message could not be sent.
    #[napi]
    pub fn unreachable(&self, peer: i64) {
        self.push(Command::Unreachable { peer: peer as u64 });
    }

    /// A snapshot arrived, or did not.
    #[napi]
    pub fn snapshot_sent(&self, peer: i64, ok: bool) {
        self.push(Command::SnapshotSent {
            peer: peer as u64,
            ok,
        });
    }

    /// The consumer took so many bytes of the committed stream.
    #[napi]
    pub fn consumed(&self, bytes: i64) {
        self.push(Command::Consumed {
            bytes: bytes.max(0) as usize,
        });
    }

    /// Persists a snapshot of the state machine at `index`.
    #[napi]
    pub fn snapshot(&self, id: i64, index: i64, data: Uint8Array) {
        self.push(Command::Snapshot {
            id: id as u64,
            index: index as u64,
            data: data.to_vec(),
        });
    }

    /// Begins to stop; the last event says when it is done.
    #[napi]
    pub fn stop(&self) {
        self.push(Command::Stop);
    }

    /// Ends the thread, which has said `stopped`.
    #[napi]
    pub fn release(&self) {
        drop(self.driver.lock().expect("no panic holds it").take());
    }
}

impl TryFrom<NativeOptions> for Options {
    type Error = napi::Error;

    fn try_from(o: NativeOptions) -> napi::Result<Options> {
        let peers = |list: Vec<NativePeer>| -> Vec<Peer> { list.into_iter().map(Peer::from).collect() };
        let start = match (o.bootstrap, o.join) {
            (Some(list), _) => Start::Bootstrap(peers(list)),
            (None, Some(list)) => Start::Join(peers(list)),
            (None, None) => Start::Existing,
        };
        let key =
            match o.key {
                None => None,
                Some(bytes) => Some(bytes.to_vec().try_into().map_err(|_| {
                    napi::Error::from_reason("invalid_parameter:an encryption key has 32 bytes")
                })?),
            };
        Ok(Options {
            dir: o.dir.into(),
            id: o.id as u64,
            start,
            election_ticks: o.election_ticks as usize,
            heartbeat_ticks: o.heartbeat_ticks as usize,
            max_entry_bytes: o.max_entry_bytes as usize,
            log_tail: u64::from(o.log_tail),
            window_bytes: o.window_bytes as usize,
            min_free_bytes: o.min_free_bytes as u64,
            key,
            election_seed: o.election_seed.map(|s| s as u64),
        })
    }
}
