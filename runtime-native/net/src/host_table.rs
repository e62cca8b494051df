//! The node's own nf_tables: published ports, the cluster's ingress, isolation and masquerade.

use crate::address::Subnet;
use crate::error::Result;
use crate::model::{Balancer, Endpoint, Protocol, PublishedPort};
use crate::nft::{Batch, Data, Element, Expr, Hook, Map, Nft, TABLE, Verdict, ct, meta, rules};
use crate::slots::{Shape, Slots};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

const LOOPBACK: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 0);
const LOOPBACK_MASK: Ipv4Addr = Ipv4Addr::new(255, 0, 0, 0);
const LOCAL: u32 = 2;

const INGRESS: Shape = Shape {
    keys: "ingress",
    slots: "slots",
    known: None,
    pick: |n| {
        let mut expressions = vec![Expr::Random {
            modulus: n as u32,
            into: 0,
        }];
        expressions.extend(rules::protocol_and_port(1));
        expressions.push(Expr::Lookup {
            set: "slots",
            key: 0,
            into: Some(0),
            invert: false,
        });
        expressions.push(Expr::Dnat {
            address: 0,
            port: Some(1),
        });
        expressions
    },
};

/// An interface of ours in the node's namespace, and what may pass it.
pub(crate) struct Door {
    pub(crate) interface: String,
    /// Nothing new is routed in or out (internal networks, the ingress network).
    pub(crate) closed: bool,
    /// Whether those behind it may talk to each other.
    pub(crate) within: bool,
    /// What leaves from this subnet takes the node's address.
    pub(crate) masquerade: Option<Subnet>,
}

/// The node's table, and what it holds.
pub(crate) struct HostTable {
    nft: Nft,
    ingress: Slots,
    stale: bool,
}

impl HostTable {
    pub(crate) fn new(nft: Nft) -> Self {
        Self {
            nft,
            ingress: Slots::default(),
            stale: true,
        }
    }

    /// Replaces the whole table at one moment; connections under way keep their translation.
    pub(crate) fn rebuild<'a>(
        &mut self,
        doors: &[Door],
        endpoints: impl Iterator<Item = &'a Endpoint>,
        balancers: impl Iterator<Item = &'a Balancer>,
    ) -> Result<()> {
        let mut batch = Batch::new(TABLE);
        batch.restart();
        sets(&mut batch, doors);
        chains(&mut batch);
        for endpoint in endpoints {
            for (set, element) in port_elements(endpoint) {
                batch.add(set, &[element]);
            }
        }
        let mut ingress = Slots::default();
        for (key, targets) in ingress_targets(balancers) {
            ingress.change(&mut batch, &INGRESS, &key, Some(targets));
        }
        self.nft.commit(batch, "write the node's packet rules")?;
        self.ingress = ingress;
        self.stale = false;
        Ok(())
    }

    /// Opens (or closes) the published ports of one endpoint.
    pub(crate) fn publish(&mut self, endpoint: &Endpoint, open: bool) -> Result<()> {
        let mut batch = Batch::new(TABLE);
        for (set, element) in port_elements(endpoint) {
            if open {
                batch.add(set, &[element]);
            } else {
                batch.delete(set, &[element]);
            }
        }
        self.nft.commit(batch, "write the published ports")
    }

    /// Brings the ingress map to what the balancers say, changing only what differs.
    pub(crate) fn balance<'a>(&mut self, balancers: impl Iterator<Item = &'a Balancer>) -> Result<()> {
        let mut wanted = ingress_targets(balancers);
        let mut batch = Batch::new(TABLE);
        for key in self.ingress.keys() {
            if !wanted.contains_key(&key) {
                self.ingress.change(&mut batch, &INGRESS, &key, None);
            }
        }
        while let Some((key, targets)) = wanted.pop_first() {
            self.ingress.change(&mut batch, &INGRESS, &key, Some(targets));
        }
        let done = self.nft.commit(batch, "write the ingress ports");
        self.stale = done.is_err();
        done
    }

    /// Whether the kernel's table is not known to be what is remembered, so that it must be rebuilt.
    pub(crate) fn is_stale(&self) -> bool {
        self.stale
    }

    pub(crate) fn clear(&mut self) -> Result<()> {
        let mut batch = Batch::new(TABLE);
        batch.clear();
        self.stale = true;
        self.nft.commit(batch, "remove the node's packet rules")
    }
}

