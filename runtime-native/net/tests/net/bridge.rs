//! Bridge networks: published ports from everywhere, isolation, and nothing left behind.

use crate::common::*;
use creel_net::link::Links;
use creel_net::{Kind, Protocol};
use std::net::Ipv4Addr;

#[test]
fn a_published_port_is_reached_from_everywhere() {
    let world = World::new();
    let client = world.machine(9);
    let node = world.node(1);
    let host = node.host();
    host.create_bridge(bridge("net-a", 1)).unwrap();
    host.create_bridge(bridge("net-b", 2)).unwrap();
    let web = node.sandbox("web");
    let mut e = endpoint("web", "net-a", "eth0", Ipv4Addr::new(172, 30, 1, 2));
    e.default_route = true;
    e.published = vec![
        publish(8080, 80, Protocol::Tcp),
        publish(5353, 53, Protocol::Udp),
        publish(0, 80, Protocol::Tcp),
    ];
    let e = host.connect(e).unwrap();
    let chosen = e.published[2].host_port;
    assert!(chosen > 0);
    serve_tcp(&web, 80, "web");
    serve_udp(&web, 53, "dns");

    assert_eq!(
        ask(&client, node.address, 8080).unwrap(),
        "web 192.168.77.9",
        "from outside"
    );
    assert_eq!(
        ask(&client, node.address, chosen).unwrap(),
        "web 192.168.77.9",
        "on a chosen port"
    );
    assert_eq!(
        ask_udp(&client, node.address, 5353).unwrap(),
        "dns 192.168.77.9",
        "datagrams"
    );
    assert_eq!(
        ask(&node.netns, node.address, 8080).unwrap(),
        "web 192.168.77.1",
        "from the node itself"
    );
    assert_eq!(
        ask(&node.netns, Ipv4Addr::LOCALHOST, 8080).unwrap(),
        "web 172.30.1.1",
        "by loopback"
    );

    let near = node.sandbox("near");
    let mut n = endpoint("near", "net-a", "eth0", Ipv4Addr::new(172, 30, 1, 3));
    n.default_route = true;
    host.connect(n).unwrap();
    assert_eq!(
        ask(&near, Ipv4Addr::new(172, 30, 1, 2), 80).unwrap(),
        "web 172.30.1.3",
        "neighbour"
    );
    assert!(
        ask(&near, node.address, 8080).unwrap().starts_with("web "),
        "hairpin, same bridge"
    );
    assert!(
        ask(&web, node.address, 8080).unwrap().starts_with("web "),
        "hairpin to itself"
    );

    let far = node.sandbox("far");
    let mut f = endpoint("far", "net-b", "eth0", Ipv4Addr::new(172, 30, 2, 2));
    f.default_route = true;
    host.connect(f).unwrap();
    assert!(
        ask(&far, node.address, 8080).unwrap().starts_with("web "),
        "hairpin, other bridge"
    );
    assert!(
        is_closed(&far, Ipv4Addr::new(172, 30, 1, 2), 80),
        "bridges are apart"
    );

    serve_tcp(&client, 7000, "outside");
    let out = ask(&far, machine_address(9), 7000).unwrap();
    assert_eq!(out, "outside 192.168.77.1", "what leaves has the node's address");

    host.disconnect("web", "net-a").unwrap();
    assert!(is_closed(&client, node.address, 8080), "closed with its endpoint");
}

#[test]
fn conflicts_are_refused_by_kind() {
    let world = World::new();
    let node = world.node(1);
    let host = node.host();
    host.create_bridge(bridge("net-a", 1)).unwrap();
    host.create_bridge(bridge("net-a", 1)).unwrap();
    assert_eq!(
        host.create_bridge(bridge("net-c", 1)).unwrap_err().kind,
        Kind::Conflict,
        "same subnet"
    );
    let (a, b) = (node.sandbox("a"), node.sandbox("b"));
    let mut e = endpoint("a", "net-a", "eth0", Ipv4Addr::new(172, 30, 1, 2));
    e.published = vec![publish(8080, 80, Protocol::Tcp)];
    host.connect(e.clone()).unwrap();
    e.sandbox = "b".into();
    assert_eq!(
        host.connect(e.clone()).unwrap_err().kind,
        Kind::Conflict,
        "same address"
    );
    e.address = Ipv4Addr::new(172, 30, 1, 3);
    assert_eq!(
        host.connect(e.clone()).unwrap_err().kind,
        Kind::PortInUse,
        "same port"
    );
    e.published.clear();
    host.connect(e.clone()).unwrap();
    assert_eq!(host.remove_network("net-a").unwrap_err().kind, Kind::InUse);
    e.network_id = "nowhere".into();
    assert_eq!(host.connect(e).unwrap_err().kind, Kind::NotFound);
    drop((a, b));
}

