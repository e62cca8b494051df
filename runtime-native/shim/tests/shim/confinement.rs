//! What a process in a container may do, and what it finds there.

use std::collections::HashMap;

use crate::common::{Fixture, Options};
use creel_runtime::spec::{MountInput, NamespaceMode, SeccompInput, SpecInput, Ulimit, User};

fn changed(change: impl FnOnce(&mut SpecInput) + Send + 'static) -> Options {
    Options {
        change: Some(Box::new(change)),
        ..Options::default()
    }
}

fn fields(text: &str, separator: char) -> HashMap<&str, &str> {
    text.lines()
        .filter_map(|line| line.split_once(separator))
        .map(|(key, value)| (key, value.trim()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn status_is_what_docker_gives() {
    let fixture = Fixture::new();
    let (code, status, stderr) = fixture
        .run(&["probe", "show", "/proc/self/status"], Options::default())
        .await;
    assert_eq!((code, stderr.as_str()), (0, ""));
    let status = fields(&status, ':');
    for (field, value) in [
        ("CapInh", "0000000000000000"),
        ("CapPrm", "00000000a80425fb"),
        ("CapEff", "00000000a80425fb"),
        ("CapBnd", "00000000a80425fb"),
        ("CapAmb", "0000000000000000"),
        ("NoNewPrivs", "0"),
        ("Seccomp", "2"),
        ("Seccomp_filters", "1"),
        ("SigBlk", "0000000000000000"),
        ("SigIgn", "0000000000000000"),
        ("Umask", "0022"),
        ("NSpid", "1"),
        ("Uid", "0\t0\t0\t0"),
        ("Groups", "0"),
    ] {
        let found = status.get(field).copied().unwrap_or_default();
        if field == "Groups" && found.is_empty() {
            continue;
        }
        assert_eq!(found, value, "{field}");
    }

    let user = changed(|spec| {
        spec.process.user = User {
            uid: 1000,
            gid: 1001,
            additional_gids: vec![44],
        };
        spec.no_new_privileges = true;
        spec.cap_drop = vec!["ALL".into()];
        spec.cap_add = vec!["NET_ADMIN".into()];
    });
    let (code, status, _) = fixture.run(&["probe", "show", "/proc/self/status"], user).await;
    assert_eq!(code, 0);
    let status = fields(&status, ':');
    assert_eq!(status["Uid"], "1000\t1000\t1000\t1000");
    assert_eq!(status["Groups"], "44");
    assert_eq!(status["NoNewPrivs"], "1");
    assert_eq!(status["CapBnd"], "0000000000001000");
    assert_eq!(status["CapEff"], "0000000000000000");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_default_seccomp_policy_holds() {
    let fixture = Fixture::new();
    let (code, text, stderr) = fixture.run(&["probe", "seccomp"], Options::default()).await;
    assert_eq!((code, stderr.as_str()), (0, ""));
    let calls = fields(&text, '=');
    for (call, answer) in [
        ("unshare", "EPERM"),
        ("userns", "EPERM"),
        ("clone3", "ENOSYS"),
        ("future", "ENOSYS"),
        ("keyctl", "EPERM"),
        ("vsock", "EPERM"),
        ("inet", "ok"),
        ("personality", "ok"),
        ("persona-bad", "EPERM"),
    ] {
        assert_eq!(calls[call], answer, "{call}");
    }
    let profile = r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[
        {"names":["unshare"],"action":"SCMP_ACT_ERRNO","errnoRet":95},
        {"names":["keyctl"],"action":"SCMP_ACT_ERRNO","args":[{"index":0,"value":0,"op":"SCMP_CMP_EQ"}],"errnoRet":61}]}"#;
    let own = changed(move |spec| spec.seccomp = SeccompInput::Profile(profile.into()));
    let (_, text, _) = fixture.run(&["probe", "seccomp"], own).await;
    let calls = fields(&text, '=');
    assert_eq!(
        (calls["unshare"], calls["keyctl"], calls["clone3"]),
        ("EOPNOTSUPP", "ENODATA", "EINVAL")
    );
    let (_, text, _) = fixture
        .run(
            &["probe", "seccomp"],
            changed(|spec| spec.seccomp = SeccompInput::Unconfined),
        )
        .await;
    let calls = fields(&text, '=');
    assert_eq!((calls["unshare"], calls["clone3"]), ("EPERM", "EINVAL"));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_usual_files_are_open_and_devices_are_closed() {
    let fixture = Fixture::new();
    let (_, fds, _) = fixture.run(&["probe", "fds"], Options::default()).await;
    assert_eq!(fds, "fd 0\nfd 1\nfd 2\n");
    let (_, text, _) = fixture.run(&["probe", "mknod"], Options::default()).await;
    let calls = fields(&text, '=');
    assert_eq!((calls["mknod"], calls["open"]), ("ok", "EPERM"));
    let (_, text, _) = fixture
        .run(
            &[
                "probe",
                "write",
                "/proc/sys/kernel/domainname",
                "write",
                "/sys/x",
                "show",
                "/proc/kcore",
            ],
            Options::default(),
        )
        .await;
    assert!(text.contains("/proc/sys/kernel/domainname=EROFS"), "{text}");
    assert!(text.contains("/sys/x=EROFS"), "{text}");
    let v1 = "/sys/fs/cgroup/pids/pids.max";
    if std::path::Path::new("/sys/fs/cgroup/pids").exists() {
        let (_, text, _) = fixture
            .run(&["probe", "show", v1, "write", v1], Options::default())
            .await;
        assert_eq!(text, format!("max\n{v1}=EROFS\n"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mounts_environment_and_limits() {
    let fixture = Fixture::new();
    let shared = fixture.directory.path().join("shared");
    std::fs::create_dir(&shared).unwrap();
    std::fs::write(shared.join("file"), "from the host\n").unwrap();
    let source = shared.clone();
    let options = changed(move |spec| {
        let bind = |destination: &str, mode: &str| MountInput {
            destination: destination.into(),
            kind: "bind".into(),
            source: source.clone(),
            options: vec!["rbind".into(), "rprivate".into(), mode.into()],
            shown_inside: false,
        };
        spec.mounts = vec![bind("/ro", "ro"), bind("/rw", "rw")];
        spec.mounts.push(MountInput {
            destination: "/scratch".into(),
            kind: "tmpfs".into(),
            source: "tmpfs".into(),
            options: vec!["size=1m".into(), "noexec".into()],
            shown_inside: false,
        });
        spec.readonly_rootfs = true;
        spec.process.env = vec!["B=2".into(), "A=1".into(), "EMPTY".into()];
        spec.process.cwd = "/made/for/it".into();
        spec.ulimits = vec![Ulimit {
            name: "nofile".into(),
            soft: 321,
            hard: 654,
        }];
        spec.resources.memory = 64 << 20;
        spec.resources.pids = 17;
        spec.resources.nano_cpus = 500_000_000;
        spec.oom_score_adj = Some(123);
    });
    let script = [
        "probe",
        "show",
        "/ro/file",
        "write",
        "/ro/new",
        "write",
        "/rw/new",
        "write",
        "/new",
        "write",
        "/scratch/new",
        "env",
        "pwd",
        "host",
        "show",
        "/proc/self/limits",
        "show",
        "/proc/self/oom_score_adj",
        "show",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "show",
        "/sys/fs/cgroup/pids/pids.max",
        "show",
        "/sys/fs/cgroup/cpu/cpu.cfs_quota_us",
    ];
    let (code, text, stderr) = fixture.run(&script, options).await;
    assert_eq!((code, stderr.as_str()), (0, ""), "{text}");
    for line in [
        "from the host",
        "/ro/new=EROFS",
        "/rw/new=ok",
        "/new=EROFS",
        "/scratch/new=ok",
        "B=2\nA=1\n",
        "HOME=/",
        "/made/for/it",
        "probe-host",
        "123\n",
    ] {
        assert!(text.contains(line), "{line:?} is not in {text}");
    }
    assert!(!text.contains("EMPTY"));
    let files = text
        .lines()
        .find(|line| line.starts_with("Max open files"))
        .unwrap();
    assert_eq!(
        files.split_whitespace().skip(3).take(2).collect::<Vec<_>>(),
        ["321", "654"]
    );
    if std::path::Path::new("/sys/fs/cgroup/memory").exists() {
        for value in ["67108864\n", "17\n", "50000\n"] {
            assert!(text.contains(value), "{value:?} is not in {text}");
        }
    }
    assert!(shared.join("new").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_is_limited_and_the_kill_is_recorded() {
    let fixture = Fixture::new();
    let options = changed(|spec| spec.resources.memory = 32 << 20);
    let container = fixture.create_with(&["probe", "hog"], options).await.unwrap();
    container.shim.start().await.unwrap();
    let exit = container.shim.wait().await.unwrap();
    assert_eq!((exit.code, exit.signal, exit.oom_killed), (137, Some(9), true));
    container.assert_nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_host_s_namespaces_can_be_shared_and_strays_are_killed() {
    let fixture = Fixture::new();
    let options = changed(|spec| {
        spec.namespaces.pid = NamespaceMode::Host;
        spec.namespaces.ipc = NamespaceMode::Host;
        spec.namespaces.uts = NamespaceMode::Host;
        spec.namespaces.network = NamespaceMode::Host;
    });
    let container = fixture
        .create_with(&["probe", "pid", "fork", "exit", "3"], options)
        .await
        .unwrap();
    container.shim.start().await.unwrap();
    assert_eq!(container.shim.wait().await.unwrap().code, 3);
    container.assert_nothing_left().await;
    assert_eq!(container.logged()[0].1, format!("{}\n", container.pid));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_privileged_container_has_everything() {
    let fixture = Fixture::new();
    let options = changed(|spec| spec.privileged = true);
    let (code, text, stderr) = fixture
        .run(
            &[
                "probe",
                "show",
                "/proc/self/status",
                "write",
                "/proc/sys/kernel/domainname",
            ],
            options,
        )
        .await;
    assert_eq!((code, stderr.as_str()), (0, ""), "{text}");
    let status = fields(&text, ':');
    assert_eq!(status["Seccomp"], "0");
    assert_eq!(status["CapEff"], status["CapBnd"]);
    let own = std::fs::read_to_string("/proc/self/status").unwrap();
    assert_eq!(status["CapEff"], fields(&own, ':')["CapPrm"]);
    assert!(text.contains("/proc/sys/kernel/domainname=ok"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_link_of_the_image_leads_a_mount_astray() {
    let fixture = Fixture::new();
    let host = fixture.directory.path().join("host");
    let volume = fixture.directory.path().join("volume");
    std::fs::create_dir(&host).unwrap();
    std::fs::create_dir(&volume).unwrap();
    std::fs::write(volume.join("mark"), "the volume\n").unwrap();
    let bind = |destination: &str| MountInput {
        destination: destination.into(),
        kind: "bind".into(),
        source: volume.clone(),
        options: vec!["rbind".into(), "rprivate".into()],
        shown_inside: false,
    };

    // To a directory of the host: what is found there is the image's own.
    let (mount, away) = (bind("/away/made"), host.clone());
    let options = changed(move |spec| {
        std::os::unix::fs::symlink(&away, spec.rootfs.join("away")).unwrap();
        std::fs::create_dir_all(spec.rootfs.join(away.strip_prefix("/").unwrap())).unwrap();
        spec.mounts = vec![mount];
    });
    let (code, text, stderr) = fixture.run(&["probe", "show", "/away/made/mark"], options).await;
    assert_eq!((code, text.as_str(), stderr.as_str()), (0, "the volume\n", ""));
    assert_eq!(std::fs::read_dir(&host).unwrap().count(), 0);

    // Into /proc, where it would stand in for what the kernel says.
    let mount = bind("/lie/sys");
    let options = changed(move |spec| {
        std::os::unix::fs::symlink("/proc", spec.rootfs.join("lie")).unwrap();
        spec.mounts = vec![mount];
    });
    let refused = fixture.create_with(&["probe", "pid"], options).await;
    let text = refused.err().expect("it is refused").to_string();
    assert!(text.contains("proc"), "{text}");

    // In the place of /proc itself.
    let elsewhere = changed(|spec| {
        std::fs::remove_dir(spec.rootfs.join("proc")).unwrap();
        std::os::unix::fs::symlink("/tmp", spec.rootfs.join("proc")).unwrap();
    });
    assert!(fixture.create_with(&["probe", "pid"], elsewhere).await.is_err());
}
