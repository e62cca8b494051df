//! Netlink itself: messages, attributes and a blocking socket that belongs to one network namespace.

mod message;
mod socket;

pub(crate) use message::{Attributes, Message};
pub(crate) use socket::Socket;