#[test]
fn without_icc_neighbours_are_strangers_and_internal_networks_have_no_way_out() {
    let world = World::new();
    let client = world.machine(9);
    let node = world.node(1);
    let mut apart = bridge("apart", 1);
    apart.icc = false;
    let mut inner = bridge("inner", 2);
    inner.internal = true;
    node.host().create_bridge(apart).unwrap();
    node.host().create_bridge(inner).unwrap();
    let boxes: Vec<_> = [
        ("a", "apart", 1, 2),
        ("b", "apart", 1, 3),
        ("c", "inner", 2, 2),
        ("d", "inner", 2, 3),
    ]
    .into_iter()
    .map(|(id, net, third, fourth)| {
        let netns = node.sandbox(id);
        let address = Ipv4Addr::new(172, 30, third, fourth);
        node.host().connect(endpoint(id, net, "eth0", address)).unwrap();
        serve_tcp(&netns, 80, id);
        netns
    })
    .collect();
    assert!(is_closed(&boxes[0], Ipv4Addr::new(172, 30, 1, 3), 80));
    assert!(
        ask(&node.netns, Ipv4Addr::new(172, 30, 1, 3), 80)
            .unwrap()
            .starts_with("b ")
    );
    assert!(
        ask(&boxes[2], Ipv4Addr::new(172, 30, 2, 3), 80)
            .unwrap()
            .starts_with("d ")
    );
    serve_tcp(&client, 7000, "outside");
    assert!(is_closed(&boxes[2], machine_address(9), 7000));
}

#[test]
fn a_restart_disturbs_nothing_and_an_end_leaves_nothing() {
    let world = World::new();
    let client = world.machine(9);
    let mut node = world.node(1);
    node.host().create_bridge(bridge("net-a", 1)).unwrap();
    let web = node.sandbox("web");
    let mut e = endpoint("web", "net-a", "eth0", Ipv4Addr::new(172, 30, 1, 2));
    e.default_route = true;
    e.published = vec![publish(8080, 80, Protocol::Tcp)];
    node.host().connect(e).unwrap();
    serve_tcp(&web, 80, "web");
    let mut open = connect(&client, node.address, 8080).unwrap();
    assert!(ask_on(&mut open).is_ok());

    node.host = None;
    assert!(ask_on(&mut open).is_ok(), "without the engine");
    std::fs::write(node.root().join("sandboxes/cut-short.new"), "{").unwrap();
    node.open();
    assert!(ask_on(&mut open).is_ok(), "after its return");
    assert!(ask(&client, node.address, 8080).is_ok(), "new connections too");
    assert_eq!(node.host().sandboxes(), ["web"]);
    assert_eq!(node.host().endpoints("web").unwrap().len(), 1);

    drop(web);
    node.host().purge().unwrap();
    let links = Links::open(&node.netns).unwrap().list().unwrap();
    let mut names: Vec<_> = links.iter().map(|l| l.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["lo", "uplink"]);
    for folder in ["netns", "overlays", "networks", "sandboxes"] {
        assert_eq!(
            std::fs::read_dir(node.root().join(folder)).unwrap().count(),
            0,
            "{folder}"
        );
    }
}

#[test]
fn a_client_that_keeps_sending_finds_the_next_container() {
    let world = World::new();
    let client = world.machine(9);
    let node = world.node(1);
    node.host().create_bridge(bridge("net-a", 1)).unwrap();
    let start = |id: &str, n| {
        let netns = node.sandbox(id);
        let mut e = endpoint(id, "net-a", "eth0", Ipv4Addr::new(172, 30, 1, n));
        e.default_route = true;
        e.published = vec![publish(5353, 53, Protocol::Udp)];
        node.host().connect(e).unwrap();
        serve_udp(&netns, 53, id);
    };
    let socket = client
        .run(|| std::net::UdpSocket::bind("0.0.0.0:0"))
        .unwrap()
        .unwrap();
    socket.connect((node.address, 5353)).unwrap();
    socket
        .set_read_timeout(Some(std::time::Duration::from_millis(100)))
        .unwrap();
    let mut buffer = [0u8; 64];
    // answers of the one before may still be on their way
    let mut finds = |id: &str| {
        (0..100).any(|_| {
            let _ = socket.send(b"?");
            let answer = socket.recv(&mut buffer);
            answer.is_ok_and(|n| buffer[..n].starts_with(id.as_bytes()))
        })
    };
    start("first", 2);
    assert!(finds("first "));
    node.host().delete_sandboxes(&["first".into()]).unwrap();
    start("second", 3);
    assert!(finds("second "));
}

#[test]
fn the_default_route_goes_to_the_next_endpoint() {
    let world = World::new();
    let outside = world.machine(9);
    let node = world.node(1);
    node.host().create_bridge(bridge("net-a", 1)).unwrap();
    node.host().create_bridge(bridge("net-b", 2)).unwrap();
    serve_tcp(&outside, 7000, "outside");
    let web = node.sandbox("web");
    let mut e = endpoint("web", "net-a", "eth0", Ipv4Addr::new(172, 30, 1, 2));
    e.default_route = true;
    node.host().connect(e).unwrap();
    node.host()
        .connect(endpoint("web", "net-b", "eth1", Ipv4Addr::new(172, 30, 2, 2)))
        .unwrap();
    assert!(ask(&web, machine_address(9), 7000).is_ok());
    node.host().disconnect("web", "net-a").unwrap();
    assert!(ask(&web, machine_address(9), 7000).is_ok());
    assert!(node.host().endpoints("web").unwrap()[0].default_route);
}