fn sets(batch: &mut Batch, doors: &[Door]) {
    batch.set("bridges", 16, Map::Set);
    batch.set("closed", 16, Map::Set);
    batch.set("within", 32, Map::Set);
    batch.set("subnets", 4, Map::Intervals);
    batch.set("ports", 8, Map::Values(8));
    batch.set("ports_by_address", 12, Map::Values(8));
    batch.set("slots", 12, Map::Values(8));
    batch.set("ingress", 8, Map::Verdicts);
    let named = |door: &Door| Element {
        key: rules::interface_key(&door.interface),
        data: Data::None,
    };
    batch.add("bridges", &doors.iter().map(named).collect::<Vec<_>>());
    batch.add(
        "closed",
        &doors.iter().filter(|d| d.closed).map(named).collect::<Vec<_>>(),
    );
    let twice = |door: &Door| Element {
        key: rules::interface_key(&door.interface).repeat(2),
        data: Data::None,
    };
    batch.add(
        "within",
        &doors.iter().filter(|d| d.within).map(twice).collect::<Vec<_>>(),
    );
    for subnet in doors.iter().filter_map(|d| d.masquerade) {
        let mut ends = vec![Element {
            key: subnet.network.octets().to_vec(),
            data: Data::None,
        }];
        if let Some(next) = u32::from(subnet.broadcast()).checked_add(1) {
            ends.push(Element {
                key: next.to_be_bytes().to_vec(),
                data: Data::IntervalEnd,
            });
        }
        batch.add("subnets", &ends);
    }
}

