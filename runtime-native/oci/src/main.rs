//! `creel-runtime`: containers by runc's command line, for engines that call an OCI runtime (dockerd, containerd,
//! podman, buildkitd). It is a thin layer over the crate `creel-runtime`, which makes Creel's own containers too.

mod bundle;
mod cli;
mod commands;
mod console;
#[cfg(test)]
mod fuzz;
mod help;
mod helper;
mod log;
mod process;
mod seal;
mod signal;
mod spec_process;
mod store;
mod systemd;
mod time;

use std::process::ExitCode;

/// A failure: one sentence, as the user reads it.
type Outcome<T> = Result<T, String>;

/// A failure with the exit status that runc has for it.
struct Failure {
    code: u8,
    text: String,
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Self { code: 1, text }
    }
}

fn main() -> ExitCode {
    let (global, command) = match cli::parse(lexopt::Parser::from_env()) {
        Ok(parsed) => parsed,
        Err(text) => {
            eprintln!("creel-runtime: {text}");
            return ExitCode::FAILURE;
        }
    };
    match log::open(&global)
        .map_err(Failure::from)
        .and_then(|()| commands::run(&global, command))
    {
        Ok(code) => ExitCode::from(code),
        Err(Failure { code, text }) => {
            let text = creel_runtime::in_plain_words(text);
            log::error(&global, &text);
            eprintln!("creel-runtime: {text}");
            ExitCode::from(code)
        }
    }
}
