//! How long the things take that stand between a request and a running container.

#[path = "../tests/net/common.rs"]
#[allow(dead_code)]
mod common;

use common::*;
use creel_net::{Backend, Balancer, Protocol, Update};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

const SANDBOXES: u8 = 100;
const ON_OVERLAY: u8 = 20;

fn timed<T>(times: &mut Vec<Duration>, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let value = work();
    times.push(start.elapsed());
    value
}

fn print(what: &str, times: &mut [Duration]) {
    times.sort();
    println!(
        "{what}: median {:?}, most {:?}",
        times[times.len() / 2],
        times[times.len() - 1]
    );
}

fn balancer(backends: u8) -> Update {
    let backend = |n| Backend {
        address: Ipv4Addr::new(10, 20, 0, 10 + n),
        names: vec![],
    };
    let balancer = Balancer {
        id: "web".into(),
        vip: Some(Ipv4Addr::new(10, 20, 0, 200)),
        names: vec!["web".into()],
        backends: (0..backends).map(backend).collect(),
        ports: vec![],
    };
    Update {
        set: vec![balancer],
        ..Update::default()
    }
}

fn main() {
    let world = World::new();
    let node = world.node(1);
    let host = node.host();
    host.create_bridge(bridge("bridge", 1)).unwrap();
    host.create_overlay(overlay("overlay", 4097)).unwrap();
    let (mut made, mut connected, mut applied) = (vec![], vec![], vec![]);
    let id = |n: u8| format!("s{n}");
    for n in 0..SANDBOXES {
        timed(&mut made, || host.create_sandbox(&id(n), &[], None).unwrap());
        let mut e = endpoint(&id(n), "bridge", "eth0", Ipv4Addr::new(172, 30, 1, 10 + n));
        e.default_route = true;
        e.published = vec![publish(0, 80, Protocol::Tcp)];
        timed(&mut connected, || host.connect(e).unwrap());
        if n < ON_OVERLAY {
            let e = endpoint(&id(n), "overlay", "eth1", Ipv4Addr::new(10, 20, 0, 10 + n));
            host.connect(e).unwrap();
        }
    }
    print("make a sandbox", &mut made);
    print("connect it, with a published port", &mut connected);
    for n in 0..40 {
        timed(&mut applied, || {
            host.apply("overlay", balancer(10 + n % 2)).unwrap()
        });
    }
    print(
        &format!("change a virtual address in {ON_OVERLAY} sandboxes"),
        &mut applied,
    );
    let (mut one, mut many) = (vec![], vec![]);
    timed(&mut one, || host.delete_sandboxes(&[id(0)]).unwrap());
    print("delete a sandbox", &mut one);
    let rest: Vec<_> = (1..SANDBOXES).map(id).collect();
    timed(&mut many, || host.delete_sandboxes(&rest).unwrap());
    print(&format!("delete {} sandboxes", rest.len()), &mut many);
}
