//! What is refused, with which code, in which words; and that nothing is half-created.

use creel_engine::proto::{self, ContainerSpec};

use crate::requests::{assert_code, spec};
use crate::test_engine::TestEngine;

async fn refused(engine: &TestEngine, spec: ContainerSpec, code: &str, text: &str) {
    let error = engine.create("bad", spec).await.unwrap_err();
    assert_code(&error, code);
    assert!(
        error.message().contains(text),
        "{:?} has not {text:?}",
        error.message()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_created_leaves_nothing() {
    let engine = TestEngine::start().await;
    let base = || spec(&["sleep", "600"]);
    refused(
        &engine,
        ContainerSpec {
            image: "nosuch".into(),
            ..base()
        },
        "no_such_image",
        "No such image: nosuch:latest",
    )
    .await;
    refused(
        &engine,
        ContainerSpec {
            user: "ghost:".into(),
            working_dir: "x".into(),
            ..base()
        },
        "invalid_parameter",
        "absolute path",
    )
    .await;
    let bind = |source: &str| proto::Mount {
        r#type: "bind".into(),
        source: source.into(),
        target: "/x".into(),
        ..Default::default()
    };
    refused(
        &engine,
        ContainerSpec {
            mounts: vec![bind("/no/such")],
            ..base()
        },
        "invalid_parameter",
        "bind source path does not exist: /no/such",
    )
    .await;
    let volume = proto::Mount {
        r#type: "volume".into(),
        source: "made".into(),
        target: "/v".into(),
        ..Default::default()
    };
    refused(
        &engine,
        ContainerSpec {
            mounts: vec![volume, bind("/no/such")],
            ..base()
        },
        "invalid_parameter",
        "/no/such",
    )
    .await;
    assert!(
        engine
            .volumes()
            .list(proto::ListVolumesRequest { sizes: false })
            .await
            .unwrap()
            .into_inner()
            .volumes
            .is_empty()
    );
    let on = proto::NetworkAttachment {
        network: "nowhere".into(),
        ..Default::default()
    };
    refused(
        &engine,
        ContainerSpec {
            networks: vec![on],
            ..base()
        },
        "no_such_network",
        "network nowhere not found",
    )
    .await;
    refused(
        &engine,
        ContainerSpec {
            stop_signal: "SIGNOPE".into(),
            ..base()
        },
        "invalid_parameter",
        "invalid signal",
    )
    .await;
    let log = proto::LogConfig {
        driver: "carrier-pigeon".into(),
        ..Default::default()
    };
    refused(
        &engine,
        ContainerSpec {
            log: Some(log),
            ..base()
        },
        "invalid_parameter",
        "no log driver named",
    )
    .await;
    let error = engine.create("a b", base()).await.unwrap_err();
    assert_code(&error, "invalid_name");
    assert_eq!(
        error.message(),
        "Invalid container name (a b), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
    );
    assert_eq!(engine.leftovers(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_is_not_there_is_said_so() {
    let engine = TestEngine::start().await;
    let absent = ContainerSpec {
        entrypoint: vec!["foo".into()],
        ..spec(&[])
    };
    let id = engine.create("absent", absent).await.unwrap();
    let error = engine.start_container(&id).await.unwrap_err();
    assert_code(&error, "command_not_found");
    assert!(
        error
            .message()
            .starts_with("failed to create task for container: "),
        "{}",
        error.message()
    );
    assert!(
        error
            .message()
            .contains("exec: \"foo\": executable file not found in $PATH"),
        "{}",
        error.message()
    );
    let state = engine.inspect(&id).await.unwrap().state.unwrap();
    assert_eq!((state.status.as_str(), state.exit_code), ("created", 127));
    let denied = ContainerSpec {
        entrypoint: vec!["/etc/passwd".into()],
        ..spec(&[])
    };
    let id = engine.create("denied", denied).await.unwrap();
    let error = engine.start_container(&id).await.unwrap_err();
    assert!(
        error.message().contains("permission denied"),
        "{}",
        error.message()
    );
    assert_eq!(engine.inspect(&id).await.unwrap().state.unwrap().exit_code, 126);
    let unknown = ContainerSpec {
        user: "ghost".into(),
        ..spec(&["exit", "0"])
    };
    let id = engine.create("ghost", unknown).await.unwrap();
    let error = engine.start_container(&id).await.unwrap_err();
    assert!(
        error.message().contains("unable to find user ghost"),
        "{}",
        error.message()
    );
    for name in ["absent", "denied", "ghost"] {
        engine.remove(name).await.unwrap();
    }
    engine.settled().await;
    assert_eq!(engine.leftovers(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conflicts_have_dockers_words() {
    let engine = TestEngine::start().await;
    let id = engine.create("web", spec(&["sleep", "600"])).await.unwrap();
    let kill = proto::KillRequest {
        id: "web".into(),
        signal: String::new(),
    };
    let error = engine.containers().kill(kill.clone()).await.unwrap_err();
    assert_code(&error, "conflict");
    assert_eq!(
        error.message(),
        format!("cannot kill container: web: container {id} is not running")
    );
    engine.start_container("web").await.unwrap();
    let remove = proto::RemoveContainerRequest {
        id: "web".into(),
        ..Default::default()
    };
    let error = engine.containers().remove(remove).await.unwrap_err();
    assert_code(&error, "conflict");
    let expected = "cannot remove container \"/web\": container is running: stop the container before removing or \
                    force remove";
    assert_eq!(error.message(), expected);
    let image = proto::RemoveImageRequest {
        r#ref: crate::image::NAME.into(),
        ..Default::default()
    };
    assert_code(&engine.images().remove(image).await.unwrap_err(), "image_in_use");
    let bridge = proto::NetworkRef { id: "bridge".into() };
    assert_code(
        &engine.networks().remove(bridge).await.unwrap_err(),
        "predefined_network",
    );
    engine.containers().kill(kill).await.unwrap();
    let state = engine.inspect("web").await.unwrap().state.unwrap();
    assert_eq!((state.status.as_str(), state.exit_code), ("exited", 137));
    engine.create("other", spec(&["exit", "0"])).await.unwrap();
    let rename = proto::RenameRequest {
        id: "other".into(),
        name: "web".into(),
    };
    assert_code(
        &engine.containers().rename(rename).await.unwrap_err(),
        "name_in_use",
    );
    let rename = proto::RenameRequest {
        id: "other".into(),
        name: "third".into(),
    };
    engine.containers().rename(rename).await.unwrap();
    assert_eq!(engine.inspect("third").await.unwrap().name, "third");
    assert_code(&engine.inspect("other").await.unwrap_err(), "no_such_container");
}
