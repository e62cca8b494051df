//! Names: one resolver for all sandboxes of the node, with a socket in each at 127.0.0.11.

mod answer;
mod forward;
mod names;
mod redirect;
mod server;

pub(crate) use server::{Dns, Sockets};
