//! Generates the messages and services of proto/creel/engine/v1, without protoc.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Messages that the engine also keeps on disk, as JSON.
const STORED: [&str; 18] = [
    "HealthResult",
    "ContainerSpec",
    "Mount",
    "File",
    "Device",
    "Resources",
    "Ulimit",
    "BlkioDevice",
    "Security",
    "NetworkAttachment",
    "PortBinding",
    "Dns",
    "LogConfig",
    "RestartPolicy",
    "Healthcheck",
    "Network",
    "Endpoint",
    "BoundPort",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    println!(
        "cargo:rerun-if-changed={}",
        root.join("creel/engine/v1").display()
    );
    println!("cargo:rerun-if-changed=build.rs");
    let files = protox::compile(["creel/engine/v1/engine.proto"], [&root])?;
    let mut builder = tonic_prost_build::configure()
        .build_transport(false)
        // A secret's bytes never reach the disk with the container's record.
        .field_attribute(".creel.engine.v1.File.data", "#[serde(skip)]");
    for name in STORED {
        let path = format!(".creel.engine.v1.{name}");
        builder = builder
            .type_attribute(&path, "#[derive(serde::Serialize, serde::Deserialize)]")
            .type_attribute(&path, "#[serde(default)]");
    }
    builder.compile_fds(files)?;
    build_init(&PathBuf::from(env::var("OUT_DIR")?).join("creel-init"))
}

/// The program of `--init`, which the engine holds within itself: linked statically, whatever the engine is.
fn build_init(output: &Path) -> Result<(), Box<dyn std::error::Error>> {
    const SOURCE: &str = "init/main.rs";
    println!("cargo:rerun-if-changed={SOURCE}");
    let mut rustc = Command::new(env::var("RUSTC")?);
    rustc.args([
        "--edition",
        "2024",
        "--crate-type",
        "bin",
        "--crate-name",
        "creel_init",
    ]);
    rustc.args(["--target", &env::var("TARGET")?]);
    if let Ok(linker) = env::var("RUSTC_LINKER") {
        rustc.arg(format!("-Clinker={linker}"));
    }
    rustc.args(
        [
            "panic=abort",
            "opt-level=s",
            "strip=symbols",
            "target-feature=+crt-static",
        ]
        .map(|o| format!("-C{o}")),
    );
    let libraries = [
        "-Wl,-Bstatic",
        "-Wl,--start-group",
        "-lc",
        "-lgcc",
        "-lgcc_eh",
        "-Wl,--end-group",
    ];
    rustc.args(libraries.map(|argument| format!("-Clink-arg={argument}")));
    let made = rustc.arg("-o").arg(output).arg(SOURCE).status()?;
    if made.success() {
        return Ok(());
    }
    Err(
        format!("{SOURCE} does not build: {made} (Debian: libc6-dev has the C library to link statically)")
            .into(),
    )
}
