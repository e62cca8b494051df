//! The N-API door of creel-raft: plain data across, every decision on one side or the other.

mod convert;

use std::sync::Mutex;

use creel_raft::{Change, Command, Driver, Event, MemoryDisk, Options, Peer, Place, Start, Stepped};
use napi::bindgen_prelude::{AsyncTask, ClassInstance, Env, Function, Status, Task, Uint8Array, Unknown};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi_derive::napi;

use crate::convert::{NativeEvent, NativeFlush, NativeOptions, NativePeer, to_napi};

type Sink = ThreadsafeFunction<Vec<NativeEvent>, Unknown<'static>, Vec<NativeEvent>, Status, false>;

/// What a node runs on.
enum Runner {
    Thread(Driver),
    /// The caller's own thread, when it says so.
    Caller(Box<Stepped>),
}

/// A running node.
#[napi]
pub struct NativeRaft {
    runner: Mutex<Option<Runner>>,
}

/// A disk in memory.
#[napi]
pub struct NativeDisk(MemoryDisk);

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
            runner: Mutex::new(Some(Runner::Thread(driver))),
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

/// Opens a node on a disk in memory; it does its commands in `run`.
#[napi]
pub fn open_stepped(options: NativeOptions, disk: ClassInstance<'_, NativeDisk>) -> napi::Result<NativeRaft> {
    let mut options: Options = options.try_into()?;
    options.place = Place::Memory(disk.0.clone());
    let stepped = Stepped::open(options).map_err(to_napi)?;
    Ok(NativeRaft {
        runner: Mutex::new(Some(Runner::Caller(Box::new(stepped)))),
    })
}

#[napi]
impl NativeDisk {
    /// A new disk, with nothing on it.
    #[napi(constructor)]
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        NativeDisk(MemoryDisk::default())
    }

    /// Synced writes that are not durable yet.
    #[napi]
    pub fn syncing(&self) -> u32 {
        self.0.syncing() as u32
    }

    /// Writes, synced or not, that are not durable yet.
    #[napi]
    pub fn pending(&self) -> u32 {
        self.0.pending() as u32
    }

    /// The oldest synced writes are durable now.
    #[napi]
    pub fn settle(&self, syncs: u32) {
        self.0.settle(syncs as usize);
    }

    /// What a power cut leaves; the oldest `kept` of the writes that are not durable are there all the same.
    #[napi]
    pub fn crash(&self, kept: u32) -> NativeDisk {
        NativeDisk(self.0.crash(kept as usize))
    }

    /// So many bytes are free; a negative number: there is no end to it.
    #[napi]
    pub fn set_free(&self, bytes: i64) {
        self.0.set_free(u64::try_from(bytes).ok());
    }
}

#[napi]
impl NativeRaft {
    fn push(&self, command: Command) -> bool {
        let runner = self.runner.lock().expect("no panic holds it");
        let mailbox = match &*runner {
            Some(Runner::Thread(driver)) => driver.mailbox(),
            Some(Runner::Caller(stepped)) => stepped.mailbox(),
            None => return false,
        };
        mailbox.push(command)
    }

    /// Does the commands of a node that was opened by `openStepped`.
    #[napi]
    pub fn run(&self) -> Vec<NativeFlush> {
        let mut runner = self.runner.lock().expect("no panic holds it");
        let Some(Runner::Caller(stepped)) = &mut *runner else {
            return Vec::new();
        };
        stepped.run().into_iter().map(NativeFlush::from).collect()
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
    pub fn snapshot(&self, id: i64, index: i64, data: Uint8Array, keep_old: u32) {
        self.push(Command::Snapshot {
            id: id as u64,
            index: index as u64,
            data: data.to_vec(),
            keep_old: keep_old as usize,
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
        drop(self.runner.lock().expect("no panic holds it").take());
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
            place: Place::Dir(o.dir.into()),
            id: o.id as u64,
            start,
            election_ticks: o.election_ticks as usize,
            heartbeat_ticks: o.heartbeat_ticks as usize,
            max_entry_bytes: o.max_entry_bytes as usize,
            log_tail: u64::from(o.log_tail),
            window_bytes: o.window_bytes as usize,
            min_free_bytes: o.min_free_bytes as u64,
            key,
            sole_address: o.sole_address,
            election_seed: o.election_seed.map(|s| s as u64),
        })
    }
}
