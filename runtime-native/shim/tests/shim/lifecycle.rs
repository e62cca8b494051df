//! A container from its creation to its end, through the engine's client.

use std::time::Duration;

use crate::common::{Fixture, Options};
use creel_runtime::ContainerState;
use creel_shim::client::{Shim, ShimError};

#[tokio::test(flavor = "multi_thread")]
async fn runs_logs_and_records_the_end() {
    let fixture = Fixture::new();
    let container = fixture
        .create(&[
            "probe", "echo", "hello", "err", "oops", "print", "tail", "exit", "7",
        ])
        .await
        .unwrap();
    assert_eq!(
        container.shim.state().await.unwrap().status,
        ContainerState::Created
    );
    let attached = container.attach(false).await;
    container.shim.start().await.unwrap();
    let exit = container.shim.wait().await.unwrap();
    assert_eq!((exit.code, exit.signal, exit.oom_killed), (7, None, false));
    let (stdout, stderr) = crate::common::demultiplex(attached).await;
    assert_eq!((stdout.as_str(), stderr.as_str()), ("hello\ntail", "oops\n"));
    let mut logged = container.logged();
    logged.sort();
    let expected = [("stderr", "oops\n"), ("stdout", "hello\n"), ("stdout", "tail")];
    assert_eq!(
        logged,
        expected.map(|(stream, text)| (stream.to_owned(), text.to_owned()))
    );
    assert_eq!(container.shim.exit_status(), Some(exit.clone()));
    assert_eq!(container.shim.wait().await.unwrap(), exit);
    container.assert_nothing_left().await;
    assert!(
        matches!(Shim::connect(&container.state_dir).await, Err(ShimError::Gone(Some(gone))) if gone == exit)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_pause_and_delete() {
    let fixture = Fixture::new();
    let container = fixture
        .create(&["probe", "term", "echo", "ready", "fork", "forever"])
        .await
        .unwrap();
    container.shim.start().await.unwrap();
    while container.logged().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(
        container.shim.state().await.unwrap().status,
        ContainerState::Running
    );
    container.shim.pause().await.unwrap();
    assert_eq!(
        container.shim.state().await.unwrap().status,
        ContainerState::Paused
    );
    assert!(container.shim.pause().await.is_err());
    container.shim.resume().await.unwrap();
    container.shim.kill(libc::SIGTERM).await.unwrap();
    assert_eq!(container.shim.wait().await.unwrap().code, 42);
    container.assert_nothing_left().await;

    let paused = fixture.create(&["probe", "forever"]).await.unwrap();
    paused.shim.start().await.unwrap();
    paused.shim.pause().await.unwrap();
    paused.shim.kill(libc::SIGKILL).await.unwrap();
    let exit = paused.shim.wait().await.unwrap();
    assert_eq!((exit.code, exit.signal), (137, Some(9)));
    paused.assert_nothing_left().await;

    let created = fixture.create(&["probe", "forever"]).await.unwrap();
    created.shim.delete().await.unwrap();
    created.assert_nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_cannot_run_says_so_as_docker_does() {
    let fixture = Fixture::new();
    for (command, code, text) in [
        (
            "nosuch",
            127,
            "exec: \"nosuch\": executable file not found in $PATH",
        ),
        (
            "/bin/nosuch",
            127,
            "exec: \"/bin/nosuch\": stat /bin/nosuch: no such file or directory",
        ),
        ("/etc/plain", 126, "exec: \"/etc/plain\": permission denied"),
        ("/etc", 126, "exec: \"/etc\": is a directory: permission denied"),
    ] {
        match fixture.create(&[command]).await {
            Err(ShimError::Failed(failure)) => {
                assert_eq!(failure.exit_code, Some(code), "{}", failure.message);
                assert!(failure.message.ends_with(text), "{}", failure.message);
            }
            other => panic!("{command}: {:?}", other.map(|container| container.pid)),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_finds_a_shim_of_another_version_is_told_what_to_do() {
    let fixture = Fixture::new();
    let options = Options {
        protocol: Some(99),
        ..Options::default()
    };
    match fixture.create_with(&["probe", "cat"], options).await {
        Err(ShimError::Failed(failure)) => {
            assert!(
                failure.message.ends_with("restart creel-engine"),
                "{}",
                failure.message
            )
        }
        other => panic!("{:?}", other.map(|container| container.pid)),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn output_survives_the_zygote_and_a_killed_shim_is_cleaned_up() {
    let fixture = Fixture::new();
    let container = fixture
        .create_with(
            &["probe", "cat"],
            Options {
                open_stdin: true,
                ..Options::default()
            },
        )
        .await
        .unwrap();
    container.shim.start().await.unwrap();
    let zygote = fixture.zygote.pid().unwrap();
    unsafe { libc::kill(zygote as i32, libc::SIGKILL) };
    let (found, _) = Shim::connect(&container.state_dir).await.unwrap();
    assert_eq!(found.state().await.unwrap().pid, container.pid);
    // The next container has a new zygote.
    let (code, stdout, _) = fixture.run(&["probe", "echo", "again"], Options::default()).await;
    assert_eq!((code, stdout.as_str()), (0, "again\n"));

    let shim_pid = parent_of(container.pid);
    unsafe { libc::kill(shim_pid, libc::SIGKILL) };
    assert!(matches!(container.shim.wait().await, Err(ShimError::Gone(None))));
    creel_shim::cleanup(&container.state_dir, &container.cgroup).unwrap();
    container.assert_nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cleanup_waits_for_a_shim_that_is_on_its_way() {
    let fixture = Fixture::new();
    let zygote = fixture.zygote.pid().unwrap() as i32;
    unsafe { libc::kill(zygote, libc::SIGSTOP) };
    let words = ["probe", "cat"];
    let asked = tokio::time::timeout(Duration::from_millis(100), fixture.create(&words));
    assert!(asked.await.is_err(), "the one who asked is gone");
    let (state_dir, cgroup) = fixture.containers.lock().unwrap().last().unwrap().clone();
    let (dir, group) = (state_dir.clone(), cgroup.clone());
    let cleanup = tokio::task::spawn_blocking(move || creel_shim::cleanup(&dir, &group));
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!cleanup.is_finished());
    unsafe { libc::kill(zygote, libc::SIGCONT) };
    cleanup.await.unwrap().unwrap();
    assert!(creel_runtime::cgroup::Cgroup::new(&cgroup).pids().is_empty());
    assert!(matches!(Shim::connect(&state_dir).await, Err(ShimError::Gone(_))));
}

fn parent_of(pid: i32) -> i32 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    status
        .lines()
        .find_map(|line| line.strip_prefix("PPid:"))
        .unwrap()
        .trim()
        .parse()
        .unwrap()
}
