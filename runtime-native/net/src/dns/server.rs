//! The resolver's thread: a socket pair in each sandbox, one small runtime for all of them.

use super::answer::{Outcome, answer, failure};
use super::forward::{Forwarder, read_message, write_message};
use super::names::{Names, Tables, View};
use super::redirect::{self, ADDRESS};
use crate::error::{Context, Error, Kind, Result};
use crate::netns::Netns;
use crate::nft::Nft;
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

const QUEUE: usize = 256;
const IDLE: Duration = Duration::from_secs(10);
/// Questions of one sandbox that wait for an answer from outside, and its TCP connections.
const OPEN_AT_ONCE: usize = 128;

enum Command {
    Serve(String, Sockets),
    Stop(Vec<String>, oneshot::Sender<()>),
}

/// Where one sandbox asks.
pub(crate) struct Sockets {
    udp: UdpSocket,
    tcp: TcpListener,
    ports: (u16, u16),
}

impl Sockets {
    /// Binds them in the calling thread's namespace.
    pub(crate) fn bind_here() -> Result<Self> {
        let bind = || {
            let (udp, tcp) = (UdpSocket::bind((ADDRESS, 0))?, TcpListener::bind((ADDRESS, 0))?);
            udp.set_nonblocking(true)?;
            tcp.set_nonblocking(true)?;
            let ports = (udp.local_addr()?.port(), tcp.local_addr()?.port());
            Ok(Self { udp, tcp, ports })
        };
        bind().context(|| "open the resolver's sockets".into())
    }
}

/// The resolver of the node.
pub(crate) struct Dns {
    tables: Arc<RwLock<Tables>>,
    serving: HashSet<String>,
    resolvers: Vec<IpAddr>,
    commands: Option<mpsc::Sender<Command>>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    tables: Arc<RwLock<Tables>>,
    forwarder: Forwarder,
    turn: AtomicUsize,
}

