//! `creel-lab`: the part of a lab that only the kernel can do. A host is a set of namespaces (network, mount, UTS, IPC,
//! PID) with a small init as its process 1; hosts are joined by a bridge. tools/lab decides what is made and when.

mod exec;
mod host;
mod init;
mod network;
mod sys;

use std::process::ExitCode;

const USAGE: &str = "usage:
  creel-lab bridge add NAME ADDRESS/PREFIX
  creel-lab bridge delete NAME
  creel-lab port cut|heal PORT BRIDGE
  creel-lab port delete PORT
  creel-lab host --name NAME --bridge BRIDGE --port PORT --address ADDRESS/PREFIX --gateway ADDRESS --log FILE -- COMMAND…
      makes the host, prints its process id, and returns; the host keeps COMMAND running
  creel-lab exec PID -- COMMAND…";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["bridge", "add", name, address] => network::add_bridge(name, address),
        ["bridge", "delete", name] | ["port", "delete", name] => network::delete(name),
        ["port", "cut", port, _] => network::set_bridge(port, None),
        ["port", "heal", port, bridge] => network::set_bridge(port, Some(bridge)),
        ["host", options @ ..] => host::Options::parse(options).and_then(|options| host::make(&options)),
        ["exec", pid, "--", command @ ..] if !command.is_empty() => match exec::run(pid, command) {
            Ok(code) => return ExitCode::from(code),
            Err(message) => Err(message),
        },
        _ => Err(USAGE.to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("creel-lab: {message}");
            ExitCode::FAILURE
        }
    }
}
