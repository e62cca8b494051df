//! The process that is a container's parent: it holds the container's pipes or terminal, writes its log and records its
//! exit status, whether or not the engine is there. Shims are forked from a zygote.

#[cfg(feature = "client")]
pub mod client;
pub mod log;
pub mod protocol;

mod attach;
mod backlog;
mod connection;
mod exit;
mod helper;
mod lock;
mod process;
mod server;
mod socket;
mod zygote;

pub(crate) use creel_runtime::clock;
pub use exit::{cleanup, read_exit};
pub use zygote::run as run_zygote;
