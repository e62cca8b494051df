use creel_runtime::Stdio;
use lexopt::Parser;

use super::create::{self, Options};
use super::{delete, kill, start};
use crate::cli::Global;
use crate::console::Console;
use crate::store::Store;
use crate::{Outcome, bundle, helper, log, seal};

/// `run`: creates and starts a container and waits for its end; gives its exit status.
pub fn run(global: &Global, arguments: Parser) -> Outcome<u8> {
    seal::seal()?;
    let options = Options::parse("run", arguments)?;
    let (spec, unit) = bundle::read(&options.bundle, &options.id, global.systemd_cgroup)?;
    let store = Store::new(&global.root);
    let terminal = create::wants_terminal(&spec);
    if options.subreaper && !options.detach {
        // SAFETY: a plain call.
        unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) };
    }
    let mut console = None;
    let stdio = match (&options.console_socket, terminal) {
        (Some(console_socket), true) => Stdio::Terminal {
            console_socket: console_socket.clone(),
        },
        (Some(_), false) => {
            return Err("--console-socket is given, but process.terminal is not set in the spec".into());
        }
        (None, true) if options.detach => {
            return Err("a detached container with a terminal needs --console-socket".into());
        }
        (None, true) => {
            let own = Console::prepare(&std::env::temp_dir())?;
            let console_socket = own.path().to_owned();
            console = Some(own);
            Stdio::Terminal { console_socket }
        }
        (None, false) => create::own_streams()?,
    };
    let record = create::make(&store, &options, &spec, unit.as_ref(), stdio)?;
    if let Err(text) = start::begin(global, &store, &record) {
        let _ = delete::remove(global, &store, &record);
        return Err(text);
    }
    if options.detach {
        return Ok(0);
    }
    let code = match console {
        Some(console) => console.serve(record.pid),
        None => Ok(helper::wait_and_forward(record.pid) as u8),
    };
    if code.is_err() {
        let _ = kill::send(&record, libc::SIGKILL);
    }
    if !options.keep
        && let Err(text) = delete::remove(global, &store, &record)
    {
        log::warning(global, &text);
    }
    code
}
