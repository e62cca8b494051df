//! Many containers at once, and shims killed at moments nobody chose.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::common::{Fixture, Options};
use creel_runtime::cgroup::Cgroup;
use creel_shim::client::ShimError;

#[tokio::test(flavor = "multi_thread")]
async fn fifty_at_once_each_with_its_own_output() {
    let fixture = std::sync::Arc::new(Fixture::new());
    let mut running = tokio::task::JoinSet::new();
    for number in 0..50 {
        let fixture = fixture.clone();
        running.spawn(async move {
            let text = format!("number {number}");
            let code = (number % 7).to_string();
            let ended = fixture
                .run(&["probe", "echo", &text, "exit", &code], Options::default())
                .await;
            assert_eq!(ended, (number % 7, format!("{text}\n"), String::new()));
        });
    }
    while let Some(result) = running.join_next().await {
        result.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shim_killed_at_any_moment_leaves_nothing_after_cleanup() {
    let mut seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64 | 1;
    println!("seed {seed}");
    let fixture = Fixture::new();
    for _ in 0..12 {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let container = fixture
            .create(&["probe", "fork", "spam", "100000", "forever"])
            .await
            .unwrap();
        let shim = shim_of(container.pid);
        let delay = Duration::from_micros(seed % 6000);
        let killer = tokio::task::spawn_blocking(move || {
            std::thread::sleep(delay);
            unsafe { libc::kill(shim, libc::SIGKILL) };
        });
        let started = container.shim.start().await;
        assert!(
            matches!(started, Ok(()) | Err(ShimError::Gone(None))),
            "{started:?}"
        );
        killer.await.unwrap();
        assert!(matches!(container.shim.wait().await, Err(ShimError::Gone(None))));
        creel_shim::cleanup(&container.state_dir, &container.cgroup).unwrap();
        assert!(Cgroup::new(&container.cgroup).pids().is_empty());
        container.assert_nothing_left().await;
    }
}

fn shim_of(pid: i32) -> i32 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    status
        .lines()
        .find_map(|line| line.strip_prefix("PPid:"))
        .unwrap()
        .trim()
        .parse()
        .unwrap()
}
