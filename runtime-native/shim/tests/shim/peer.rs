//! Compares a process in our container with one in runc's, from the same spec. Where there is no runc, the test is not
//! run unless asked for: `cargo test -p creel-shim --test shim peer -- --ignored`.

use std::path::Path;
use std::process::Command;

use crate::common::{Fixture, Options};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs runc on the PATH"]
async fn status_is_the_same_as_runc_gives() {
    let fixture = Fixture::new();
    let container = fixture
        .create_with(
            &[
                "probe",
                "show",
                "/proc/self/status",
                "seccomp",
                "fds",
                "env",
                "pwd",
                "show",
                "/proc/self/mountinfo",
            ],
            Options {
                change: Some(Box::new(|spec| spec.cgroup_path.push_str("-peer"))),
                ..Options::default()
            },
        )
        .await
        .unwrap();
    let attached = container.attach(false).await;
    container.shim.start().await.unwrap();
    let (ours, _) = crate::common::demultiplex(attached).await;
    container.shim.wait().await.unwrap();
    container.assert_nothing_left().await;

    let bundle = container.state_dir.parent().unwrap();
    let id = format!("creel-peer-{}", std::process::id());
    let root = fixture.directory.path().join("runc");
    let output = runc(&root, &["run", "--bundle", bundle.to_str().unwrap(), &id]);
    let theirs = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(comparable(&ours), comparable(&theirs));
}

fn runc(root: &Path, args: &[&str]) -> std::process::Output {
    let result = Command::new("runc").arg("--root").arg(root).args(args).output();
    result.expect("runc cannot be executed; install it or leave this test out")
}

/// Leaves out what differs between any two processes: ids, sizes, counters, mount numbers. Further, runc hands down signals
/// that its caller ignores.
fn comparable(text: &str) -> Vec<String> {
    const VARYING: [&str; 15] = [
        "SigIgn:",
        "Pid:",
        "PPid:",
        "Ngid:",
        "Vm",
        "Rss",
        "Threads:",
        "SigQ:",
        "voluntary",
        "nonvoluntary",
        "FDSize:",
        "Tgid:",
        "NStgid:",
        "Cpus_allowed",
        "Mems_allowed",
    ];
    text.lines()
        .filter(|line| !VARYING.iter().any(|prefix| line.starts_with(prefix)))
        .map(|line| match line.split_once(" - ") {
            Some((head, tail)) => {
                let fields: Vec<&str> = head.split(' ').collect();
                format!(
                    "mount {} {} {}",
                    fields[4],
                    fields[5],
                    tail.split(' ').next().unwrap_or_default()
                )
            }
            None => line.to_owned(),
        })
        .collect()
}
