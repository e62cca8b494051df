use std::collections::HashMap;
use std::sync::OnceLock;

use oci_spec::runtime::Arch;

const TABLE: &str = include_str!("syscalls.txt");
const X32_BIT: u32 = 0x4000_0000;

/// The architectures whose system calls a policy can speak of, by their names in the specification.
pub const ARCHITECTURES: [&str; 4] = [
    "SCMP_ARCH_X86_64",
    "SCMP_ARCH_X86",
    "SCMP_ARCH_X32",
    "SCMP_ARCH_AARCH64",
];

/// A system call convention that a filter tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Abi {
    X86_64,
    X86,
    X32,
    Aarch64,
}

impl Abi {
    /// The convention of the programs this build runs on.
    pub(super) fn native() -> Self {
        if cfg!(target_arch = "aarch64") {
            Self::Aarch64
        } else {
            Self::X86_64
        }
    }

    /// The convention an OCI architecture names, if this build knows its numbers.
    pub(super) fn from_oci(arch: Arch) -> Option<Self> {
        match arch {
            Arch::ScmpArchNative => Some(Self::native()),
            Arch::ScmpArchX86_64 => Some(Self::X86_64),
            Arch::ScmpArchX86 => Some(Self::X86),
            Arch::ScmpArchX32 => Some(Self::X32),
            Arch::ScmpArchAarch64 => Some(Self::Aarch64),
            _ => None,
        }
    }

    /// The value the kernel puts into seccomp_data.arch. x86_64 and x32 share one.
    pub(super) fn audit(self) -> u32 {
        match self {
            Self::X86_64 | Self::X32 => 0xc000_003e,
            Self::X86 => 0x4000_0003,
            Self::Aarch64 => 0xc000_00b7,
        }
    }

    /// The number of a system call, x32 with its bit, or none if the convention lacks it.
    pub(super) fn number(self, name: &str) -> Option<u32> {
        let column = match self {
            Self::X86_64 => 0,
            Self::X86 => 1,
            Self::X32 => 2,
            Self::Aarch64 => 3,
        };
        let number = table().get(name)?[column]?;
        Some(if self == Self::X32 {
            number | X32_BIT
        } else {
            number
        })
    }

    /// The lowest number of this convention among those that share its audit value.
    pub(super) fn base(self) -> u32 {
        if self == Self::X32 { X32_BIT } else { 0 }
    }
}

/// Whether any convention of the table knows this system call.
pub(super) fn known(name: &str) -> bool {
    table().contains_key(name)
}

fn table() -> &'static HashMap<&'static str, [Option<u32>; 4]> {
    static PARSED: OnceLock<HashMap<&'static str, [Option<u32>; 4]>> = OnceLock::new();
    PARSED.get_or_init(|| {
        TABLE
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| {
                let mut fields = line.split(' ');
                let name = fields.next()?;
                let mut numbers = [None; 4];
                for number in &mut numbers {
                    *number = fields.next()?.parse().ok();
                }
                Some((name, numbers))
            })
            .collect()
    })
}
