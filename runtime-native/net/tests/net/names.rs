//! Names inside sandboxes, on sockets as a container's libc uses them.

use crate::common::*;
use creel_net::netns::Netns;
use creel_net::{Backend, Balancer, Update};
use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::str::FromStr;

const RESOLVER: (Ipv4Addr, u16) = (Ipv4Addr::new(127, 0, 0, 11), 53);

fn question(name: &str, kind: RecordType) -> Vec<u8> {
    let mut message = Message::new(4711, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_str(name).unwrap(), kind));
    message.to_vec().unwrap()
}

fn resolve(netns: &Netns, name: &str, kind: RecordType) -> Message {
    let socket = netns.run(|| UdpSocket::bind("127.0.0.1:0")).unwrap().unwrap();
    socket.set_read_timeout(Some(WAIT)).unwrap();
    socket.connect(RESOLVER).unwrap();
    socket.send(&question(name, kind)).unwrap();
    let mut buffer = [0u8; 4096];
    let n = socket.recv(&mut buffer).unwrap();
    Message::from_vec(&buffer[..n]).unwrap()
}

fn resolve_by_tcp(netns: &Netns, name: &str, kind: RecordType) -> Message {
    let to = SocketAddr::new(RESOLVER.0.into(), RESOLVER.1);
    let mut stream = netns
        .run(|| TcpStream::connect_timeout(&to, WAIT))
        .unwrap()
        .unwrap();
    stream.set_read_timeout(Some(WAIT)).unwrap();
    let question = question(name, kind);
    stream.write_all(&(question.len() as u16).to_be_bytes()).unwrap();
    stream.write_all(&question).unwrap();
    let mut length = [0u8; 2];
    stream.read_exact(&mut length).unwrap();
    let mut answer = vec![0u8; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut answer).unwrap();
    Message::from_vec(&answer).unwrap()
}

fn addresses(message: &Message) -> Vec<Ipv4Addr> {
    assert_eq!(message.metadata.response_code, ResponseCode::NoError);
    assert_eq!(message.metadata.id, 4711);
    let mut found: Vec<_> = message
        .answers
        .iter()
        .filter_map(|r| match r.data {
            RData::A(A(address)) => Some(address),
            _ => None,
        })
        .collect();
    found.sort_unstable();
    found
}

/// A resolver outside, that says 203.0.113.7 to everything.
fn outside(netns: &Netns) {
    let socket = netns.run(|| UdpSocket::bind("127.0.0.1:53")).unwrap().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0u8; 4096];
        while let Ok((n, from)) = socket.recv_from(&mut buffer) {
            let asked = Message::from_vec(&buffer[..n]).unwrap();
            let mut answer = Message::response(asked.metadata.id, OpCode::Query);
            let name = asked.queries[0].name.clone();
            answer.add_queries(asked.queries);
            answer.add_answer(Record::from_rdata(
                name,
                60,
                RData::A(A(Ipv4Addr::new(203, 0, 113, 7))),
            ));
            let _ = socket.send_to(&answer.to_vec().unwrap(), from);
        }
    });
}

