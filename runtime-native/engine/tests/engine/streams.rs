//! Attaching, logs and execs, over one-time sockets.

use std::os::unix::fs::PermissionsExt;

use creel_engine::proto::{self, ContainerSpec};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::requests::{assert_code, read_all, spec, text};
use crate::test_engine::{LIMIT, TestEngine};

fn attach(id: &str) -> proto::AttachRequest {
    proto::AttachRequest {
        id: id.into(),
        stdin: true,
        stdout: true,
        stderr: true,
        stream: true,
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_attached_before_the_start_misses_nothing() {
    let engine = TestEngine::start().await;
    let open = ContainerSpec {
        open_stdin: true,
        stdin_once: true,
        ..spec(&["cat"])
    };
    let id = engine.create("cat", open).await.unwrap();
    let reply = engine
        .containers()
        .attach(attach(&id))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        std::fs::metadata(&reply.socket).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let mut client = UnixStream::connect(&reply.socket).await.unwrap();
    engine.start_container(&id).await.unwrap();
    assert!(!std::path::Path::new(&reply.socket).exists());
    client.write_all(b"through\n").await.unwrap();
    client.shutdown().await.unwrap();
    let mut bytes = Vec::new();
    tokio::time::timeout(LIMIT, client.read_to_end(&mut bytes))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(text(&bytes, reply.raw), "through\n");
    assert_eq!(engine.wait_for(&id).await, 0);

    let id = engine.create("echo", spec(&["echo", "at once"])).await.unwrap();
    let reply = engine
        .containers()
        .attach(attach(&id))
        .await
        .unwrap()
        .into_inner();
    engine.start_container(&id).await.unwrap();
    assert_eq!(text(&read_all(&reply.socket).await, reply.raw), "at once\n");

    let terminal = ContainerSpec {
        tty: true,
        ..spec(&["echo", "on a terminal"])
    };
    let id = engine.create("tty", terminal).await.unwrap();
    let reply = engine
        .containers()
        .attach(attach(&id))
        .await
        .unwrap()
        .into_inner();
    assert!(reply.raw);
    engine.start_container(&id).await.unwrap();
    assert_eq!(text(&read_all(&reply.socket).await, true), "on a terminal\r\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_are_followed_to_the_end() {
    let engine = TestEngine::start().await;
    let id = engine
        .create("count", spec(&["count", "50", "10"]))
        .await
        .unwrap();
    engine.start_container(&id).await.unwrap();
    let logs = |request: proto::LogsRequest| {
        let mut containers = engine.containers();
        let request = proto::LogsRequest {
            id: id.clone(),
            stdout: true,
            ..request
        };
        async move {
            let reply = containers.logs(request).await.unwrap().into_inner();
            text(&read_all(&reply.socket).await, reply.raw)
        }
    };
    let followed = logs(proto::LogsRequest {
        follow: true,
        tail: -1,
        ..Default::default()
    })
    .await;
    let expected: String = (0..50).map(|n| format!("line {n}\n")).collect();
    assert_eq!(followed, expected);
    let tail = logs(proto::LogsRequest {
        tail: 2,
        timestamps: true,
        ..Default::default()
    })
    .await;
    let lines: Vec<_> = tail.lines().map(|l| l.split_once(' ').unwrap()).collect();
    assert_eq!(
        lines.iter().map(|l| l.1).collect::<Vec<_>>(),
        ["line 48", "line 49"]
    );
    assert!(lines[0].0.ends_with('Z') && lines[0].0.len() == 30, "{tail}");
    assert_eq!(
        logs(proto::LogsRequest {
            tail: -1,
            stderr: true,
            stdout: false,
            ..Default::default()
        })
        .await
        .len(),
        expected.len()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn further_processes_run_in_a_container() {
    let engine = TestEngine::start().await;
    let with_env = ContainerSpec {
        env: vec!["COLOUR=green".into()],
        user: "web".into(),
        ..spec(&["sleep", "600"])
    };
    let id = engine.create("host", with_env).await.unwrap();
    engine.start_container(&id).await.unwrap();
    let exec = |words: &[&str]| proto::ExecCreateRequest {
        container_id: id.clone(),
        cmd: ["/bin/helper"]
            .iter()
            .chain(words)
            .map(|w| (*w).to_owned())
            .collect(),
        stdin: true,
        stdout: true,
        stderr: true,
        ..Default::default()
    };
    let start = |id: &str| proto::ExecStartRequest {
        id: id.into(),
        ..Default::default()
    };
    let made = engine
        .containers()
        .exec_create(exec(&["env"]))
        .await
        .unwrap()
        .into_inner();
    let reply = engine
        .containers()
        .exec_start(start(&made.id))
        .await
        .unwrap()
        .into_inner();
    let output = text(&read_all(&reply.socket).await, reply.raw);
    assert!(
        output.contains("COLOUR=green\n") && output.contains("HOME=/home/web\n"),
        "{output}"
    );
    let made = engine
        .containers()
        .exec_create(exec(&["exit", "5"]))
        .await
        .unwrap()
        .into_inner();
    let reply = engine
        .containers()
        .exec_start(start(&made.id))
        .await
        .unwrap()
        .into_inner();
    read_all(&reply.socket).await;
    let ended = async {
        loop {
            let shown = engine
                .containers()
                .exec_inspect(made.clone())
                .await
                .unwrap()
                .into_inner();
            if !shown.running {
                return shown.exit_code;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    assert_eq!(tokio::time::timeout(LIMIT, ended).await.unwrap(), 5);
    let absent = proto::ExecCreateRequest {
        cmd: vec!["nosuch".into()],
        ..exec(&[])
    };
    let made = engine
        .containers()
        .exec_create(absent)
        .await
        .unwrap()
        .into_inner();
    let error = engine.containers().exec_start(start(&made.id)).await.unwrap_err();
    assert_code(&error, "command_not_found");
    assert!(
        error
            .message()
            .contains("exec: \"nosuch\": executable file not found in $PATH"),
        "{}",
        error.message()
    );
    assert_eq!(
        engine
            .containers()
            .exec_inspect(made)
            .await
            .unwrap()
            .into_inner()
            .exit_code,
        127
    );
    let top = engine
        .containers()
        .top(proto::TopRequest {
            id: id.clone(),
            ..Default::default()
        })
        .await
        .unwrap()
        .into_inner();
    assert!(top.processes[0].fields[7].contains("helper sleep"), "{top:?}");
}
