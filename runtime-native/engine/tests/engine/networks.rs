//! Published ports, names, networks that come and go.

use creel_engine::proto::{self, ContainerSpec, Network, NetworkAttachment, PortBinding};

use crate::host::fetch;
use crate::requests::{assert_code, spec};
use crate::test_engine::TestEngine;

fn published(host_port: u32) -> ContainerSpec {
    let port = PortBinding {
        host_port,
        container_port: 80,
        ..Default::default()
    };
    ContainerSpec {
        ports: vec![port],
        ..spec(&["serve", "80"])
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_published_port_leads_to_its_container() {
    let engine = TestEngine::start().await;
    let id = engine.create("web", published(8080)).await.unwrap();
    engine.start_container("web").await.unwrap();
    engine.printed("web", "listening").await;
    let answer = engine.in_network(|| fetch("127.0.0.1:8080")).unwrap();
    assert!(answer.starts_with(&id[..12]), "{answer}");
    engine.create("second", published(8080)).await.unwrap();
    let error = engine.start_container("second").await.unwrap_err();
    assert_code(&error, "port_taken");
    let text = error.message();
    assert!(
        text.starts_with(
            "failed to set up container networking: driver failed programming external connectivity"
        ),
        "{text}"
    );
    assert!(
        text.ends_with("Bind for 0.0.0.0:8080 failed: port is already allocated"),
        "{text}"
    );
    // The port is free for another as soon as the first is gone.
    engine.remove("web").await.unwrap();
    engine.start_container("second").await.unwrap();
    engine.printed("second", "listening").await;
    engine.in_network(|| fetch("127.0.0.1:8080")).unwrap();
    engine.remove("second").await.unwrap();
    let taken = engine.in_network(|| std::net::TcpListener::bind("0.0.0.0:8081").unwrap());
    engine.create("third", published(8081)).await.unwrap();
    assert_code(&engine.start_container("third").await.unwrap_err(), "port_taken");
    drop(taken);
    engine.start_container("third").await.unwrap();
    let any = engine.create("any", published(0)).await.unwrap();
    engine.start_container(&any).await.unwrap();
    engine.printed(&any, "listening").await;
    let port = engine.inspect(&any).await.unwrap().ports[0].host_port;
    assert!(
        engine
            .in_network(|| fetch(&format!("127.0.0.1:{port}")))
            .unwrap()
            .starts_with(&any[..12])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_resolve_on_networks_of_ones_own() {
    let engine = TestEngine::start().await;
    let network = Network {
        name: "inner".into(),
        subnet: "10.77.0.0/24".into(),
        ..Default::default()
    };
    let made = engine
        .networks()
        .create(network.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (made.gateway.as_str(), made.driver.as_str()),
        ("10.77.0.1", "bridge")
    );
    assert_code(
        &engine.networks().create(network).await.unwrap_err(),
        "network_name_taken",
    );
    let on = |alias: &str| NetworkAttachment {
        network: "inner".into(),
        aliases: vec![alias.into()],
        ..Default::default()
    };
    let served = ContainerSpec {
        networks: vec![on("db")],
        ..spec(&["serve", "80"])
    };
    engine.create("server", served).await.unwrap();
    engine.start_container("server").await.unwrap();
    let address = engine.inspect("server").await.unwrap().endpoints[0]
        .address
        .clone();
    for name in ["server", "db"] {
        let asking = ContainerSpec {
            networks: vec![on("asker")],
            ..spec(&["resolve", name])
        };
        assert_eq!(engine.run(asking).await, (0, format!("{address}\n")), "{name}");
    }
    // A container on the default bridge joins later.
    engine.create("late", spec(&["sleep", "600"])).await.unwrap();
    engine.start_container("late").await.unwrap();
    let connect = proto::ConnectRequest {
        network: "inner".into(),
        container_id: "late".into(),
        ..Default::default()
    };
    let endpoint = engine
        .networks()
        .connect(connect.clone())
        .await
        .unwrap()
        .into_inner();
    assert!(endpoint.address.starts_with("10.77.0."));
    assert_code(&engine.networks().connect(connect).await.unwrap_err(), "conflict");
    let asking = ContainerSpec {
        networks: vec![on("asker")],
        ..spec(&["resolve", "late"])
    };
    assert_eq!(engine.run(asking).await, (0, format!("{}\n", endpoint.address)));
    let inspected = engine
        .networks()
        .inspect(proto::NetworkRef { id: "inner".into() })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(inspected.endpoints.len(), 2);
    let remove = proto::NetworkRef { id: "inner".into() };
    assert_code(
        &engine.networks().remove(remove.clone()).await.unwrap_err(),
        "network_in_use",
    );
    let disconnect = proto::DisconnectRequest {
        network: "inner".into(),
        container_id: "late".into(),
        force: false,
    };
    engine.networks().disconnect(disconnect).await.unwrap();
    engine.remove("server").await.unwrap();
    engine.networks().remove(remove).await.unwrap();
    assert_eq!(engine.status("late").await, "running");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_on_an_overlay_alone_has_a_way_out() {
    let engine = TestEngine::start().await;
    let overlay = Network {
        id: "abcdefghijklmnopqrstuvwxy".into(),
        name: "mesh".into(),
        driver: "overlay".into(),
        subnet: "10.0.1.0/24".into(),
        gateway: "10.0.1.1".into(),
        vni: 4097,
        ..Default::default()
    };
    engine.networks().create(overlay.clone()).await.unwrap();
    engine.networks().create(overlay).await.unwrap();
    let on = NetworkAttachment {
        network: "mesh".into(),
        address: "10.0.1.5".into(),
        ..Default::default()
    };
    let task = ContainerSpec {
        networks: vec![on],
        ..published(9000)
    };
    let id = engine.create("task", task).await.unwrap();
    engine.start_container("task").await.unwrap();
    engine.printed("task", "listening").await;
    let shown = engine.inspect("task").await.unwrap();
    assert_eq!(
        (shown.endpoints.len(), shown.endpoints[0].address.as_str()),
        (1, "10.0.1.5")
    );
    // A port published on the node itself arrives by the gateway bridge.
    assert!(
        engine
            .in_network(|| fetch("127.0.0.1:9000"))
            .unwrap()
            .starts_with(&id[..12])
    );
    engine.remove("task").await.unwrap();
    engine
        .networks()
        .remove(proto::NetworkRef { id: "mesh".into() })
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_data_path_is_told_at_run_time_and_kept() {
    let mut engine = TestEngine::start().await;
    engine.kill();
    engine.data_path = None;
    engine.spawn().await;
    let path = |addr: &str, port| proto::DataPath {
        addr: addr.into(),
        port,
    };
    for wrong in [path("", 0), path("0.0.0.0", 0), path("127.0.0.1", 70_000)] {
        let refused = engine.networks().set_data_path(wrong).await.unwrap_err();
        assert_code(&refused, "invalid_parameter");
    }
    engine
        .networks()
        .set_data_path(path("127.0.0.9", 0))
        .await
        .unwrap();
    engine
        .networks()
        .set_data_path(path("127.0.0.1", 4790))
        .await
        .unwrap();
    let overlay = |id: &str, vni| Network {
        id: id.into(),
        name: id.into(),
        driver: "overlay".into(),
        subnet: format!("10.{}.0.0/24", vni % 200),
        vni,
        ..Default::default()
    };
    engine.networks().create(overlay("first", 4097)).await.unwrap();
    let again = engine.networks().set_data_path(path("127.0.0.1", 4790)).await;
    assert!(again.is_ok(), "the same is no change: {again:?}");
    for other in [path("127.0.0.2", 4790), path("127.0.0.1", 4789)] {
        let refused = engine.networks().set_data_path(other).await.unwrap_err();
        assert_code(&refused, "network_in_use");
    }
    // Neither a crash nor a boot makes it forget.
    engine.kill();
    engine.spawn().await;
    engine.reboot(false).await;
    let same = engine.networks().set_data_path(path("127.0.0.1", 4790)).await;
    assert!(same.is_ok(), "{same:?}");
    let refused = engine.networks().set_data_path(path("127.0.0.1", 4789)).await;
    assert_code(&refused.unwrap_err(), "network_in_use");
}
