//! The engine of one node: containers, images, networks and volumes behind a gRPC socket.
//!
//! [`server::run`] is the door for the program; [`proto`] for those who talk to it.

mod bulk;
pub mod config;
mod container;
mod engine;
mod error;
mod events;
mod format;
mod grpc;
mod ids;
mod images;
mod info;
mod init;
pub mod log_level;
mod logs;
mod network;
mod progress;
pub mod proto;
mod runtimes;
pub mod server;
mod user_namespaces;
mod volume;

pub(crate) use creel_runtime::clock;
