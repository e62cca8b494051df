//! The engine goes, in good order or not, and containers go on.

use std::time::Duration;

use creel_engine::proto::{self, ContainerSpec, PortBinding};

use crate::host::fetch;
use crate::requests::{spec, until};
use crate::test_engine::{LIMIT, TestEngine};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn containers_outlive_a_killed_engine() {
    let mut engine = TestEngine::start().await;
    let port = PortBinding {
        host_port: 8080,
        container_port: 80,
        ..Default::default()
    };
    let served = ContainerSpec {
        ports: vec![port],
        ..spec(&["serve", "80"])
    };
    engine.create("web", served).await.unwrap();
    engine.start_container("web").await.unwrap();
    engine.printed("web", "listening").await;
    engine.create("short", spec(&["sleep", "2"])).await.unwrap();
    engine.start_container("short").await.unwrap();
    let kept = ContainerSpec {
        auto_remove: true,
        ..spec(&["sleep", "2"])
    };
    engine.create("gone", kept).await.unwrap();
    engine.start_container("gone").await.unwrap();
    let before = engine.inspect("web").await.unwrap();
    engine.kill();
    engine
        .in_network(|| fetch("127.0.0.1:8080"))
        .expect("it answers without the engine");
    tokio::time::sleep(Duration::from_secs(3)).await;
    engine.spawn().await;
    let after = engine.inspect("web").await.unwrap();
    assert_eq!(after.state, before.state);
    assert_eq!(after.endpoints, before.endpoints);
    assert_eq!(after.ports, before.ports);
    engine
        .in_network(|| fetch("127.0.0.1:8080"))
        .expect("it answers after the engine came back");
    let short = engine.inspect("short").await.unwrap().state.unwrap();
    assert_eq!((short.status.as_str(), short.exit_code), ("exited", 0));
    until("the auto-removed one goes", || async {
        engine.inspect("gone").await.is_err()
    })
    .await;
    engine.create("next", spec(&["sleep", "600"])).await.unwrap();
    engine.start_container("next").await.unwrap();
    assert_ne!(
        engine.inspect("next").await.unwrap().endpoints[0].address,
        after.endpoints[0].address
    );
    engine.stop("web", 10).await.unwrap();
    assert_eq!(engine.inspect("web").await.unwrap().state.unwrap().exit_code, 7);
    for name in ["web", "short", "next"] {
        engine.remove(name).await.unwrap();
    }
    engine.settled().await;
    assert_eq!(engine.leftovers(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn containers_go_on_while_the_programs_are_replaced() {
    let mut engine = TestEngine::start().await;
    let installed = tempfile::tempdir().unwrap();
    let built = std::mem::replace(&mut engine.programs, installed.path().to_owned());
    // Each time other files; from the second on their content differs, too.
    let mut times = 0;
    let mut install = || {
        for name in ["creel-engine", "creel-shim"] {
            let target = installed.path().join(name);
            let _ = std::fs::remove_file(&target);
            std::fs::copy(built.join(name), &target).unwrap();
            let mut file = std::fs::File::options().append(true).open(target).unwrap();
            std::io::Write::write_all(&mut file, &vec![b'x'; times]).unwrap();
        }
        times += 1;
    };
    engine.kill();
    install();
    engine.spawn().await;
    engine.create("steady", spec(&["sleep", "600"])).await.unwrap();
    engine.start_container("steady").await.unwrap();
    engine.create("talker", spec(&["stubborn"])).await.unwrap();
    engine.start_container("talker").await.unwrap();
    for _ in 0..2 {
        // The engine goes on for a while with its programs replaced.
        install();
        assert_eq!(
            engine.exec("steady", &["echo", "still"]).await.unwrap(),
            "still\n"
        );
        engine.kill();
        engine.spawn().await;
        assert_eq!(engine.exec("steady", &["echo", "here"]).await.unwrap(), "here\n");
        engine.printed("talker", "ignoring").await;
        assert_eq!(engine.run(spec(&["echo", "new"])).await, (0, "new\n".to_owned()));
    }
    engine.stop("talker", 0).await.unwrap();
    engine.stop("steady", 10).await.unwrap();
    assert_eq!(engine.status("steady").await, "exited");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_leaves_containers_alone() {
    let mut engine = TestEngine::start().await;
    engine.create("steady", spec(&["sleep", "600"])).await.unwrap();
    engine.start_container("steady").await.unwrap();
    let pid = engine.inspect("steady").await.unwrap().state.unwrap().pid;
    engine.engine().shutdown(proto::ShutdownRequest {}).await.unwrap();
    assert!(engine.wait());
    assert!(std::path::Path::new(&format!("/proc/{pid}")).exists());
    engine.spawn().await;
    assert_eq!(engine.inspect("steady").await.unwrap().state.unwrap().pid, pid);
    engine.stop("steady", 10).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_streams_do_not_hold_up_the_end() {
    let mut engine = TestEngine::start().await;
    engine.create("steady", spec(&["sleep", "600"])).await.unwrap();
    engine.start_container("steady").await.unwrap();
    let request = proto::EventsRequest::default();
    let mut events = engine.engine().events(request).await.unwrap().into_inner();
    let wait = proto::WaitRequest {
        id: "steady".into(),
        condition: String::new(),
    };
    let mut wait = engine.containers().wait(wait).await.unwrap().into_inner();
    assert!(wait.message().await.unwrap().is_some(), "the wait is in place");
    engine.engine().shutdown(proto::ShutdownRequest {}).await.unwrap();
    let ended = async {
        while let Ok(Some(_)) = events.message().await {}
        while let Ok(Some(_)) = wait.message().await {}
    };
    tokio::time::timeout(LIMIT, ended).await.expect("the streams end");
    let began = std::time::Instant::now();
    assert!(engine.wait());
    println!("the engine ended {:?} after its streams", began.elapsed());
    engine.spawn().await;
    engine.stop("steady", 10).await.unwrap();
}
