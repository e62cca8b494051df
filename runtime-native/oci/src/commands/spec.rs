use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

use creel_runtime::oci::{RootBuilder, Spec};
use creel_runtime::spec::SpecInput;
use lexopt::{Arg, Parser};

use crate::Outcome;
use crate::cli;

/// The newest version of the specification that this runtime knows.
pub const VERSION: &str = "1.2.1";

/// `spec`: writes a `config.json` to begin with.
pub fn run(mut arguments: Parser) -> Outcome<()> {
    let mut bundle = PathBuf::from(".");
    while let Some(argument) = arguments.next().map_err(cli::said)? {
        match argument {
            Arg::Long("bundle") | Arg::Short('b') => bundle = cli::path(&mut arguments)?,
            other => return Err(cli::said(other.unexpected())),
        }
    }
    let path = bundle.join("config.json");
    let text = serde_json::to_string_pretty(&example()?).map_err(|err| err.to_string())?;
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
