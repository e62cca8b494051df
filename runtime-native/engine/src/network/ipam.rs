//! Addresses of bridge networks: which subnet a new network gets, and which address a container.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use creel_net::Subnet;

use crate::error::{EngineError, ErrorCode, Result};

/// Reads `172.17.0.0/16`; host bits are dropped.
pub fn parse_subnet(text: &str) -> Result<Subnet> {
    let subnet: Option<Subnet> = text.parse().ok();
    subnet
        .filter(|s| s.prefix > 0)
        .ok_or_else(|| EngineError::invalid(format!("invalid subnet {text}: it needs the form 10.1.0.0/16")))
}

/// The first of Docker's default pools that nothing in `taken` overlaps.
pub fn free_subnet(taken: &[Subnet]) -> Result<Subnet> {
    let large = (17..=31).map(|n| Subnet::new(Ipv4Addr::new(172, n, 0, 0), 16));
    let small = (0..16).map(|n| Subnet::new(Ipv4Addr::new(192, 168, n * 16, 0), 20));
    large
        .chain(small)
        .find(|pool| !taken.iter().any(|t| t.overlaps(pool)))
        .ok_or_else(|| {
            EngineError::new(
                ErrorCode::AddressPoolExhausted,
                "all predefined address pools have been fully subnetted: remove networks or name a subnet",
            )
        })
}

/// The addresses of one network.
#[derive(Debug)]
pub struct Pool {
    subnet: Subnet,
    range: Subnet,
    used: BTreeSet<u32>,
}

impl Pool {
    /// All of `subnet` without its gateway; containers that name no address get one of `range`.
    pub fn new(subnet: Subnet, range: Option<Subnet>, gateway: Option<Ipv4Addr>) -> Self {
        let range = range.unwrap_or(subnet);
        let used = gateway.into_iter().map(u32::from).collect();
        Self { subnet, range, used }
    }

    /// The lowest free address.
    pub fn take(&mut self) -> Result<Ipv4Addr> {
        let (first, last) = self.bounds();
        let mut candidate = first;
        for used in self.used.range(first..=last) {
            if *used != candidate {
                break;
            }
            candidate += 1;
        }
        if candidate > last {
            return Err(EngineError::new(
                ErrorCode::AddressPoolExhausted,
                format!(
                    "no available IPv4 addresses on this network's address pools: {}",
                    self.range
                ),
            ));
        }
        self.used.insert(candidate);
        Ok(candidate.into())
    }

    /// Takes a certain address.
    pub fn take_this(&mut self, address: Ipv4Addr) -> Result<()> {
        if !self.subnet.contains(address) {
            return Err(EngineError::invalid(format!(
                "user specified IP address {address} is not in the network's subnet {}",
                self.subnet
            )));
        }
        if !self.used.insert(address.into()) {
            return Err(EngineError::conflict(format!(
                "Address already in use: {address}"
            )));
        }
        Ok(())
    }

    /// Takes an address that a container is known to have.
    pub fn keep(&mut self, address: Ipv4Addr) {
        self.used.insert(address.into());
    }

    /// Gives an address back.
    pub fn release(&mut self, address: Ipv4Addr) {
        self.used.remove(&address.into());
    }

    fn bounds(&self) -> (u32, u32) {
        let (mut first, mut last) = (u32::from(self.range.network), u32::from(self.range.broadcast()));
        if self.subnet.prefix < 31 {
            first = first.max(u32::from(self.subnet.network) + 1);
            last = last.min(u32::from(self.subnet.broadcast()) - 1);
        }
        (first, last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_given_once() {
        let subnet = parse_subnet("10.0.0.0/29").unwrap();
        let mut pool = Pool::new(subnet, None, subnet.nth(1));
        let given: Vec<_> = (0..5).map(|_| pool.take().unwrap().octets()[3]).collect();
        assert_eq!(given, [2, 3, 4, 5, 6]);
        assert_eq!(pool.take().unwrap_err().code, ErrorCode::AddressPoolExhausted);
        pool.release(Ipv4Addr::new(10, 0, 0, 4));
        assert_eq!(pool.take().unwrap(), Ipv4Addr::new(10, 0, 0, 4));
        assert!(pool.take_this(Ipv4Addr::new(10, 0, 0, 4)).is_err());
        assert!(pool.take_this(Ipv4Addr::new(10, 0, 1, 4)).is_err());
    }

    #[test]
    fn a_new_network_avoids_what_is_taken() {
        let taken = [
            parse_subnet("172.17.3.0/24").unwrap(),
            parse_subnet("172.18.0.0/15").unwrap(),
        ];
        assert_eq!(free_subnet(&taken).unwrap().to_string(), "172.20.0.0/16");
        assert!(free_subnet(&[parse_subnet("128.0.0.0/1").unwrap()]).is_err());
    }
}