impl Dns {
    /// Starts the thread, in the node's namespace so that questions go out there.
    pub(crate) fn start(host: Netns, resolvers: &[IpAddr]) -> Result<Self> {
        let resolvers = if resolvers.is_empty() {
            configured()
        } else {
            resolvers.to_vec()
        };
        let (commands, receiver) = mpsc::channel(QUEUE);
        let tables = Arc::new(RwLock::new(Tables::default()));
        let shared = Arc::new(Shared {
            tables: tables.clone(),
            forwarder: Forwarder::new(),
            turn: AtomicUsize::new(0),
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context(|| "start the resolver".into())?;
        let thread = std::thread::Builder::new()
            .name("creel-names".into())
            .spawn(move || {
                // Without the namespace nothing would be answered from the right place, so nothing is.
                if host.enter().is_ok() {
                    runtime.block_on(run(receiver, shared));
                }
            })
            .context(|| "start the resolver".into())?;
        Ok(Self {
            tables,
            serving: HashSet::new(),
            resolvers,
            commands: Some(commands),
            thread: Some(thread),
        })
    }

    /// Who is asked for names that no network knows.
    pub(crate) fn resolvers(&self) -> &[IpAddr] {
        &self.resolvers
    }

    fn write<T>(&self, change: impl FnOnce(&mut Tables) -> T) -> T {
        change(&mut self.tables.write().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn set_network(&self, id: &str, names: Names) {
        self.write(|t| t.networks.insert(id.to_string(), Arc::new(names)));
    }

    pub(crate) fn forget_network(&self, id: &str) {
        self.write(|t| t.networks.remove(id));
    }

    fn send(&self, command: Command) -> Result<()> {
        let sent = self.commands.as_ref().map(|c| c.blocking_send(command));
        match sent {
            Some(Ok(())) => Ok(()),
            _ => Err(Error::new(Kind::System, "the resolver has stopped")),
        }
    }

    /// Answers in a sandbox from now on, with this view; without sockets only the view changes.
    pub(crate) fn serve(
        &mut self,
        id: &str,
        sockets: Option<Sockets>,
        nft: &mut Nft,
        view: View,
    ) -> Result<()> {
        self.write(|t| t.views.insert(id.to_string(), view));
        let Some(sockets) = sockets else { return Ok(()) };
        redirect::install(nft, sockets.ports.0, sockets.ports.1)?;
        self.send(Command::Serve(id.to_string(), sockets))?;
        self.serving.insert(id.to_string());
        Ok(())
    }

    /// Closes sandboxes' sockets: an open one would keep its namespace alive.
    pub(crate) fn stop(&mut self, ids: &[String]) {
        self.write(|t| ids.iter().for_each(|id| drop(t.views.remove(id))));
        let served: Vec<_> = ids
            .iter()
            .filter(|id| self.serving.remove(*id))
            .cloned()
            .collect();
        if served.is_empty() {
            return;
        }
        let (done, wait) = oneshot::channel();
        if self.send(Command::Stop(served, done)).is_ok() {
            let _ = wait.blocking_recv();
        }
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.commands = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The resolvers that /etc/resolv.conf names.
fn configured() -> Vec<IpAddr> {
    let text = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let address = |line: &str| {
        line.strip_prefix("nameserver")?
            .split_whitespace()
            .next()?
            .parse()
            .ok()
    };
    text.lines()
        .filter_map(address)
        .filter(|a| *a != IpAddr::V4(ADDRESS))
        .collect()
}

async fn run(mut commands: mpsc::Receiver<Command>, shared: Arc<Shared>) {
    let mut sandboxes: HashMap<String, [AbortHandle; 2]> = HashMap::new();
    let mut tasks = JoinSet::new();
    loop {
        let command = tokio::select! {
            command = commands.recv() => command,
            Some(_) = tasks.join_next() => continue,
        };
        match command {
            None => return,
            Some(Command::Serve(id, Sockets { udp, tcp, .. })) => {
                let datagrams = tasks.spawn(serve_datagrams(udp, id.clone(), shared.clone()));
                let streams = tasks.spawn(serve_streams(tcp, id.clone(), shared.clone()));
                sandboxes.insert(id, [datagrams, streams]);
            }
            Some(Command::Stop(ids, done)) => {
                let stopped: Vec<_> = ids
                    .iter()
                    .filter_map(|id| sandboxes.remove(id))
                    .flatten()
                    .collect();
                stopped.iter().for_each(AbortHandle::abort);
                while !stopped.iter().all(AbortHandle::is_finished) {
                    tokio::task::yield_now().await;
                }
                let _ = done.send(());
            }
        }
    }
}

impl Shared {
    /// What to do with a question of this sandbox, and whom to ask if it is to be passed on.
    fn decide(&self, id: &str, question: &[u8], datagram: bool) -> (Outcome, Vec<IpAddr>) {
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        let Some(view) = tables.views.get(id) else {
            return (Outcome::Ignore, Vec::new());
        };
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let outcome = answer(question, &tables, view, turn, datagram);
        let upstreams = match outcome {
            Outcome::Forward => view.upstreams.clone(),
            _ => Vec::new(),
        };
        (outcome, upstreams)
    }

    async fn pass_on(&self, question: &[u8], upstreams: &[IpAddr], over_tcp: bool) -> Option<Vec<u8>> {
        match self.forwarder.ask(question, upstreams, over_tcp).await {
            Some(answer) => Some(answer),
            None => failure(question),
        }
    }
}

async fn serve_datagrams(socket: UdpSocket, id: String, shared: Arc<Shared>) {
    let Ok(socket) = tokio::net::UdpSocket::from_std(socket).map(Arc::new) else {
        return;
    };
    let mut waiting = JoinSet::new();
    let mut buffer = vec![0u8; 4096];
    loop {
        let received = tokio::select! {
            received = socket.recv_from(&mut buffer) => received,
            Some(_) = waiting.join_next() => continue,
        };
        let Ok((n, client)) = received else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let question = &buffer[..n];
        match shared.decide(&id, question, true) {
            (Outcome::Reply(reply), _) => {
                let _ = socket.send_to(&reply, client).await;
            }
            (Outcome::Forward, upstreams) if waiting.len() < OPEN_AT_ONCE => {
                let (question, shared, socket) = (question.to_vec(), shared.clone(), socket.clone());
                waiting.spawn(async move {
                    if let Some(reply) = shared.pass_on(&question, &upstreams, false).await {
                        let _ = socket.send_to(&reply, client).await;
                    }
                });
            }
            (Outcome::Forward, _) => {
                if let Some(reply) = failure(question) {
                    let _ = socket.send_to(&reply, client).await;
                }
            }
            (Outcome::Ignore, _) => {}
        }
    }
}

async fn serve_streams(listener: TcpListener, id: String, shared: Arc<Shared>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
        return;
    };
    let mut open = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept(), if open.len() < OPEN_AT_ONCE => accepted,
            Some(_) = open.join_next() => continue,
        };
        let Ok((mut stream, _)) = accepted else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let (id, shared) = (id.clone(), shared.clone());
        open.spawn(async move {
            while let Ok(Ok(question)) = timeout(IDLE, read_message(&mut stream)).await {
                let reply = match shared.decide(&id, &question, false) {
                    (Outcome::Reply(reply), _) => Some(reply),
                    (Outcome::Forward, upstreams) => shared.pass_on(&question, &upstreams, true).await,
                    (Outcome::Ignore, _) => None,
                };
                let Some(reply) = reply else { return };
                if !matches!(
                    timeout(IDLE, write_message(&mut stream, &reply)).await,
                    Ok(Ok(()))
                ) {
                    return;
                }
            }
        });
    }
}
