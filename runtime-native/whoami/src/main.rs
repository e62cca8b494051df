//! `whoami`: a small static HTTP server that answers who it is and who asks. The image that demonstrations, tests and
//! benches run. Paths: `/` the answer, `/bytes/N` N bytes, `/slow/MS` the answer after MS milliseconds, `/exit/CODE`
//! ends the process, `/env/NAME` a variable. Port: $PORT, or 8080.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use std::{env, fs, process, thread};

static BUSY: AtomicUsize = AtomicUsize::new(0);

fn main() {
    let port: u16 = env::var("PORT")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(8080);
    exit_on_signals();
    let listener = TcpListener::bind(("0.0.0.0", port)).unwrap_or_else(|error| {
        eprintln!("whoami: cannot listen on port {port}: {error}");
        process::exit(1);
    });
    println!("whoami: {} listens on port {port}", hostname());
    for stream in listener.incoming().flatten() {
        let spawned = thread::Builder::new().stack_size(64 * 1024).spawn(move || {
            let _ = serve(stream);
        });
        if let Err(error) = spawned {
            eprintln!("whoami: {error}");
        }
    }
}

/// SIGTERM and SIGINT end the process once requests under way are answered and none has come for a moment, or after five
/// seconds.
fn exit_on_signals() {
    // SAFETY: the set lives on this stack while the calls read it; blocked before any thread starts.
    let set = unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGTERM);
        libc::sigaddset(&mut set, libc::SIGINT);
        libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
        set
    };
    thread::spawn(move || {
        let mut signal = 0;
        // SAFETY: both pointers are to locals.
        unsafe { libc::sigwait(&set, &mut signal) };
        // a connection that was just made may not have been looked at yet
        let mut quiet = 0;
        for _ in 0..500 {
            quiet = if BUSY.load(Ordering::SeqCst) == 0 {
                quiet + 1
            } else {
                0
            };
            if quiet > 10 {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        process::exit(0);
    });
}

fn serve(stream: TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let mut request = String::new();
        if (&mut reader).take(8192).read_line(&mut request)? == 0 {
            return Ok(());
        }
        BUSY.fetch_add(1, Ordering::SeqCst);
        let answered = answer(&stream, &mut reader, &request);
        BUSY.fetch_sub(1, Ordering::SeqCst);
        if !answered? {
            return Ok(());
        }
    }
}

/// Answers one request; whether the connection goes on.
fn answer(stream: &TcpStream, reader: &mut BufReader<TcpStream>, request: &str) -> std::io::Result<bool> {
    let mut keep = request.trim_end().ends_with("HTTP/1.1");
    loop {
        let mut header = String::new();
        if reader.take(8192).read_line(&mut header)? == 0 {
            return Ok(false);
        }
        let header = header.trim_end().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if header == "connection: close" {
            keep = false;
        }
    }
    let path = request.split(' ').nth(1).unwrap_or("/");
    let mut parts = path.trim_start_matches('/').splitn(2, '/');
    let (word, value) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    let number = value.parse::<u64>().unwrap_or(0);
    let body = match word {
        "bytes" => vec![b'x'; number.min(1 << 30) as usize],
        "exit" => process::exit(number as i32),
        "env" => env::var(value).unwrap_or_default().into_bytes(),
        "slow" => {
            thread::sleep(Duration::from_millis(number.min(60_000)));
            introduction(stream)?
        }
        _ => introduction(stream)?,
    };
    let connection = if keep { "keep-alive" } else { "close" };
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: {connection}\r\n\r\n",
        body.len()
    );
    let mut stream = stream;
    stream.write_all(head.as_bytes())?;
    stream.write_all(&body)?;
    Ok(keep)
}

fn introduction(stream: &TcpStream) -> std::io::Result<Vec<u8>> {
    let task = env::var("TASK").unwrap_or_default();
    let node = env::var("NODE").unwrap_or_default();
    Ok(format!(
        "hostname: {}\ntask: {task}\nnode: {node}\nclient: {}\naddress: {}\n",
        hostname(),
        stream.peer_addr()?,
        stream.local_addr()?
    )
    .into_bytes())
}

fn hostname() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .unwrap_or_default()
}
