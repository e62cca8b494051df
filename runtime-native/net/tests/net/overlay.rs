//! Overlay networks over VXLAN, virtual addresses, and the cluster's ingress.

use crate::common::*;
use creel_net::link::Links;
use creel_net::netns::Netns;
use creel_net::{Backend, Balancer, Endpoint, IngressPort, Protocol, Update};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

const VIP: Ipv4Addr = Ipv4Addr::new(10, 20, 0, 100);

fn task(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 20, 0, n)
}

fn ingress(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 30, 0, n)
}

fn balancer(vip: Option<Ipv4Addr>, backends: &[Ipv4Addr], ports: Vec<IngressPort>) -> Balancer {
    let backends = backends
        .iter()
        .map(|a| Backend {
            address: *a,
            names: vec![],
        })
        .collect();
    Balancer {
        id: "web".into(),
        vip,
        names: vec!["web".into()],
        backends,
        ports,
    }
}

fn only(balancer: Balancer) -> Update {
    Update {
        set: vec![balancer],
        ..Update::default()
    }
}

/// A sandbox on the gateway bridge, as tasks have it.
fn task_on(node: &Node, id: &str, n: u8) -> Netns {
    let netns = node.sandbox(id);
    let mut out = endpoint(id, "gwbridge", "eth9", Ipv4Addr::new(172, 30, 1, n));
    out.default_route = true;
    node.host().connect(out).unwrap();
    netns
}

fn on_overlay(node: &Node, id: &str, address: Ipv4Addr) -> Endpoint {
    node.host()
        .connect(endpoint(id, "user", "eth0", address))
        .unwrap()
}

#[test]
fn virtual_addresses_spread_drain_and_refuse() {
    let world = World::new();
    let mut nodes = [world.node(1), world.node(2)];
    for node in &nodes {
        node.host().create_overlay(overlay("user", 4097)).unwrap();
    }
    let caller = nodes[0].sandbox("caller");
    on_overlay(&nodes[0], "caller", task(2));
    let mut servers = Vec::new();
    for (n, node) in [(10, 0), (11, 1), (12, 1)] {
        let id = format!("t{n}");
        let netns = nodes[node].sandbox(&id);
        let e = on_overlay(&nodes[node], &id, task(n));
        assert_eq!(e.mac().to_string(), format!("02:42:0a:14:00:{n:02x}"));
        serve_tcp(&netns, 80, &id);
        servers.push(netns);
    }
    let where_all_are = || {
        let home = |n| if n == 2 || n == 10 { 1 } else { 2 };
        [2, 10, 11, 12]
            .map(|n| peer(task(n), machine_address(home(n)), false))
            .to_vec()
    };
    for node in &nodes {
        let update = Update {
            full: true,
            set_peers: where_all_are(),
            ..Update::default()
        };
        node.host().apply("user", update).unwrap();
    }
    assert_eq!(
        ask(&caller, task(11), 80).unwrap(),
        "t11 10.20.0.2",
        "straight to another node"
    );

    let all = [task(10), task(11), task(12)];
    nodes[0]
        .host()
        .apply("user", only(balancer(Some(VIP), &all, vec![])))
        .unwrap();
    let mut seen = BTreeSet::new();
    for _ in 0..60 {
        seen.insert(ask(&caller, VIP, 80).unwrap());
    }
    assert_eq!(seen.len(), 3, "all replicas are used: {seen:?}");

    // Drain: what is open goes on, what is new goes elsewhere.
    let mut open = loop {
        let mut stream = connect(&caller, VIP, 80).unwrap();
        if ask_on(&mut stream).unwrap().starts_with("t11") {
            break stream;
        }
    };
    nodes[0]
        .host()
        .apply("user", only(balancer(Some(VIP), &[task(10), task(12)], vec![])))
        .unwrap();
    for _ in 0..20 {
        assert!(!ask(&caller, VIP, 80).unwrap().starts_with("t11"));
    }
    assert!(ask_on(&mut open).unwrap().starts_with("t11"));

    // A restart of the engine: nothing is lost, and changes still arrive.
    nodes[0].host = None;
    assert!(ask_on(&mut open).unwrap().starts_with("t11"));
    nodes[0].open();
    assert!(ask_on(&mut open).unwrap().starts_with("t11"));
    assert!(ask(&caller, VIP, 80).is_ok());
    nodes[0]
        .host()
        .apply("user", only(balancer(Some(VIP), &[task(12)], vec![])))
        .unwrap();
    assert!(ask(&caller, VIP, 80).unwrap().starts_with("t12"));
    assert!(ask_on(&mut open).unwrap().starts_with("t11"));

    // A late sandbox sees the same; nobody behind means refused, at once.
    let late = nodes[0].sandbox("late");
    on_overlay(&nodes[0], "late", task(3));
    let update = Update {
        set_peers: vec![peer(task(3), machine_address(1), false)],
        ..Update::default()
    };
    nodes[1].host().apply("user", update).unwrap();
    assert!(ask(&late, VIP, 80).unwrap().starts_with("t12"));
    nodes[0]
        .host()
        .apply("user", only(balancer(Some(VIP), &[], vec![])))
        .unwrap();
    let refused = connect(&late, VIP, 80).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    let gone = Update {
        remove: vec!["web".into()],
        ..Update::default()
    };
    nodes[0].host().apply("user", gone).unwrap();
}

