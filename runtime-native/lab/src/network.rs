//! The lab's bridge and its ports, in the namespace the lab is started from.

use crate::sys::Result;
use creel_net::link::{Links, Peer};
use creel_net::netns::Netns;
use std::net::IpAddr;
use std::path::Path;

const MTU: u32 = 1500;

fn words(error: creel_net::Error) -> String {
    error.to_string()
}

fn here() -> Result<Links> {
    Links::open(&Netns::current().map_err(words)?).map_err(words)
}

/// `10.0.0.1/24` in its two parts.
pub fn parse(address: &str) -> Result<(IpAddr, u8)> {
    let bad = || format!("{address} is not an address with a prefix length (10.0.0.1/24)");
    let (ip, prefix) = address.split_once('/').ok_or_else(bad)?;
    Ok((ip.parse().map_err(|_| bad())?, prefix.parse().map_err(|_| bad())?))
}

/// Makes a bridge that is up and has an address.
pub fn add_bridge(name: &str, address: &str) -> Result<()> {
    let (ip, prefix) = parse(address)?;
    let mut links = here()?;
    let index = links.add_bridge(name, None, MTU).map_err(words)?;
    let done = links
        .add_address(index, ip, prefix)
        .and_then(|()| links.set_up(index))
        .map_err(words);
    if done.is_err() {
        let _ = links.delete(name);
    }
    done
}

/// Deletes a link; one that is gone is no error.
pub fn delete(name: &str) -> Result<()> {
    here()?.delete(name).map_err(words)
}

/// Takes a port off its bridge (the host sees no change of carrier, its packets just end), or puts it back.
pub fn set_bridge(port: &str, bridge: Option<&str>) -> Result<()> {
    let mut links = here()?;
    let master = bridge
        .map_or(Ok(0), |bridge| links.index(bridge))
        .map_err(words)?;
    let index = links.index(port).map_err(words)?;
    links.set_master(index, master).map_err(words)
}

/// Joins the host whose process 1 is `pid` to the bridge: `port` here, `eth0` there.
pub fn connect(pid: libc::pid_t, bridge: &str, port: &str, address: &str, gateway: &str) -> Result<()> {
    let (ip, prefix) = parse(address)?;
    let gateway: IpAddr = gateway
        .parse()
        .map_err(|_| format!("{gateway} is not an address"))?;
    let netns = Netns::open(Path::new(&format!("/proc/{pid}/ns/net"))).map_err(words)?;
    let mut links = here()?;
    let master = links.index(bridge).map_err(words)?;
    let peer = Peer {
        netns: &netns,
        name: "eth0",
        mac: None,
    };
    let index = links.add_veth(port, MTU, &peer).map_err(words)?;
    links.attach(index, master).map_err(words)?;
    let mut inside = Links::open(&netns).map_err(words)?;
    let lo = inside.index("lo").map_err(words)?;
    let eth0 = inside.index("eth0").map_err(words)?;
    inside
        .set_up(lo)
        .and_then(|()| inside.add_address(eth0, ip, prefix))
        .and_then(|()| inside.set_up(eth0))
        .and_then(|()| inside.add_route(None, Some(gateway), eth0, None))
        .map_err(words)
}