#[test]
fn containers_find_each_other_and_the_world() {
    let world = World::new();
    let mut node = world.node(1);
    node.host().create_bridge(bridge("net-a", 1)).unwrap();
    node.host().create_bridge(bridge("net-b", 2)).unwrap();
    let db = Ipv4Addr::new(172, 30, 1, 2);
    let asker = node.sandbox("asker");
    let _db = node.sandbox("db");
    let far = node.sandbox("far");
    let mut e = endpoint("db", "net-a", "eth0", db);
    e.dns_names = vec!["db-1".into(), "db".into()];
    node.host().connect(e).unwrap();
    let mut e = endpoint("asker", "net-a", "eth0", Ipv4Addr::new(172, 30, 1, 3));
    e.default_route = true;
    node.host().connect(e).unwrap();
    node.host()
        .connect(endpoint("far", "net-b", "eth0", Ipv4Addr::new(172, 30, 2, 2)))
        .unwrap();

    assert_eq!(addresses(&resolve(&asker, "db.", RecordType::A)), [db]);
    assert_eq!(addresses(&resolve(&asker, "DB-1.", RecordType::A)), [db]);
    assert_eq!(addresses(&resolve_by_tcp(&asker, "db.", RecordType::A)), [db]);
    let six = resolve(&asker, "db.", RecordType::AAAA);
    assert_eq!(
        (six.metadata.response_code, six.answers.len()),
        (ResponseCode::NoError, 0)
    );
    let back = resolve(&asker, "2.1.30.172.in-addr.arpa.", RecordType::PTR);
    assert_eq!(back.answers[0].data.to_string(), "db-1.");
    let unseen = resolve(&far, "db.", RecordType::A);
    assert_eq!(
        unseen.metadata.response_code,
        ResponseCode::NXDomain,
        "other networks' names are not seen"
    );

    let nobody = resolve(&asker, "example.org.", RecordType::A);
    assert_eq!(
        nobody.metadata.response_code,
        ResponseCode::ServFail,
        "nobody outside answers"
    );
    // The silent resolver is left alone for a while; a new engine knows nothing of that.
    outside(&node.netns);
    node.host = None;
    node.open();
    assert_eq!(
        addresses(&resolve(&asker, "example.org.", RecordType::A)),
        [Ipv4Addr::new(203, 0, 113, 7)]
    );
    assert_eq!(
        addresses(&resolve(&asker, "db.", RecordType::A)),
        [db],
        "after a restart"
    );

    // Port 53 stays the container's own.
    let own = asker.run(|| {
        (
            UdpSocket::bind("0.0.0.0:53").is_ok(),
            TcpListener::bind("0.0.0.0:53").is_ok(),
        )
    });
    assert_eq!(own.unwrap(), (true, true));

    node.host()
        .set_endpoint_names("db", "net-a", vec!["store".into()])
        .unwrap();
    assert_eq!(addresses(&resolve(&asker, "store.", RecordType::A)), [db]);
    node.host().delete_sandboxes(&["db".into()]).unwrap();
    let gone = resolve(&asker, "store.", RecordType::A);
    assert_ne!(addresses(&gone), [db]);
}

#[test]
fn services_have_names_for_the_whole_and_for_their_tasks() {
    let world = World::new();
    let node = world.node(1);
    node.host().create_overlay(overlay("user", 4097)).unwrap();
    let asker = node.sandbox("asker");
    node.host()
        .connect(endpoint("asker", "user", "eth0", Ipv4Addr::new(10, 20, 0, 2)))
        .unwrap();
    let all: Vec<_> = (0..100).map(|n| Ipv4Addr::new(10, 20, 0, 100 + n)).collect();
    let vip = Ipv4Addr::new(10, 20, 0, 5);
    let named = |n: usize| Backend {
        address: all[n],
        names: vec![format!("web.{}", n + 1)],
    };
    let service = |id: &str, vip, n| Balancer {
        id: id.into(),
        vip,
        names: vec![id.into()],
        backends: (0..n).map(named).collect(),
        ports: vec![],
    };
    let update = Update {
        set: vec![service("web", Some(vip), 100), service("rr", None, 3)],
        ..Update::default()
    };
    node.host().apply("user", update).unwrap();

    assert_eq!(addresses(&resolve(&asker, "web.", RecordType::A)), [vip]);
    assert_eq!(addresses(&resolve(&asker, "web.7.", RecordType::A)), [all[6]]);
    assert_eq!(addresses(&resolve(&asker, "rr.", RecordType::A)), all[..3]);
    assert_eq!(addresses(&resolve(&asker, "tasks.rr.", RecordType::A)), all[..3]);
    let first = |_| resolve(&asker, "rr.", RecordType::A).answers[0].data.to_string();
    let firsts: std::collections::BTreeSet<_> = (0..6).map(first).collect();
    assert_eq!(firsts.len(), 3, "in turn");
    let cut = resolve(&asker, "tasks.web.", RecordType::A);
    assert!(cut.metadata.truncation && !cut.answers.is_empty() && cut.to_vec().unwrap().len() <= 512);
    assert_eq!(
        addresses(&resolve_by_tcp(&asker, "tasks.web.", RecordType::A)),
        all
    );
}
