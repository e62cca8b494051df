//! A node's network: sandboxes, bridges, overlays, virtual addresses, published ports and names, straight
//! by netlink. [`Host`] is the door; [`link`] is a toolkit for others who build networks out of namespaces.

mod address;
mod adopt;
mod dns;
mod endpoint;
mod error;
mod forget;
mod host;
mod host_table;
pub mod link;
mod listening;
mod memory;
mod model;
mod netlink;
pub mod netns;
mod network;
mod nft;
mod overlay;
mod ports;
mod route;
mod sandbox;
mod sandbox_table;
mod slots;
mod state;
mod sysctl;

pub use address::{Mac, Subnet};
pub use error::{Error, Kind, Result};
pub use host::Host;
pub use listening::listening;
pub use model::{
    Backend, Balancer, BridgeSpec, Endpoint, HostConfig, IngressPort, OverlaySpec, Peer, Protocol,
    PublishedPort, Update,
};
