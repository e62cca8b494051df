//! Asking the resolvers outside, with an end to every wait.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::time::timeout;

const PORT: u16 = 53;
const PATIENCE: Duration = Duration::from_secs(2);
const REST: Duration = Duration::from_secs(5);
const AT_ONCE: usize = 512;
const MOST_UPSTREAMS: usize = 3;

/// The way out, shared by all sandboxes.
pub(crate) struct Forwarder {
    places: Semaphore,
    resting: Mutex<HashMap<IpAddr, Instant>>,
}

impl Forwarder {
    pub(crate) fn new() -> Self {
        Self {
            places: Semaphore::new(AT_ONCE),
            resting: Mutex::default(),
        }
    }

    /// Passes a question on and returns the first answer. A resolver that did not answer is left alone for
    /// a while, so that its silence is paid for once and not with every name.
    pub(crate) async fn ask(&self, question: &[u8], upstreams: &[IpAddr], over_tcp: bool) -> Option<Vec<u8>> {
        let _place = self.places.try_acquire().ok()?;
        for upstream in upstreams.iter().take(MOST_UPSTREAMS).filter(|u| !self.rests(**u)) {
            let address = SocketAddr::new(*upstream, PORT);
            let asked = async {
                if over_tcp {
                    by_tcp(question, address).await
                } else {
                    by_udp(question, address).await
                }
            };
            match timeout(PATIENCE, asked).await {
                Ok(Ok(answer)) => return Some(answer),
                Ok(Err(_)) | Err(_) => self.rest(*upstream),
            }
        }
        None
    }

    fn rests(&self, upstream: IpAddr) -> bool {
        let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        resting.retain(|_, until| *until > Instant::now());
        resting.contains_key(&upstream)
    }

    fn rest(&self, upstream: IpAddr) {
        let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        resting.insert(upstream, Instant::now() + REST);
    }
}

async fn by_udp(question: &[u8], upstream: SocketAddr) -> io::Result<Vec<u8>> {
    let any: IpAddr = match upstream {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(upstream).await?;
    socket.send(question).await?;
    let mut buffer = vec![0u8; 4096];
    loop {
        let n = socket.recv(&mut buffer).await?;
        if n >= 12 && buffer[..2] == question[..2] {
            buffer.truncate(n);
            return Ok(buffer);
        }
    }
}

async fn by_tcp(question: &[u8], upstream: SocketAddr) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(upstream).await?;
    write_message(&mut stream, question).await?;
    read_message(&mut stream).await
}

/// Reads one message with its length before it.
pub(crate) async fn read_message(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = stream.read_u16().await?;
    let mut message = vec![0u8; usize::from(length)];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

/// Writes one message with its length before it.
pub(crate) async fn write_message(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend_from_slice(message);
    stream.write_all(&framed).await
}
