//! Which image of an index this machine can run.

use serde::Deserialize;

/// The platform that an index states for a manifest.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Platform {
    #[serde(default)]
    pub architecture: String,
    #[serde(default)]
    pub os: String,
    #[serde(default)]
    pub variant: Option<String>,
}

/// This machine's architecture in the words of images.
pub(crate) fn host_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
        "loongarch64" => "loong64",
        "riscv64gc" => "riscv64",
        other => other,
    }
}

/// How well a platform suits this machine; zero is not at all.
pub(super) fn score(platform: Option<&Platform>) -> u32 {
    let Some(platform) = platform else { return 1 };
    if platform.os != "linux" {
        return 0;
    }
    let host = host_architecture();
    let variant = platform.variant.as_deref().unwrap_or("");
    if platform.architecture == host {
        return match (host, variant) {
            ("amd64", "" | "v1") | ("arm64", "" | "v8") | ("arm", "v7") => 10,
            (_, "") => 9,
            // A newer level of instructions may be more than this machine has.
            _ => 3,
        };
    }
    match (host, platform.architecture.as_str()) {
        ("amd64", "386") | ("arm64", "arm") => 2,
        _ => 0,
    }
}
