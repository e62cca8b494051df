//! The image and the programs under test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

pub const NAME: &str = "helper:latest";

/// The image's files: the helper, a file to begin volumes with, users and groups.
pub fn archive() -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let program = std::fs::read(helper()).unwrap();
    let mut add = |path: &str, mode: u32, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_mode(mode);
        header.set_size(content.len() as u64);
        header.set_mtime(1_700_000_000);
        builder.append_data(&mut header, path, content).unwrap();
    };
    add("bin/helper", 0o755, &program);
    add("data/seed", 0o640, b"from the image\n");
    add(
        "etc/passwd",
        0o644,
        b"root:x:0:0::/root:/bin/sh\nweb:x:1000:1001::/home/web:/bin/sh\n",
    );
    add("etc/group", 0o644, b"root:x:0:\nweb:x:1001:\n");
    builder.into_inner().unwrap()
}

fn helper() -> &'static Path {
    static HELPER: OnceLock<PathBuf> = OnceLock::new();
    HELPER.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/engine/helper.c");
        let built = Path::new(env!("CARGO_TARGET_TMPDIR")).join("engine-test-helper");
        let status = Command::new("cc")
            .args(["-static", "-O1", "-o"])
            .arg(&built)
            .arg(&source)
            .status()
            .unwrap();
        assert!(status.success(), "cc builds {}", source.display());
        built
    })
}

/// The folder of the programs under test; `CREEL_ENGINE` names another build of the engine, with its shim beside it.
pub fn programs() -> &'static Path {
    static PROGRAMS: OnceLock<PathBuf> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        if let Some(engine) = std::env::var_os("CREEL_ENGINE") {
            return Path::new(&engine).parent().unwrap().to_owned();
        }
        let folder = Path::new(env!("CARGO_BIN_EXE_creel-engine")).parent().unwrap();
        let mut build = Command::new(env!("CARGO"));
        // Of the whole workspace, as it is always built: a package alone would be compiled with other features.
        build
            .args(["build", "--quiet", "--bin", "creel-shim"])
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap());
        if folder.ends_with("release") {
            build.arg("--release");
        }
        build.env("CARGO_TARGET_DIR", folder.parent().unwrap());
        assert!(build.status().unwrap().success(), "cargo builds creel-shim");
        folder.to_owned()
    })
}
