//! An engine killed at any moment, and records torn by a power cut: nothing is lost that was told, nothing is left over.

use std::time::Duration;

use creel_engine::proto::{self, ContainerSpec, RestartPolicy};
use creel_runtime::ContainerState;
use creel_shim::client::Shim;

use crate::requests::{spec, until};
use crate::test_engine::TestEngine;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_begun_and_not_recorded_is_undone() {
    let mut engine = TestEngine::start().await;
    let again = ContainerSpec {
        restart: Some(RestartPolicy {
            name: "always".into(),
            max_retries: 0,
        }),
        ..spec(&["exit", "0"])
    };
    engine.create("again", again).await.unwrap();
    engine.create("frozen", spec(&["sleep", "600"])).await.unwrap();
    engine.start_container("frozen").await.unwrap();
    engine.start_container("again").await.unwrap();
    let (shim, _) = Shim::connect(&engine.shim_dir("frozen").await).await.unwrap();
    shim.pause().await.unwrap();
    engine.kill();
    engine.spawn().await;
    assert_eq!(engine.status("frozen").await, "running");
    let (_, now) = Shim::connect(&engine.shim_dir("frozen").await).await.unwrap();
    assert_eq!(now.status, ContainerState::Running);
    until("it starts again and again", || async {
        engine.inspect("again").await.unwrap().restart_count >= 2
    })
    .await;
    for name in ["frozen", "again"] {
        engine.remove(name).await.unwrap();
    }
    engine.settled().await;
    assert_eq!(engine.leftovers(), Vec::<String>::new());
}

