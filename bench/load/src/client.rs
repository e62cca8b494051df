//! The asking side; each measure prints one JSON object.

use crate::server::{ECHO, MESSAGE, ONCE, SEEN, SINK};
use std::io::{Read, Result, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(10);

fn open(at: SocketAddr, kind: u8) -> Result<TcpStream> {
    crate::stay_on(0);
    let mut stream = TcpStream::connect_timeout(&at, LIMIT)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    stream.write_all(&[kind])?;
    Ok(stream)
}

/// Prints median and 99th percentile in microseconds.
fn print(mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize].as_nanos() as f64 / 1000.0;
    println!("{{\"p50\":{},\"p99\":{}}}", at(0.5), at(0.99));
}

pub fn latency(at: SocketAddr, count: u64) -> Result<()> {
    let mut stream = open(at, ECHO)?;
    let mut message = [7; MESSAGE];
    let mut times = Vec::new();
    for round in 0..count.max(1) + 200 {
        let started = Instant::now();
        stream.write_all(&message)?;
        stream.read_exact(&mut message)?;
        // The first ones fill caches and the connection table.
        if round >= 200 {
            times.push(started.elapsed());
        }
    }
    print(times);
    Ok(())
}

pub fn connect(at: SocketAddr, count: u64) -> Result<()> {
    let mut times = Vec::new();
    for round in 0..count.max(1) + 20 {
        let started = Instant::now();
        let mut stream = open(at, ONCE)?;
        let mut answer = [0];
        stream.read_exact(&mut answer)?;
        drop(stream);
        if round >= 20 {
            times.push(started.elapsed());
        }
    }
    print(times);
    Ok(())
}

pub fn throughput(at: SocketAddr, ms: u64) -> Result<()> {
    let mut stream = open(at, SINK)?;
    let buffer = vec![7; 128 * 1024];
    let started = Instant::now();
    while started.elapsed() < Duration::from_millis(ms) {
        stream.write_all(&buffer)?;
    }
    stream.shutdown(Shutdown::Write)?;
    let mut total = [0; 8];
    stream.read_exact(&mut total)?;
    let gbit = u64::from_be_bytes(total) as f64 * 8.0 / 1e9 / started.elapsed().as_secs_f64();
    println!("{{\"gbit\":{gbit}}}");
    Ok(())
}

pub fn seen(at: SocketAddr) -> Result<()> {
    let mut stream = open(at, SEEN)?;
    let mut address = String::new();
    stream.read_to_string(&mut address)?;
    println!("{address}");
    Ok(())
}
