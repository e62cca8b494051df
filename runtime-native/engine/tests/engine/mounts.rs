//! Volumes, binds, tmpfs, and the files that live in memory.

use std::os::unix::process::CommandExt;
use std::process::Command;

use creel_engine::proto::{self, ContainerSpec, Mount};

use crate::host::drop_capability;
use crate::requests::{assert_code, spec};
use crate::test_engine::TestEngine;

fn mount(kind: &str, source: &str, target: &str) -> Mount {
    Mount {
        r#type: kind.into(),
        source: source.into(),
        target: target.into(),
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mounts_of_every_kind() {
    let engine = TestEngine::start().await;
    let with = |mounts: Vec<Mount>, words: &[&str]| ContainerSpec {
        mounts,
        ..spec(words)
    };
    // An empty volume is filled with what the image has there, and keeps what is written.
    let (code, output) = engine
        .run(with(
            vec![mount("volume", "seeded", "/data")],
            &["cat", "/data/seed"],
        ))
        .await;
    assert_eq!((code, output.as_str()), (0, "from the image\n"));
    let write = with(
        vec![mount("volume", "seeded", "/data")],
        &["write", "/data/more", "kept"],
    );
    assert_eq!(engine.run(write).await.0, 0);
    let (_, output) = engine
        .run(with(
            vec![mount("volume", "seeded", "/v")],
            &["cat", "/v/seed", "/v/more"],
        ))
        .await;
    assert_eq!(output, "from the image\nkept");
    let read_only = Mount {
        read_only: true,
        ..mount("volume", "seeded", "/v")
    };
    assert_ne!(
        engine
            .run(with(vec![read_only], &["write", "/v/x", "no"]))
            .await
            .0,
        0
    );

    let host = engine.dir.path().join("host");
    std::fs::create_dir(&host).unwrap();
    let bind = mount("bind", host.to_str().unwrap(), "/bound");
    assert_eq!(
        engine
            .run(with(vec![bind], &["write", "/bound/out", "seen"]))
            .await
            .0,
        0
    );
    assert_eq!(std::fs::read_to_string(host.join("out")).unwrap(), "seen");
    let tmpfs = Mount {
        tmpfs_size: 1 << 20,
        ..mount("tmpfs", "", "/scratch")
    };
    assert_eq!(
        engine
            .run(with(vec![tmpfs], &["write", "/scratch/x", "y"]))
            .await
            .0,
        0
    );

    let (_, output) = engine
        .run(spec(&["cat", "/etc/hostname", "/etc/resolv.conf", "/etc/hosts"]))
        .await;
    assert!(
        output.contains("nameserver") && output.contains("localhost") && output.contains("172.17.0."),
        "{output}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_live_in_memory_alone() {
    let mut engine = TestEngine::start().await;
    let file = proto::File {
        target: "/run/secrets/key".into(),
        data: b"hunter2-in-memory".to_vec(),
        uid: 1000,
        gid: 1001,
        mode: 0o400,
    };
    let with = ContainerSpec {
        files: vec![file],
        user: "web".into(),
        ..spec(&["cat", "/run/secrets/key"])
    };
    let held = ContainerSpec {
        cmd: vec!["sleep".into(), "600".into()],
        ..with.clone()
    };
    engine.create("holder", held).await.unwrap();
    engine.start_container("holder").await.unwrap();
    let run = engine.shim_dir("holder").await;
    assert_no_secret(&[run.join("config.json"), run.join("input.json")]);
    engine.remove("holder").await.unwrap();
    let id = engine.create("keeper", with).await.unwrap();
    let told = engine.inspect(&id).await.unwrap();
    assert_eq!(told.spec.unwrap().files[0].data, b"");
    let tmpfs = format!("exec/containers/{id}/files tmpfs ");
    assert!(engine.mounts().contains(&tmpfs));
    engine.kill();
    engine.spawn().await;
    engine.start_container(&id).await.unwrap();
    assert_eq!(engine.wait_for(&id).await, 0);
    assert_eq!(engine.logs(&id).await, "hunter2-in-memory");
    let kept = engine.dir.path().join("data/containers").join(&id);
    assert_no_secret(&[kept.join("container.json"), kept.join("state.json")]);
    assert!(!engine.mounts().contains(&tmpfs), "it ends with the run");
    assert_code(&engine.start_container(&id).await.unwrap_err(), "conflict");
    engine.remove(&id).await.unwrap();
    engine.settled().await;
    assert_eq!(engine.leftovers(), Vec::<String>::new());
}

fn assert_no_secret(files: &[std::path::PathBuf]) {
    for file in files {
        let text = std::fs::read(file).unwrap();
        assert!(
            !String::from_utf8_lossy(&text).contains("hunter2"),
            "{}",
            file.display()
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_engine_knows_is_for_no_process_without_the_right_to_look() {
    const SYS_PTRACE: libc::c_ulong = 19;
    // The same user with the same capabilities: only what cannot be dumped is refused.
    let with_as_little = |program: &str, words: &[&str]| {
        let mut command = Command::new(program);
        command.args(words);
        // SAFETY: only system calls, between fork and exec.
        unsafe { command.pre_exec(|| drop_capability(SYS_PTRACE)) };
        command
    };
    let look = |pid: u32, file: &str| {
        let path = format!("/proc/{pid}/{file}");
        let shown = with_as_little("head", &["-c", "1", &path]).output().unwrap();
        String::from_utf8_lossy(&shown.stderr).into_owned()
    };
    let mut engine = TestEngine::start().await;
    engine.kill();
    engine.without = Some(SYS_PTRACE);
    engine.spawn().await;
    let mut other = with_as_little("sleep", &["600"]).spawn().unwrap();
    const FILES: [&str; 2] = ["mem", "root/etc/passwd"];
    let others = FILES.map(|file| look(other.id(), file));
    other.kill().unwrap();
    other.wait().unwrap();
    for (file, said) in FILES.iter().zip(others) {
        let denied = |said: &str| said.contains("Permission denied");
        assert!(!denied(&said), "another process's can be opened: {file}: {said}");
        let said = look(engine.pid(), file);
        assert!(denied(&said), "{file}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn anonymous_volumes_go_with_their_container() {
    let engine = TestEngine::start().await;
    engine.import(&["VOLUME /cache"]).await;
    let id = engine.create("cached", spec(&["ls", "/cache"])).await.unwrap();
    let listed = || async {
        engine
            .volumes()
            .list(proto::ListVolumesRequest { sizes: false })
            .await
            .unwrap()
            .into_inner()
            .volumes
    };
    assert_eq!(listed().await.len(), 1);
    let name = listed().await[0].name.clone();
    let remove = proto::RemoveVolumeRequest { name, force: false };
    assert_code(
        &engine.volumes().remove(remove).await.unwrap_err(),
        "volume_in_use",
    );
    engine.remove(&id).await.unwrap();
    assert!(listed().await.is_empty());
}
