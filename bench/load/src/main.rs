//! `load`: what the benches run inside containers and beside them. One static program without dependencies, so that an
//! image of it is one file and its own cost is the same on every side.

mod client;
mod floor;
mod probe;
mod server;

use std::net::SocketAddr;
use std::process::ExitCode;

const USAGE: &str = "usage:
  load now                              the monotonic clock in ns, as the first thing the process does
  load serve PORT                       answers all of the following
  load latency ADDRESS:PORT COUNT       round trips of 64 bytes on one connection
  load connect ADDRESS:PORT COUNT       a connection, one request, its answer, the end; COUNT times
  load throughput ADDRESS:PORT MS       one connection, as fast as it goes
  load seen ADDRESS:PORT                the client's address, as the server sees it
  load floor ROOT COMMAND [ARGUMENT…]   the command in new namespaces with ROOT as its root, by the fewest steps
  load probe                            an ADDRESS:PORT a line on stdin; each is printed once it has answered HTTP";

fn main() -> ExitCode {
    let started = monotonic_ns();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["now"] => {
            println!("{started}");
            Ok(())
        }
        ["serve", port] => port.parse().map_err(|_| USAGE.to_owned()).and_then(server::serve),
        ["latency", at, count] => with(at, count, client::latency),
        ["connect", at, count] => with(at, count, client::connect),
        ["throughput", at, ms] => with(at, ms, client::throughput),
        ["seen", at] => with(at, "1", |at, _| client::seen(at)),
        ["floor", root, command @ ..] if !command.is_empty() => {
            floor::run(root, command).map_err(|error| format!("floor: {error}"))
        }
        ["probe"] => probe::run(),
        _ => Err(USAGE.to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("load: {message}");
            ExitCode::FAILURE
        }
    }
}

fn with(at: &str, number: &str, run: impl Fn(SocketAddr, u64) -> std::io::Result<()>) -> Result<(), String> {
    let address = at.parse().map_err(|_| format!("{at} is not ADDRESS:PORT"))?;
    let number = number.parse().map_err(|_| format!("{number} is not a number"))?;
    run(address, number).map_err(|error| format!("{at}: {error}"))
}

#[repr(C)]
struct Timespec {
    seconds: i64,
    nanoseconds: i64,
}

unsafe extern "C" {
    fn clock_gettime(clock: i32, time: *mut Timespec) -> i32;
    fn sched_setaffinity(process: i32, size: usize, mask: *const u64) -> i32;
}

/// Where the scheduler puts two ends of a connection decides over half of a round trip, so both are put: the ends of a
/// round trip on one processor, those of a flow on two. Where that is not allowed, they stay where they are.
fn stay_on(processor: u32) {
    let mask = 1u64 << processor;
    // SAFETY: the pointer is to a local of the size that is told.
    unsafe { sched_setaffinity(0, size_of::<u64>(), &raw const mask) };
}

/// CLOCK_MONOTONIC, which is one for all processes of a machine.
fn monotonic_ns() -> u64 {
    let mut time = Timespec {
        seconds: 0,
        nanoseconds: 0,
    };
    // SAFETY: the pointer is to a local of the layout that 64-bit Linux has.
    unsafe { clock_gettime(1, &raw mut time) };
    time.seconds as u64 * 1_000_000_000 + time.nanoseconds as u64
}
