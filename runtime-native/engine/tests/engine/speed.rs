//! How long containers take, printed and not judged: run it by hand with --ignored --nocapture.

use std::time::{Duration, Instant};

use creel_engine::proto::{ContainerSpec, NetworkAttachment};

use crate::requests::spec;
use crate::test_engine::TestEngine;

fn on(network: &str) -> ContainerSpec {
    let networks = vec![NetworkAttachment {
        network: network.into(),
        ..Default::default()
    }];
    ContainerSpec {
        networks,
        ..spec(&["sleep", "600"])
    }
}

fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort();
    times[(times.len() * percent / 100).min(times.len() - 1)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn create_start_remove() {
    let engine = TestEngine::start().await;
    for network in ["bridge", "none"] {
        let (mut create, mut start, mut both, mut remove) = (vec![], vec![], vec![], vec![]);
        for _ in 0..50 {
            let begun = Instant::now();
            let id = engine.create("", on(network)).await.unwrap();
            create.push(begun.elapsed());
            engine.start_container(&id).await.unwrap();
            both.push(begun.elapsed());
            start.push(begun.elapsed() - *create.last().unwrap());
            let begun = Instant::now();
            engine.remove(&id).await.unwrap();
            remove.push(begun.elapsed());
        }
        println!(
            "{network}: create p50 {:?}, start p50 {:?}, both p50 {:?} p99 {:?}, remove p50 {:?}",
            percentile(&mut create, 50),
            percentile(&mut start, 50),
            percentile(&mut both, 50),
            percentile(&mut both, 99),
            percentile(&mut remove, 50)
        );
    }
    let begun = Instant::now();
    let started = (0..50).map(|_| async {
        let id = engine.create("", on("bridge")).await.unwrap();
        engine.start_container(&id).await.unwrap();
    });
    let mut tasks = Vec::new();
    for one in started {
        tasks.push(Box::pin(one));
    }
    join_all(tasks).await;
    println!("50 at once: {:?}", begun.elapsed());
    let status = std::fs::read_to_string(format!("/proc/{}/status", engine.pid())).unwrap();
    println!(
        "{}",
        status
            .lines()
            .filter(|l| l.starts_with("VmRSS") || l.starts_with("RssAnon"))
            .collect::<Vec<_>>()
            .join(" ")
    );
}

/// Polls all of them until the last is done.
async fn join_all<F: Future<Output = ()> + Unpin>(mut all: Vec<F>) {
    std::future::poll_fn(|context| {
        all.retain_mut(|one| std::pin::Pin::new(one).poll(context).is_pending());
        if all.is_empty() {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
}
