use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use creel_runtime::oci::{
    LinuxIdMappingBuilder, LinuxNamespaceBuilder, LinuxNamespaceType, RootBuilder, Spec,
};
use creel_runtime::spec::SpecInput;
use lexopt::{Arg, Parser};

use crate::Outcome;
use crate::cli;

/// The newest version of the specification that this runtime knows.
pub const VERSION: &str = "1.2.1";

/// `spec`: writes a `config.json` to begin with.
pub fn run(mut arguments: Parser) -> Outcome<()> {
    let (mut bundle, mut rootless) = (PathBuf::from("."), false);
    while let Some(argument) = arguments.next().map_err(cli::said)? {
        match argument {
            Arg::Long("bundle") | Arg::Short('b') => bundle = cli::path(&mut arguments)?,
            Arg::Long("rootless") => rootless = cli::flag(&mut arguments)?,
            other => return Err(cli::said(other.unexpected())),
        }
    }
    let path = bundle.join("config.json");
    let mut spec = example()?;
    if rootless {
        make_rootless(&mut spec)?;
    }
    let text = serde_json::to_string_pretty(&spec).map_err(|err| err.to_string())?;
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&path)
        .and_then(|mut file| writeln!(file, "{text}"));
    written.map_err(|err| match err.kind() {
        std::io::ErrorKind::AlreadyExists => format!("{} exists: remove it first", path.display()),
        _ => format!("write {}: {err}", path.display()),
    })
}

pub fn example() -> Outcome<Spec> {
    let mut input = SpecInput {
        rootfs: "rootfs".into(),
        hostname: Some("creel".into()),
        readonly_rootfs: true,
        ..SpecInput::default()
    };
    input.process.args = vec!["sh".into()];
    input.process.terminal = true;
    input.process.env = vec![
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into(),
        "TERM=xterm".into(),
    ];
    let mut spec = input.build().map_err(|err| err.to_string())?;
    let root = RootBuilder::default().path("rootfs").readonly(true).build();
    spec.set_root(Some(root.map_err(|err| err.to_string())?));
    if let Some(linux) = spec.linux_mut() {
        // Below the cgroup that the container's id names.
        linux.set_cgroups_path(None);
    }
    Ok(spec)
}

/// A user namespace in which this user is root, and nothing that takes more than that: no limits, the host's network and
/// its /sys.
fn make_rootless(spec: &mut Spec) -> Outcome<()> {
    // SAFETY: plain calls.
    let (uid, gid) = unsafe { (libc::geteuid(), libc::getegid()) };
    let mapped = |id: u32| {
        let mapping = LinuxIdMappingBuilder::default()
            .host_id(id)
            .container_id(0u32)
            .size(1u32);
        mapping
            .build()
            .map(|mapping| Some(vec![mapping]))
            .map_err(|err| err.to_string())
    };
    let linux = spec.linux_mut().as_mut().ok_or("the example has no linux")?;
    let mut namespaces = linux.namespaces().clone().unwrap_or_default();
    namespaces.retain(|namespace| namespace.typ() != LinuxNamespaceType::Network);
    let user = LinuxNamespaceBuilder::default()
        .typ(LinuxNamespaceType::User)
        .build();
    namespaces.push(user.map_err(|err| err.to_string())?);
    linux
        .set_namespaces(Some(namespaces))
        .set_resources(None)
        .set_sysctl(None)
        .set_uid_mappings(mapped(uid)?)
        .set_gid_mappings(mapped(gid)?);
    let mut mounts = spec.mounts().clone().unwrap_or_default();
    for mount in &mut mounts {
        let mut options = mount.options().clone().unwrap_or_default();
        if mount.destination() == Path::new("/sys") {
            mount.set_typ(Some("none".into())).set_source(Some("/sys".into()));
            options.insert(0, "rbind".into());
        }
        // No group but this one is known in there.
        options.retain(|option| !option.starts_with("gid="));
        mount.set_options(Some(options));
    }
    mounts.retain(|mount| mount.typ().as_deref() != Some("cgroup"));
    spec.set_mounts(Some(mounts));
    Ok(())
}
