//! Tells of each address when it has first answered.

use std::io::{BufRead, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use std::{io, thread};

const PATIENCE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(5);

/// Until stdin ends.
pub fn run() -> Result<(), String> {
    for line in io::stdin().lock().lines() {
        let line = line.map_err(|error| error.to_string())?;
        let address: SocketAddr = line
            .trim()
            .parse()
            .map_err(|_| format!("{line} is not ADDRESS:PORT"))?;
        thread::Builder::new()
            .stack_size(128 * 1024)
            .spawn(move || wait_for(address))
            .map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn wait_for(address: SocketAddr) {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        if answers(address).unwrap_or(false) {
            println!("{address}");
            return;
        }
        thread::sleep(PAUSE);
    }
    eprintln!("load: {address} has not answered in {} s", PATIENCE.as_secs());
}

fn answers(address: SocketAddr) -> io::Result<bool> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_millis(500))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    let mut start = [0; 12];
    stream.read_exact(&mut start)?;
    Ok(start.ends_with(b" 200"))
}
