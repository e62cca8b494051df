//! Restarts of containers, and of the engine itself.

mod common;

use std::time::Duration;

use common::{LIMIT, TestEngine, fetch, spec};
use creel_engine::proto::{self, ContainerSpec, Healthcheck, PortBinding, RestartPolicy};
use creel_runtime::ContainerState;
use creel_shim::client::Shim;

async fn until<F: Future<Output = bool>>(what: &str, mut look: impl FnMut() -> F) {
    let seen = async {
        while !look().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LIMIT, seen)
        .await
        .unwrap_or_else(|_| panic!("{what}"));
}

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_reboot_policies_say_what_runs_again() {
    for exec_root_stays in [false, true] {
        let mut engine = TestEngine::start().await;
        let with = |policy: &str, words: &[&str]| ContainerSpec {
            restart: Some(RestartPolicy {
                name: policy.into(),
                max_retries: 0,
            }),
            ..spec(words)
        };
        let served = ContainerSpec {
            ports: vec![PortBinding {
                host_port: 8080,
                container_port: 80,
                ..Default::default()
            }],
            ..with("always", &["serve", "80"])
        };
        let forever = ["sleep", "600"];
        let all = [
            ("web", served),
            ("unless", with("unless-stopped", &forever)),
            ("failing", with("on-failure", &forever)),
            ("plain", with("no", &forever)),
            ("stopped-always", with("always", &forever)),
            ("stopped-unless", with("unless-stopped", &forever)),
            ("stopped-failing", with("on-failure", &forever)),
            ("done", with("on-failure", &["exit", "0"])),
        ];
        for (name, spec) in all {
            engine.create(name, spec).await.unwrap();
            engine.start_container(name).await.unwrap();
        }
        engine
            .create("never-started", with("always", &forever))
            .await
            .unwrap();
        let kept = ContainerSpec {
            auto_remove: true,
            ..spec(&forever)
        };
        engine.create("gone", kept).await.unwrap();
        engine.start_container("gone").await.unwrap();
        for name in ["stopped-always", "stopped-unless", "stopped-failing"] {
            engine.stop(name, 0).await.unwrap();
        }
        until("it is done", || async { engine.status("done").await == "exited" }).await;
        engine.reboot(exec_root_stays).await;
        for name in ["web", "unless", "failing", "stopped-always"] {
            until("it runs again", || async {
                engine.status(name).await == "running"
            })
            .await;
        }
        engine.printed("web", "listening").await;
        until("its port is published again", || async {
            engine.in_network(|| fetch("127.0.0.1:8080")).is_ok()
        })
        .await;
        let plain = engine.inspect("plain").await.unwrap().state.unwrap();
        assert_eq!((plain.status.as_str(), plain.exit_code), ("exited", 255));
        for name in ["stopped-unless", "stopped-failing", "done"] {
            assert_eq!(engine.status(name).await, "exited", "{name}");
        }
        assert_eq!(engine.status("never-started").await, "created");
        until("the auto-removed one goes", || async {
            engine.inspect("gone").await.is_err()
        })
        .await;
        for name in [
            "web",
            "unless",
            "failing",
            "plain",
            "stopped-always",
            "stopped-unless",
            "stopped-failing",
            "done",
            "never-started",
        ] {
            engine.remove(name).await.unwrap();
        }
        engine.settled().await;
        assert_eq!(engine.leftovers(), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restart_policies_and_timeouts() {
    let engine = TestEngine::start().await;
    let policy = |name: &str, max_retries| {
        Some(RestartPolicy {
            name: name.into(),
            max_retries,
        })
    };
    let failing = ContainerSpec {
        restart: policy("on-failure", 2),
        ..spec(&["exit", "3"])
    };
    engine.create("failing", failing).await.unwrap();
    engine.start_container("failing").await.unwrap();
    until("it gives up", || async {
        engine.status("failing").await == "exited"
    })
    .await;
    let shown = engine.inspect("failing").await.unwrap();
    assert_eq!((shown.restart_count, shown.state.unwrap().exit_code), (2, 3));
    let always = ContainerSpec {
        restart: policy("always", 0),
        ..spec(&["exit", "0"])
    };
    engine.create("always", always).await.unwrap();
    engine.start_container("always").await.unwrap();
    until("it starts again", || async {
        engine.inspect("always").await.unwrap().restart_count >= 2
    })
    .await;
    engine.stop("always", 1).await.unwrap();
    assert_eq!(engine.status("always").await, "exited");
    engine.create("stubborn", spec(&["stubborn"])).await.unwrap();
    engine.start_container("stubborn").await.unwrap();
    engine.printed("stubborn", "ignoring").await;
    engine.stop("stubborn", 1).await.unwrap();
    assert_eq!(
        engine.inspect("stubborn").await.unwrap().state.unwrap().exit_code,
        137
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_is_checked() {
    let mut engine = TestEngine::start().await;
    let check = |words: &[&str]| {
        let test = ["CMD", "/bin/helper"]
            .iter()
            .chain(words)
            .map(|w| (*w).to_owned())
            .collect();
        Some(Healthcheck {
            test,
            interval_nanos: 50_000_000,
            retries: 2,
            ..Default::default()
        })
    };
    let health = async |name: &str| engine.inspect(name).await.unwrap().state.unwrap().health;
    let flagged = ContainerSpec {
        healthcheck: check(&["exists", "/flag"]),
        ..spec(&["sleep", "600"])
    };
    engine.create("flagged", flagged).await.unwrap();
    engine.start_container("flagged").await.unwrap();
    assert_eq!(health("flagged").await, "starting");
    until("it is unhealthy", || async {
        health("flagged").await == "unhealthy"
    })
    .await;
    let exec = proto::ExecCreateRequest {
        container_id: "flagged".into(),
        cmd: ["/bin/helper", "write", "/flag", "up"]
            .map(str::to_owned)
            .to_vec(),
        ..Default::default()
    };
    let id = engine
        .containers()
        .exec_create(exec)
        .await
        .unwrap()
        .into_inner()
        .id;
    let start = proto::ExecStartRequest {
        id,
        detach: true,
        ..Default::default()
    };
    engine.containers().exec_start(start).await.unwrap();
    until("it is healthy", || async { health("flagged").await == "healthy" }).await;
    engine.kill();
    engine.spawn().await;
    let state = engine.inspect("flagged").await.unwrap().state.unwrap();
    assert_eq!(
        (state.health.as_str(), state.health_failing_streak),
        ("healthy", 0)
    );
    assert!(state.health_log.iter().any(|result| result.exit_code != 0));
    let seen = state.health_log.last().unwrap().end_nanos;
    until("it is checked again", || async {
        let state = engine.inspect("flagged").await.unwrap().state.unwrap();
        state.health == "healthy" && state.health_log.last().unwrap().start_nanos > seen
    })
    .await;
}

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
