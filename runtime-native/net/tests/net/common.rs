//! A little world on a real kernel: nodes and a client, each a namespace on one switch. It leaves nothing.

use creel_net::link::{Links, Peer as LinkPeer};
use creel_net::netns::Netns;
use creel_net::{BridgeSpec, Endpoint, Host, HostConfig, Mac, OverlaySpec, Peer, Protocol, PublishedPort};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// For an answer that must come.
pub const WAIT: Duration = Duration::from_secs(30);
/// For one that must not: longer than it takes until a lost packet is sent again.
const SILENCE: Duration = Duration::from_secs(2);
static WORLDS: AtomicU32 = AtomicU32::new(0);

pub struct World {
    switch: Netns,
    lan: u32,
    pub root: PathBuf,
}

pub struct Node {
    pub netns: Netns,
    pub address: Ipv4Addr,
    pub host: Option<Host>,
    root: PathBuf,
}

impl World {
    pub fn new() -> Self {
        let root = std::env::temp_dir().join(format!(
            "creel-net-{}-{}",
            std::process::id(),
            WORLDS.fetch_add(1, Ordering::Relaxed)
        ));
        let switch = Netns::anonymous().unwrap();
        let mut links = Links::open(&switch).unwrap();
        let lan = links.add_bridge("lan", None, 0).unwrap();
        links.set_up(lan).unwrap();
        Self { switch, lan, root }
    }

    /// A machine on the switch, without Creel.
    pub fn machine(&self, n: u8) -> Netns {
        let netns = Netns::anonymous().unwrap();
        let mut inside = Links::open(&netns).unwrap();
        let mut links = Links::open(&self.switch).unwrap();
        let peer = LinkPeer {
            netns: &netns,
            name: "uplink",
            mac: None,
        };
        let port = links.add_veth(&format!("p{n}"), 0, &peer).unwrap();
        links.attach(port, self.lan).unwrap();
        for name in ["lo", "uplink"] {
            let index = inside.index(name).unwrap();
            if name == "uplink" {
                inside.add_address(index, machine_address(n).into(), 24).unwrap();
            }
            inside.set_up(index).unwrap();
        }
        netns
    }

    /// A machine with Creel's network layer open on it.
    pub fn node(&self, n: u8) -> Node {
        let root = self.root.join(format!("node{n}"));
        std::fs::create_dir_all(&root).unwrap();
        let mut node = Node {
            netns: self.machine(n),
            address: machine_address(n),
            host: None,
            root,
        };
        node.open();
        node
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

impl Node {
    pub fn open(&mut self) {
        let config = HostConfig {
            exec_root: self.root.clone(),
            underlay: Some(self.address),
            vxlan_port: 0,
            resolvers: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
        };
        self.host = Some(self.netns.run(|| Host::open(config)).unwrap().unwrap());
    }

    pub fn host(&self) -> &Host {
        self.host.as_ref().expect("the node is open")
    }

    pub fn sandbox(&self, id: &str) -> Netns {
        Netns::open(&self.host().create_sandbox(id, &[], None).unwrap()).unwrap()
    }

    pub fn root(&self) -> &Path {
        &self.root
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if self.host.is_none() {
            self.open();
        }
        let purged = self.host().purge();
        if !std::thread::panicking() {
            purged.unwrap();
        }
    }
}

pub fn machine_address(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 168, 77, n)
}

pub fn bridge(id: &str, third: u8) -> BridgeSpec {
    BridgeSpec {
        network_id: id.into(),
        name: String::new(),
        subnet: format!("172.30.{third}.0/24").parse().unwrap(),
        gateway: Ipv4Addr::new(172, 30, third, 1),
        mtu: 0,
        internal: false,
        icc: true,
        masquerade: true,
    }
}

pub fn overlay(id: &str, vni: u32) -> OverlaySpec {
    OverlaySpec {
        network_id: id.into(),
        vni,
        subnet: "10.20.0.0/24".parse().unwrap(),
        mtu: 0,
        ingress: false,
        node_address: None,
    }
}

pub fn endpoint(sandbox: &str, network: &str, ifname: &str, address: Ipv4Addr) -> Endpoint {
    Endpoint {
        sandbox: sandbox.into(),
        network_id: network.into(),
        ifname: ifname.into(),
        address,
        mac: None,
        default_route: false,
        published: Vec::new(),
        dns_names: Vec::new(),
    }
}

pub fn publish(host_port: u16, container_port: u16, protocol: Protocol) -> PublishedPort {
    PublishedPort {
        host_ip: None,
        host_port,
        host_port_end: 0,
        container_port,
        protocol,
    }
}

pub fn peer(address: Ipv4Addr, vtep: Ipv4Addr, node: bool) -> Peer {
    Peer {
        address,
        mac: Mac::derived(address),
        vtep,
        node,
    }
}

/// Answers each TCP connection with `tag` and the client's address; a line sent is answered with a line.
pub fn serve_tcp(netns: &Netns, port: u16, tag: &str) {
    let listener = netns
        .run(|| TcpListener::bind(("0.0.0.0", port)))
        .unwrap()
        .unwrap();
    let tag = tag.to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let tag = tag.clone();
            std::thread::spawn(move || answer(stream, &tag));
        }
    });
}

