//! Generates the messages and services of proto/creel/engine/v1, without protoc.

use std::path::PathBuf;

/// Messages that the engine also keeps on disk, as JSON.
const STORED: [&str; 16] = [
    "ContainerSpec",
    "Mount",
    "File",
    "Device",
    "Resources",
    "Ulimit",
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
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
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
    Ok(())
}
