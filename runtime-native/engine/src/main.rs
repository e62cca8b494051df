//! The program creel-engine.

use std::process::ExitCode;

use creel_engine::config::{self, Command};
use creel_engine::log_level;
use creel_engine::server;

fn main() -> ExitCode {
    let config = match config::parse(lexopt::Parser::from_env()) {
        Ok(Command::Run(config)) => *config,
        Ok(Command::Help) => {
            print!("{}", config::HELP);
            return ExitCode::SUCCESS;
        }
        Ok(Command::Version) => {
            println!("creel-engine {}", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        Err(text) => {
            eprintln!("creel-engine: {text}\nSee creel-engine --help.");
            return ExitCode::from(2);
        }
    };
    if !rustix::process::geteuid().is_root() {
        eprintln!("creel-engine: it must be run as root");
        return ExitCode::FAILURE;
    }
    // What containers are given passes through this memory: it is in no core file.
    // SAFETY: a plain call.
    unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) };
    log_level::init(config.log_level);
    // Threads that come and go would each leave a heap of their own behind.
    // SAFETY: a setting of the allocator, before any other thread runs.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, 2) };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_stack_size(1 << 20)
        .max_blocking_threads(64)
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("creel-engine: {error}");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(server::run(config));
    runtime.shutdown_timeout(std::time::Duration::from_millis(500));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "creel-engine cannot go on");
            eprintln!("creel-engine: {error}");
            ExitCode::FAILURE
        }
    }
}