fn answer(mut stream: TcpStream, tag: &str) {
    let Ok(client) = stream.peer_addr() else { return };
    let mut byte = [0u8; 1];
    while stream.read_exact(&mut byte).is_ok() {
        if stream
            .write_all(format!("{tag} {}\n", client.ip()).as_bytes())
            .is_err()
        {
            return;
        }
    }
}

/// The same for datagrams.
pub fn serve_udp(netns: &Netns, port: u16, tag: &str) {
    let socket = netns.run(|| UdpSocket::bind(("0.0.0.0", port))).unwrap().unwrap();
    let tag = tag.to_string();
    std::thread::spawn(move || {
        let mut buffer = [0u8; 64];
        while let Ok((_, client)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(format!("{tag} {}\n", client.ip()).as_bytes(), client);
        }
    });
}

/// Connects from inside a namespace.
pub fn connect(netns: &Netns, ip: Ipv4Addr, port: u16) -> std::io::Result<TcpStream> {
    let stream = netns
        .run(|| TcpStream::connect_timeout(&SocketAddr::new(ip.into(), port), WAIT))
        .unwrap()?;
    stream.set_read_timeout(Some(WAIT))?;
    Ok(stream)
}

/// Whether nobody can be connected to there.
pub fn is_closed(netns: &Netns, ip: Ipv4Addr, port: u16) -> bool {
    netns
        .run(|| TcpStream::connect_timeout(&SocketAddr::new(ip.into(), port), SILENCE))
        .unwrap()
        .is_err()
}

/// Asks once on an open connection: the server's tag and the address it sees.
pub fn ask_on(stream: &mut TcpStream) -> std::io::Result<String> {
    stream.write_all(b"?")?;
    let mut line = Vec::new();
    let mut byte = [0u8; 1];
    loop {
        stream.read_exact(&mut byte)?;
        if byte[0] == b'\n' {
            return Ok(String::from_utf8_lossy(&line).into_owned());
        }
        line.push(byte[0]);
    }
}

pub fn ask(netns: &Netns, ip: Ipv4Addr, port: u16) -> std::io::Result<String> {
    ask_on(&mut connect(netns, ip, port)?)
}

pub fn ask_udp(netns: &Netns, ip: Ipv4Addr, port: u16) -> std::io::Result<String> {
    let socket = netns.run(|| UdpSocket::bind("0.0.0.0:0")).unwrap()?;
    socket.set_read_timeout(Some(WAIT))?;
    socket.connect((ip, port))?;
    socket.send(b"?")?;
    let mut buffer = [0u8; 64];
    let n = socket.recv(&mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..n]).trim().to_string())
}

/// Sends back what it gets.
pub fn serve_echo(netns: &Netns, port: u16) {
    let listener = netns
        .run(|| TcpListener::bind(("0.0.0.0", port)))
        .unwrap()
        .unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || std::io::copy(&mut &stream, &mut &stream));
        }
    });
}

/// Sends this many bytes to an echo and reads them back.
pub fn echo_bulk(netns: &Netns, ip: Ipv4Addr, port: u16, bytes: usize) -> std::io::Result<()> {
    let mut stream = connect(netns, ip, port)?;
    stream.set_write_timeout(Some(WAIT))?;
    let mut writer = stream.try_clone()?;
    let sent = std::thread::spawn(move || writer.write_all(&vec![7u8; bytes]));
    let mut back = vec![0u8; bytes];
    stream.read_exact(&mut back)?;
    sent.join().expect("the writer ends")?;
    if back.iter().all(|b| *b == 7) {
        Ok(())
    } else {
        Err(std::io::ErrorKind::InvalidData.into())
    }
}
