//! The answering side. The first byte of a connection says what it is for.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

/// A message of a round trip.
pub const MESSAGE: usize = 64;
/// Round trips on one connection.
pub const ECHO: u8 = b'e';
/// One answer of one byte, then the end.
pub const ONCE: u8 = b'o';
/// Takes all that comes; answers with how much it was.
pub const SINK: u8 = b's';
/// Answers with the client's address.
pub const SEEN: u8 = b'a';

pub fn serve(port: u16) -> Result<(), String> {
    let listener = TcpListener::bind(("0.0.0.0", port)).map_err(|error| format!("port {port}: {error}"))?;
    println!("load: listens on port {port}");
    for stream in listener.incoming().flatten() {
        let spawned = thread::Builder::new().stack_size(256 * 1024).spawn(move || {
            let _ = answer(stream);
        });
        if let Err(error) = spawned {
            eprintln!("load: {error}");
        }
    }
    Ok(())
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut kind = [0];
    stream.read_exact(&mut kind)?;
    crate::stay_on(u32::from(kind[0] == SINK));
    match kind[0] {
        ECHO => {
            let mut message = [0; MESSAGE];
            loop {
                stream.read_exact(&mut message)?;
                stream.write_all(&message)?;
            }
        }
        ONCE => stream.write_all(b"1"),
        SINK => {
            let mut buffer = vec![0; 128 * 1024];
            let mut total = 0u64;
            loop {
                match stream.read(&mut buffer)? {
                    0 => return stream.write_all(&total.to_be_bytes()),
                    count => total += count as u64,
                }
            }
        }
        SEEN => {
            let address = stream.peer_addr()?.ip().to_string();
            stream.write_all(address.as_bytes())
        }
        _ => Ok(()),
    }
}
