//! Forgetting connections that were translated to an address which is gone. Otherwise a client that keeps
//! sending from one port (a datagram client above all) would be led to nobody for as long as it sends.

use crate::error::{Context, Result};
use crate::netlink::{Attributes, Message, Socket};
use crate::netns::Netns;
use std::collections::{BTreeSet, HashSet};
use std::net::Ipv4Addr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const GET: u16 = (1 << 8) | 1;
const DELETE: u16 = (1 << 8) | 2;
const GET_STATISTICS: u16 = (1 << 8) | 5;
const ENTRIES: u16 = 1;
const TUPLE_ORIGINAL: u16 = 1;
const TUPLE_REPLY: u16 = 2;
const ID: u16 = 12;
const TUPLE_IP: u16 = 1;
const IP_SOURCE: u16 = 1;
const IP_DESTINATION: u16 = 2;
const QUEUE: usize = 256;
/// Changes come in bursts, and the kernel's table, one for all namespaces, is walked whole each time.
const GATHER: Duration = Duration::from_millis(300);

enum Word {
    Gone(Vec<Netns>, Vec<Ipv4Addr>),
    Back(Vec<Ipv4Addr>),
}

/// A thread that gathers what is gone and forgets it in one walk.
pub(crate) struct Forgetter {
    words: Option<SyncSender<Word>>,
    thread: Option<JoinHandle<()>>,
}

impl Forgetter {
    pub(crate) fn start() -> Result<Self> {
        let (words, receiver) = sync_channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("creel-forget".into())
            .spawn(move || run(&receiver))
            .context(|| "start a thread".into())?;
        Ok(Self {
            words: Some(words),
            thread: Some(thread),
        })
    }

    fn say(&self, word: Word) {
        if let Some(words) = &self.words {
            let _ = words.send(word);
        }
    }

    /// These addresses are gone; connections translated to them, in these namespaces, are forgotten soon.
    pub(crate) fn gone(&self, namespaces: Vec<Netns>, addresses: Vec<Ipv4Addr>) {
        if !addresses.is_empty() && !namespaces.is_empty() {
            self.say(Word::Gone(namespaces, addresses));
        }
    }

    /// These addresses are in use (again): their connections stay.
    pub(crate) fn back(&self, addresses: Vec<Ipv4Addr>) {
        if !addresses.is_empty() {
            self.say(Word::Back(addresses));
        }
    }
}

impl Drop for Forgetter {
    fn drop(&mut self) {
        self.words = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(words: &Receiver<Word>) {
    while let Ok(first) = words.recv() {
        let (mut namespaces, mut addresses) = (Vec::new(), HashSet::new());
        let mut take = |word| match word {
            Word::Gone(netns, gone) => {
                namespaces.extend(netns);
                addresses.extend(gone);
            }
            Word::Back(back) => addresses.retain(|a| !back.contains(a)),
        };
        take(first);
        let until = Instant::now() + GATHER;
        loop {
            match words.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(word) => take(word),
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
        if addresses.is_empty() {
            continue;
        }
        let mut seen = BTreeSet::new();
        for netns in namespaces.iter().filter(|n| seen.insert(n.identity())) {
            if let Err(error) = forget(netns, &addresses) {
                tracing::debug!(%error, "connections to what is gone must time out by themselves");
            }
        }
    }
}

/// Forgets the connections of a namespace that were translated to one of these addresses.
fn forget(netns: &Netns, addresses: &HashSet<Ipv4Addr>) -> Result<()> {
    let what = || "read the tracked connections".into();
    let mut socket = netns
        .run(|| Socket::open(libc::NETLINK_NETFILTER))?
        .context(what)?;
    if entries(&mut socket).context(what)? == Some(0) {
        return Ok(());
    }
    let mut doomed = Vec::new();
    let dump = Message::new(GET, 0, &generic());
    socket
        .query_each(dump, true, |_, payload| {
            if let Some(entry) = payload.get(4..).and_then(|p| translated(p, addresses)) {
                doomed.push(entry);
            }
        })
        .context(what)?;
    for (tuple, id) in doomed {
        let mut m = Message::new(DELETE, 0, &generic());
        m.nested(TUPLE_ORIGINAL, |m| {
            m.raw(&tuple);
        });
        m.attribute(ID, &id);
        // It may have ended by itself meanwhile.
        let _ = socket.request(m);
    }
    Ok(())
}

/// How many connections the socket's namespace has; none where the kernel does not tell.
fn entries(socket: &mut Socket) -> std::io::Result<Option<u32>> {
    let mut count = None;
    socket.query_each(
        Message::new(GET_STATISTICS, 0, &generic()),
        false,
        |_, payload| {
            let told = payload.get(4..).and_then(|p| Attributes::parse(p).get(ENTRIES));
            count = told
                .and_then(|bytes| bytes.try_into().ok())
                .map(u32::from_be_bytes);
        },
    )?;
    Ok(count)
}

/// The original tuple and the id of an entry whose destination was translated to one of `addresses`.
fn translated(payload: &[u8], addresses: &HashSet<Ipv4Addr>) -> Option<(Vec<u8>, Vec<u8>)> {
    let entry = Attributes::parse(payload);
    let original = entry.get(TUPLE_ORIGINAL)?;
    let target = address(entry.get(TUPLE_REPLY)?, IP_SOURCE)?;
    let led_away = address(original, IP_DESTINATION)? != target;
    (led_away && addresses.contains(&target)).then_some((original.to_vec(), entry.get(ID)?.to_vec()))
}

fn address(tuple: &[u8], which: u16) -> Option<Ipv4Addr> {
    let ip = Attributes::parse(tuple).get(TUPLE_IP)?;
    let bytes: [u8; 4] = Attributes::parse(ip).get(which)?.try_into().ok()?;
    Some(Ipv4Addr::from(bytes))
}

fn generic() -> [u8; 4] {
    [libc::AF_INET as u8, 0, 0, 0]
}