fn chains(batch: &mut Batch) {
    let hook = |kind, number, priority| {
        Some(Hook {
            kind,
            number,
            priority,
        })
    };
    let then = |mut expressions: Vec<Expr>, last: Expr| {
        expressions.push(last);
        expressions
    };
    let accept = || Expr::Verdict(Verdict::Accept);
    let drop = || Expr::Verdict(Verdict::Drop);

    // Loopback is routable through our bridges (route_localnet), so nobody behind one may use that.
    batch.chain("guard", hook("filter", Hook::PREROUTING, -300));
    let to_loopback = rules::masked(rules::destination(0), LOOPBACK, LOOPBACK_MASK, true);
    let guard = [
        &rules::interface_in(meta::IIFNAME, "bridges", false)[..],
        &to_loopback[..],
    ]
    .concat();
    batch.rule("guard", then(guard, drop()));

    batch.chain("publish", None);
    let mut by_address = vec![rules::destination(0)];
    by_address.extend(rules::protocol_and_port(1));
    by_address.push(Expr::Lookup {
        set: "ports_by_address",
        key: 0,
        into: Some(0),
        invert: false,
    });
    batch.rule(
        "publish",
        then(
            by_address,
            Expr::Dnat {
                address: 0,
                port: Some(1),
            },
        ),
    );
    let mut any = rules::protocol_and_port(0).to_vec();
    any.push(Expr::Lookup {
        set: "ports",
        key: 0,
        into: Some(0),
        invert: false,
    });
    batch.rule(
        "publish",
        then(
            any,
            Expr::Dnat {
                address: 0,
                port: Some(1),
            },
        ),
    );
    let ingress = rules::protocol_and_port(0).to_vec();
    batch.rule(
        "publish",
        then(
            ingress,
            Expr::LookupVerdict {
                set: "ingress",
                key: 0,
            },
        ),
    );

    for (name, number) in [("prerouting", Hook::PREROUTING), ("output", Hook::OUTPUT)] {
        batch.chain(name, hook("nat", number, -100));
        let local = vec![
            Expr::AddressType { into: 0 },
            Expr::Compare {
                register: 0,
                equal: true,
                value: LOCAL.to_ne_bytes().to_vec(),
            },
        ];
        batch.rule(name, then(local, Expr::Verdict(Verdict::Jump("publish".into()))));
    }

    batch.chain("forward", hook("filter", Hook::FORWARD, 0));
    let known = rules::any_of(ct::STATE, ct::ESTABLISHED | ct::RELATED).to_vec();
    batch.rule("forward", then(known, accept()));
    let published = rules::any_of(ct::STATUS, ct::DNAT).to_vec();
    batch.rule("forward", then(published, accept()));
    // Bridged packets pass here too where the kernel's br_netfilter is in force.
    let within = vec![
        Expr::Meta {
            key: meta::IIFNAME,
            into: 0,
        },
        Expr::Meta {
            key: meta::OIFNAME,
            into: 4,
        },
        Expr::Lookup {
            set: "within",
            key: 0,
            into: None,
            invert: false,
        },
    ];
    batch.rule("forward", then(within, accept()));
    for (key, set) in [(meta::IIFNAME, "closed"), (meta::OIFNAME, "bridges")] {
        batch.rule(
            "forward",
            then(rules::interface_in(key, set, false).to_vec(), drop()),
        );
    }

    batch.chain("postrouting", hook("nat", Hook::POSTROUTING, 100));
    let from_loopback = rules::masked(rules::source(0), LOOPBACK, LOOPBACK_MASK, true);
    let to_bridges = rules::interface_in(meta::OIFNAME, "bridges", false);
    let own = [Expr::Lookup {
        set: "subnets",
        key: 0,
        into: None,
        invert: false,
    }];
    let own = [&[rules::source(0)][..], &own[..]].concat();
    batch.rule(
        "postrouting",
        then([&from_loopback[..], &to_bridges[..]].concat(), Expr::Masquerade),
    );
    let hairpin = [
        &own[..],
        &rules::any_of(ct::STATUS, ct::DNAT)[..],
        &to_bridges[..],
    ]
    .concat();
    batch.rule("postrouting", then(hairpin, Expr::Masquerade));
    let away = rules::interface_in(meta::OIFNAME, "bridges", true);
    batch.rule(
        "postrouting",
        then([&own[..], &away[..]].concat(), Expr::Masquerade),
    );
}

fn port_key(protocol: Protocol, port: u16) -> Vec<u8> {
    let [high, low] = port.to_be_bytes();
    vec![protocol.number(), 0, 0, 0, high, low, 0, 0]
}

fn address_and_port(address: Ipv4Addr, port: u16) -> Vec<u8> {
    let mut value = address.octets().to_vec();
    value.extend_from_slice(&port.to_be_bytes());
    value.extend_from_slice(&[0, 0]);
    value
}

/// The node's address that a port is published on, if it is not any.
pub(crate) fn bound_address(port: &PublishedPort) -> Option<Ipv4Addr> {
    match port.host_ip {
        Some(IpAddr::V4(v4)) if !v4.is_unspecified() => Some(v4),
        _ => None,
    }
}

fn port_elements(endpoint: &Endpoint) -> Vec<(&'static str, Element)> {
    let element = |port: &PublishedPort| {
        let data = Data::Value(address_and_port(endpoint.address, port.container_port));
        let key = port_key(port.protocol, port.host_port);
        match bound_address(port) {
            None => ("ports", Element { key, data }),
            Some(address) => {
                let key = [&address.octets()[..], &key[..]].concat();
                ("ports_by_address", Element { key, data })
            }
        }
    };
    endpoint.published.iter().map(element).collect()
}

type Targets = BTreeMap<Vec<u8>, Vec<Vec<u8>>>;

fn ingress_targets<'a>(balancers: impl Iterator<Item = &'a Balancer>) -> Targets {
    let mut targets = Targets::new();
    for balancer in balancers {
        for port in &balancer.ports {
            let behind = balancer
                .backends
                .iter()
                .map(|b| address_and_port(b.address, port.target));
            targets
                .entry(port_key(port.protocol, port.published))
                .or_default()
                .extend(behind);
        }
    }
    targets
}