/// What a bridge has learned of an address must not outlive the address's move.
#[test]
fn an_address_that_moves_is_reached_at_once() {
    let world = World::new();
    let nodes = [world.node(1), world.node(2)];
    for node in &nodes {
        node.host().create_overlay(overlay("user", 4097)).unwrap();
    }
    let caller = nodes[0].sandbox("caller");
    on_overlay(&nodes[0], "caller", task(2));
    for round in 0..4 {
        let home = (round + 1) % 2;
        let id = format!("at{round}");
        let netns = nodes[home].sandbox(&id);
        on_overlay(&nodes[home], &id, task(10));
        serve_tcp(&netns, 80, &id);
        for node in &nodes {
            let update = Update {
                set_peers: vec![
                    peer(task(2), machine_address(1), false),
                    peer(task(10), nodes[home].address, false),
                ],
                ..Update::default()
            };
            node.host().apply("user", update).unwrap();
        }
        let answer = ask(&caller, task(10), 80);
        assert_eq!(answer.unwrap(), format!("{id} 10.20.0.2"));
        nodes[home].host().disconnect(&id, "user").unwrap();
        let update = || Update {
            remove_peers: vec![task(10)],
            ..Update::default()
        };
        for node in &nodes {
            node.host().apply("user", update()).unwrap();
        }
    }
}

#[test]
fn any_node_answers_and_the_client_keeps_its_address() {
    let world = World::new();
    let client = world.machine(9);
    let nodes = [world.node(1), world.node(2), world.node(3)];
    for (n, node) in nodes.iter().enumerate() {
        let mut spec = overlay("ingress", 4096);
        spec.subnet = "10.30.0.0/24".parse().unwrap();
        spec.ingress = true;
        spec.node_address = Some(ingress(n as u8 + 1));
        node.host().create_overlay(spec).unwrap();
        node.host().create_bridge(bridge("gwbridge", 1)).unwrap();
    }
    let mut tasks = Vec::new();
    for (n, node) in [(10, 0), (11, 1)] {
        let id = format!("t{n}");
        let netns = task_on(&nodes[node], &id, n);
        nodes[node]
            .host()
            .connect(endpoint(&id, "ingress", "eth0", ingress(n)))
            .unwrap();
        serve_tcp(&netns, 80, &id);
        serve_udp(&netns, 80, &id);
        serve_echo(&netns, 90);
        tasks.push(netns);
    }
    let port = |published, protocol| IngressPort {
        published,
        target: if published == 8090 { 90 } else { 80 },
        protocol,
    };
    let ports = vec![
        port(8080, Protocol::Tcp),
        port(8081, Protocol::Udp),
        port(8090, Protocol::Tcp),
    ];
    let mut peers: Vec<_> = (1..=3)
        .map(|n| peer(ingress(n), machine_address(n), true))
        .collect();
    peers.extend([(10, 1), (11, 2)].map(|(n, at)| peer(ingress(n), machine_address(at), false)));
    let say = |backends: &[Ipv4Addr]| {
        for (n, node) in nodes.iter().enumerate() {
            let others = peers
                .iter()
                .filter(|p| !p.node || p.address != ingress(n as u8 + 1))
                .cloned();
            let update = Update {
                full: true,
                set: vec![balancer(None, backends, ports.clone())],
                set_peers: others.collect(),
                ..Update::default()
            };
            node.host().apply("ingress", update).unwrap();
        }
    };
    say(&[ingress(10), ingress(11)]);

    for n in 1..=3 {
        let mut seen = BTreeSet::new();
        for _ in 0..30 {
            seen.insert(ask(&client, machine_address(n), 8080).unwrap());
        }
        let wanted = ["t10 192.168.77.9", "t11 192.168.77.9"].map(String::from);
        assert_eq!(seen, BTreeSet::from(wanted), "through node {n}");
        assert!(
            ask_udp(&client, machine_address(n), 8081)
                .unwrap()
                .ends_with(" 192.168.77.9"),
            "datagrams"
        );
    }
    for n in 1..=3 {
        echo_bulk(&client, machine_address(n), 8090, 4 << 20).expect("large transfers both ways");
    }
    for node in &nodes {
        for _ in 0..6 {
            let own = ask(&node.netns, node.address, 8080).unwrap();
            assert!(
                own.ends_with(&format!(" {}", node.address)),
                "from the node itself: {own}"
            );
            ask(&node.netns, Ipv4Addr::LOCALHOST, 8080).unwrap();
            ask_udp(&node.netns, Ipv4Addr::LOCALHOST, 8081).unwrap();
            ask_udp(&node.netns, node.address, 8081).unwrap();
            for other in &nodes {
                ask(&node.netns, other.address, 8080).unwrap();
            }
        }
    }
    for (n, netns) in tasks.iter().enumerate() {
        for _ in 0..6 {
            ask(netns, nodes[n].address, 8080).unwrap();
            ask(netns, nodes[2].address, 8080).unwrap();
        }
    }
    serve_tcp(&client, 7000, "outside");
    let out = ask(&tasks[0], machine_address(9), 7000).unwrap();
    assert_eq!(
        out, "outside 192.168.77.1",
        "a task's own connections go out by its node"
    );

    // Drain through a node without a replica.
    let mut open = loop {
        let mut stream = connect(&client, machine_address(3), 8080).unwrap();
        if ask_on(&mut stream).unwrap().starts_with("t10") {
            break stream;
        }
    };
    say(&[ingress(11)]);
    for _ in 0..20 {
        assert!(ask(&client, machine_address(3), 8080).unwrap().starts_with("t11"));
    }
    assert!(ask_on(&mut open).unwrap().starts_with("t10"));
    say(&[]);
    let refused = connect(&client, machine_address(3), 8080).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);

    for node in &nodes {
        node.host().purge().unwrap();
        let links = Links::open(&node.netns).unwrap().list().unwrap();
        let names: BTreeSet<_> = links.iter().map(|l| l.name.as_str()).collect();
        assert_eq!(names, BTreeSet::from(["lo", "uplink"]), "nothing is left");
    }
}
