//! What restart policies and health checks do with a container, also over the end of the engine or the machine.

use creel_engine::proto::{self, ContainerSpec, Healthcheck, PortBinding, RestartPolicy};

use crate::host::fetch;
use crate::requests::{spec, until};
use crate::test_engine::TestEngine;

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