/// Random numbers below a bound, from a seed that is printed.
fn seeded() -> impl FnMut(u64) -> u64 {
    let seed = std::env::var("SEED")
        .ok()
        .and_then(|s| s.parse().ok())
        .unwrap_or_else(|| u64::from(std::process::id()));
    println!("SEED={seed}");
    let mut random = seed | 1;
    move |most: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % most
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_killed_while_it_makes_images_has_whole_ones_only() {
    let mut below = seeded();
    let mut engine = TestEngine::start().await;
    engine.import(&[]).await;
    let id = engine
        .create("source", spec(&["write", "/own", "kept"]))
        .await
        .unwrap();
    engine.start_container(&id).await.unwrap();
    engine.wait_for(&id).await;
    for round in 0..6 {
        let commit = || proto::CommitRequest {
            id: id.clone(),
            repo: "made".into(),
            tag: format!("t{round}"),
            ..Default::default()
        };
        let work = async {
            while engine.try_import(&[]).await.is_ok() && engine.containers().commit(commit()).await.is_ok() {
            }
        };
        let _ = tokio::time::timeout(Duration::from_millis(5 + below(150)), work).await;
        engine.kill();
        engine.spawn().await;
        let data = engine.dir.path().join("data");
        for folder in ["content/ingest", "overlay2/staging"] {
            let left: Vec<_> = std::fs::read_dir(data.join(folder)).unwrap().collect();
            assert!(left.is_empty(), "{folder}: {left:?}");
        }
        let request = proto::ListImagesRequest {
            all: true,
            ..Default::default()
        };
        let images = engine.images().list(request).await.unwrap().into_inner().images;
        for image in &images {
            let made = ContainerSpec {
                image: image.id.clone(),
                entrypoint: vec!["/bin/helper".into()],
                ..spec(&["ls", "/"])
            };
            let (code, output) = engine.run(made).await;
            assert_eq!(code, 0, "{image:?}: {output}");
        }
        assert!(!images.is_empty());
    }
    engine.remove(&id).await.unwrap();
    let prune = proto::PruneImagesRequest {
        all: true,
        ..Default::default()
    };
    engine.images().prune(prune).await.unwrap();
    let layers = engine.dir.path().join("data/overlay2/layers");
    assert_eq!(
        std::fs::read_dir(layers).unwrap().count(),
        0,
        "no layer without an image"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_killed_at_any_moment_leaves_no_mess() {
    let mut below = seeded();
    let mut engine = TestEngine::start().await;
    for round in 0..8 {
        let work = async {
            for n in 0.. {
                let name = format!("r{round}-{n}");
                let Ok(id) = engine.create(&name, spec(&["sleep", "600"])).await else {
                    return;
                };
                if engine.start_container(&id).await.is_err() || engine.remove(&id).await.is_err() {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(Duration::from_millis(20 + below(400)), work).await;
        engine.kill();
        engine.spawn().await;
        let request = proto::ListContainersRequest {
            all: true,
            ..Default::default()
        };
        let listed = engine
            .containers()
            .list(request)
            .await
            .unwrap()
            .into_inner()
            .containers;
        assert!(listed.len() <= 1, "{listed:?}");
        for container in listed {
            let state = container.state.clone().unwrap();
            assert!(
                ["created", "running", "exited"].contains(&state.status.as_str()),
                "{container:?}"
            );
            if state.status != "running" {
                engine.start_container(&container.id).await.unwrap();
            }
            engine.remove(&container.id).await.unwrap();
        }
        engine.settled().await;
        assert_eq!(engine.leftovers(), Vec::<String>::new(), "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn torn_records_cost_the_last_change_or_are_told_and_leave_nothing() {
    const SLOT: usize = 4096;
    let mut engine = TestEngine::start().await;
    let mut paths = Vec::new();
    for name in ["plain", "torn", "garbage", "cut"] {
        let id = engine.create(name, spec(&["sleep", "600"])).await.unwrap();
        engine.start_container(name).await.unwrap();
        paths.push(engine.dir.path().join("data/containers").join(id));
    }
    let ended = engine.create("ended", spec(&["exit", "3"])).await.unwrap();
    engine.start_container("ended").await.unwrap();
    assert_eq!(engine.wait_for("ended").await, 3);
    paths.push(engine.dir.path().join("data/containers").join(&ended));
    let [_, torn, garbage, cut, ended] = &paths[..] else {
        unreachable!()
    };
    engine.kill();
    for path in [torn, ended] {
        let file = path.join("state.json");
        let mut bytes = std::fs::read(&file).unwrap();
        let number = |slot: &[u8]| -> u64 {
            let text = String::from_utf8(slot.to_vec()).unwrap();
            text.split(' ').nth(1).unwrap().parse().unwrap()
        };
        let second = number(&bytes[SLOT..]) > number(&bytes[..SLOT]);
        let begin = if second { SLOT } else { 0 };
        bytes[begin + 512..begin + SLOT].fill(b'x');
        std::fs::write(&file, &bytes).unwrap();
    }
    std::fs::write(garbage.join("state.json"), [7; 3000]).unwrap();
    let definition = std::fs::read(cut.join("container.json")).unwrap();
    std::fs::write(cut.join("container.json"), &definition[..100]).unwrap();
    engine.spawn().await;
    let state = async |name: &str| engine.inspect(name).await.unwrap().state.unwrap();
    assert_eq!(state("plain").await.status, "running");
    assert_ne!(
        state("torn").await.status,
        "running",
        "it ran since its last change"
    );
    let garbage = state("garbage").await;
    assert_eq!((garbage.status.as_str(), garbage.exit_code), ("exited", 255));
    assert!(
        garbage.error.contains("state.json is damaged"),
        "{}",
        garbage.error
    );
    // Of the other only its id is known; that it runs is in its state.
    let id = cut.file_name().unwrap().to_str().unwrap();
    let cut = engine.inspect(id).await.unwrap();
    let shown = cut.state.unwrap();
    assert_eq!((cut.name.as_str(), shown.status.as_str()), (id, "running"));
    assert!(
        shown.error.contains("container.json is damaged"),
        "{}",
        shown.error
    );
    assert_ne!(state("ended").await.status, "running");
    for name in ["torn", "garbage", "ended"] {
        engine.start_container(name).await.unwrap();
        let endpoints = engine.inspect(name).await.unwrap().endpoints;
        assert_eq!(endpoints.len(), 1, "{name} has its network");
    }
    for name in ["plain", "torn", "garbage", id, "ended"] {
        engine.remove(name).await.unwrap();
    }
    engine.settled().await;
    assert_eq!(engine.leftovers(), Vec::<String>::new());
}
