//! Measures how long containers take to start and how much memory their shims hold.
//! `cargo run --release -p creel-shim --features client --example startup -- CREEL-SHIM PROBE [COUNT]`, as root; PROBE is
//! a static program that runs until it is killed.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use creel_runtime::Bundle;
use creel_runtime::spec::SpecInput;
use creel_shim::client::{Shim, Zygote};
use creel_shim::protocol::{CreateRequest, LogConfig, LogDriver, PROTOCOL};

#[tokio::main]
async fn main() {
    let args: Vec<String> = std::env::args().collect();
    let [_, shim_exe, probe, rest @ ..] = args.as_slice() else {
        eprintln!("usage: startup CREEL-SHIM PROBE [COUNT]");
        return;
    };
    let count: usize = rest
        .first()
        .map_or(50, |text| text.parse().expect("COUNT is a number"));
    let base = std::env::temp_dir().join(format!("creel-startup-{}", std::process::id()));
    let zygote = Zygote::spawn(Path::new(shim_exe)).expect("zygote");
    let requests: Vec<CreateRequest> = (0..2 * count)
        .map(|number| prepare(&base.join(number.to_string()), number, Path::new(probe)))
        .collect();

    let mut each = Vec::new();
    let mut shims = Vec::new();
    for request in &requests[..count] {
        let begin = Instant::now();
        let (shim, _) = zygote.create(request).await.expect("create");
        shim.start().await.expect("start");
        each.push(begin.elapsed());
        shims.push(shim);
    }
    each.sort();
    println!(
        "one after another: p50 {:?}, p99 {:?}",
        each[count / 2],
        each[count * 99 / 100]
    );

    let begin = Instant::now();
    let together: Vec<_> = requests[count..]
        .iter()
        .map(|request| start(&zygote, request))
        .collect();
    let (started, pids): (Vec<Shim>, Vec<i32>) = join(together).await.into_iter().unzip();
    println!("{count} at once: {:?}", begin.elapsed());
    shims.extend(started);

    let mut sums = (0, 0);
    for pid in &pids {
        let (dirty, proportional) = memory(parent_of(*pid));
        sums = (sums.0 + dirty, sums.1 + proportional);
    }
    println!(
        "a shim: {} kB dirty of its own, {} kB proportional",
        sums.0 / count,
        sums.1 / count
    );

    let begin = Instant::now();
    for shim in &shims {
        shim.delete().await.expect("delete");
    }
    println!("{} deleted one after another: {:?}", shims.len(), begin.elapsed());
    drop(zygote);
    let parent = format!("/creel-startup-{}", std::process::id());
    creel_runtime::cgroup::Cgroup::new(&parent)
        .kill_and_remove()
        .expect("remove cgroup");
    fs::remove_dir_all(&base).expect("remove");
}

async fn start(zygote: &Zygote, request: &CreateRequest) -> (Shim, i32) {
    let (shim, pid) = zygote.create(request).await.expect("create");
    shim.start().await.expect("start");
    (shim, pid)
}

/// Drives all futures on one task.
async fn join<T>(futures: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut waiting: Vec<_> = futures
        .into_iter()
        .map(|future| (Box::pin(future), None))
        .collect();
    std::future::poll_fn(|context| {
        for (future, result) in waiting.iter_mut().filter(|(_, result)| result.is_none()) {
            if let std::task::Poll::Ready(value) = future.as_mut().poll(context) {
                *result = Some(value);
            }
        }
        if waiting.iter().all(|(_, result)| result.is_some()) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    waiting.into_iter().filter_map(|(_, result)| result).collect()
}

fn prepare(base: &Path, number: usize, probe: &Path) -> CreateRequest {
    let id = format!("startup-{}-{number}", std::process::id());
    let (rootfs, state_dir) = (base.join("rootfs"), base.join("state"));
    fs::create_dir_all(&state_dir).expect("state directory");
    fs::create_dir_all(rootfs.join("bin")).expect("root directory");
    fs::copy(probe, rootfs.join("bin/probe")).expect("copy of the program");
    let mut spec = SpecInput {
        rootfs,
        cgroup_path: format!("/creel-startup-{}/{id}", std::process::id()),
        ..SpecInput::default()
    };
    spec.process.args = vec!["probe".into(), "forever".into()];
    spec.build()
        .expect("spec")
        .save(base.join("config.json"))
        .expect("config.json");
    CreateRequest {
        protocol: PROTOCOL,
        bundle: Bundle {
            id,
            bundle_dir: base.to_owned(),
            state_dir,
            filter_cache: filter_cache(base),
            cgroup: spec.cgroup_path,
            keep_fds: 0,
            sub_cgroup: None,
            shown_dir: None,
        },
        terminal: false,
        open_stdin: false,
        stdin_once: false,
        log: LogConfig {
            driver: LogDriver::JsonFile,
            path: base.join("json.log"),
            max_size: 0,
            max_file: 1,
            compress: false,
            attributes: Default::default(),
            buffer: None,
        },
        runtime: None,
    }
}

fn filter_cache(base: &Path) -> PathBuf {
    base.parent().unwrap_or(base).join("seccomp")
}

fn parent_of(pid: i32) -> i32 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("status");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("PPid:"))
        .expect("PPid");
    line.trim().parse().expect("a number")
}

fn memory(pid: i32) -> (usize, usize) {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("smaps_rollup");
    let field = |name: &str| -> usize {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap_or("0");
        line.split_whitespace()
            .next()
            .and_then(|number| number.parse().ok())
            .unwrap_or(0)
    };
    (field("Private_Dirty:"), field("Pss:"))
}
