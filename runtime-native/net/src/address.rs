//! Subnets and hardware addresses.

use crate::error::{Error, Kind};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// An Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// The address Docker, and Creel, derive from an IPv4 address: 02:42 and its four bytes.
    pub fn derived(address: Ipv4Addr) -> Self {
        let [a, b, c, d] = address.octets();
        Self([0x02, 0x42, a, b, c, d])
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for Mac {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = || Error::new(Kind::Invalid, format!("{text:?} is no hardware address"));
        let bytes: Vec<u8> = text
            .split(':')
            .map(|part| u8::from_str_radix(part, 16).map_err(|_| bad()))
            .collect::<Result<_, _>>()?;
        Ok(Self(bytes.try_into().map_err(|_| bad())?))
    }
}

/// An IPv4 subnet.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Subnet {
    /// Its first address.
    pub network: Ipv4Addr,
    /// Its prefix length.
    pub prefix: u8,
}

impl Subnet {
    /// The subnet of `prefix` bits that holds `address`.
    pub fn new(address: Ipv4Addr, prefix: u8) -> Self {
        let network = Ipv4Addr::from(u32::from(address) & mask(prefix));
        Self {
            network,
            prefix: prefix.min(32),
        }
    }

    /// Its last address.
    pub fn broadcast(&self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.network) | !mask(self.prefix))
    }

    /// Its mask.
    pub fn mask(&self) -> Ipv4Addr {
        Ipv4Addr::from(mask(self.prefix))
    }

    /// Whether an address lies in it.
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        u32::from(address) & mask(self.prefix) == u32::from(self.network)
    }

    /// Whether the two share an address.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.contains(other.network) || other.contains(self.network)
    }

    /// The `n`-th address (0 is the network's own), if there are that many.
    pub fn nth(&self, n: u32) -> Option<Ipv4Addr> {
        let address = Ipv4Addr::from(u32::from(self.network).checked_add(n)?);
        self.contains(address).then_some(address)
    }
}

fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0)
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix)
    }
}

impl FromStr for Subnet {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = || Error::new(Kind::Invalid, format!("{text:?} is no IPv4 subnet"));
        let (address, prefix) = text.split_once('/').ok_or_else(bad)?;
        let prefix: u8 = prefix.parse().map_err(|_| bad())?;
        if prefix > 32 {
            return Err(bad());
        }
        Ok(Self::new(address.parse().map_err(|_| bad())?, prefix))
    }
}

macro_rules! as_text {
    ($($kind:ty),*) => {$(
        impl Serialize for $kind {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $kind {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}
as_text!(Mac, Subnet);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subnets() {
        let subnet: Subnet = "10.1.2.3/24".parse().unwrap();
        assert_eq!(subnet.to_string(), "10.1.2.0/24");
        assert_eq!(subnet.broadcast(), Ipv4Addr::new(10, 1, 2, 255));
        assert_eq!(subnet.nth(256), None);
        assert!(subnet.overlaps(&"10.0.0.0/8".parse().unwrap()));
        assert!(!subnet.contains(Ipv4Addr::new(10, 1, 3, 0)));
        assert!("10.0.0.0/33".parse::<Subnet>().is_err());
        assert!(
            "0.0.0.0/0"
                .parse::<Subnet>()
                .unwrap()
                .contains(Ipv4Addr::BROADCAST)
        );
    }

    #[test]
    fn macs() {
        let mac = Mac::derived(Ipv4Addr::new(172, 17, 0, 2));
        assert_eq!(mac.to_string(), "02:42:ac:11:00:02");
        assert_eq!(mac.to_string().parse::<Mac>().unwrap(), mac);
        assert!("02:42:ac:11:00".parse::<Mac>().is_err());
    }
}
