use std::io;

use oci_spec::runtime::{Capabilities, LinuxCapabilities};

/// The five capability sets of a process, as bit masks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CapabilitySets {
    pub(crate) bounding: u64,
    pub(crate) permitted: u64,
    pub(crate) effective: u64,
    pub(crate) inheritable: u64,
    pub(crate) ambient: u64,
}

const PR_CAPBSET_READ: libc::c_int = 23;
const PR_CAPBSET_DROP: libc::c_int = 24;
const PR_CAP_AMBIENT: libc::c_int = 47;
const PR_CAP_AMBIENT_RAISE: libc::c_ulong = 2;
const PR_CAP_AMBIENT_CLEAR_ALL: libc::c_ulong = 4;
const CAPABILITY_VERSION_3: u32 = 0x2008_0522;

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

/// The names of the capabilities, each at its number.
pub const NAMES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

impl CapabilitySets {
    pub(crate) fn from_oci(spec: &LinuxCapabilities) -> Self {
        Self {
            bounding: mask(spec.bounding()),
            permitted: mask(spec.permitted()),
            effective: mask(spec.effective()),
            inheritable: mask(spec.inheritable()),
            ambient: mask(spec.ambient()),
        }
    }

    /// Makes these the sets of the calling thread, but for what it has not itself and cannot give. It needs CAP_SETPCAP
    /// while the bounding set shrinks.
    pub(crate) fn apply(&self) -> io::Result<()> {
        let own = permitted()?;
        for number in 0..64 {
            // SAFETY: plain prctl calls with integer arguments.
            let present = unsafe { libc::prctl(PR_CAPBSET_READ, number as libc::c_ulong, 0, 0, 0) };
            if present < 0 {
                break;
            }
            if present == 1 && self.bounding & (1 << number) == 0 {
                check(unsafe { libc::prctl(PR_CAPBSET_DROP, number as libc::c_ulong, 0, 0, 0) })?;
            }
        }
        check(unsafe { libc::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) })?;
        let header = Header {
            version: CAPABILITY_VERSION_3,
            pid: 0,
        };
        let half = |mask: u64, high: bool| if high { (mask >> 32) as u32 } else { mask as u32 };
        let data: [[u32; 3]; 2] = [false, true].map(|high| {
            [
                half(self.effective & own, high),
                half(self.permitted & own, high),
                half(self.inheritable & own, high),
            ]
        });
        // SAFETY: header and data have the layout of version 3 and outlive the call.
        if unsafe { libc::syscall(libc::SYS_capset, &header, data.as_ptr()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // The kernel takes no others.
        let ambient = self.ambient & self.permitted & self.inheritable & own;
        for number in (0..64).filter(|number| ambient & (1 << number) != 0) {
            check(unsafe {
                libc::prctl(
                    PR_CAP_AMBIENT,
                    PR_CAP_AMBIENT_RAISE,
                    number as libc::c_ulong,
                    0,
                    0,
                )
            })?;
        }
        Ok(())
    }
}

/// The permitted capabilities of the calling thread.
fn permitted() -> io::Result<u64> {
    let header = Header {
        version: CAPABILITY_VERSION_3,
        pid: 0,
    };
    let mut data = [[0u32; 3]; 2];
    // SAFETY: header and data have the layout of version 3 and outlive the call.
    if unsafe { libc::syscall(libc::SYS_capget, &header, data.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(u64::from(data[0][1]) | u64::from(data[1][1]) << 32)
}

/// Makes all permitted capabilities effective again; they cease to be when root becomes another user.
pub(crate) fn regain() -> io::Result<()> {
    let header = Header {
        version: CAPABILITY_VERSION_3,
        pid: 0,
    };
    let mut data = [[0u32; 3]; 2];
    // SAFETY: header and data have the layout of version 3 and outlive the calls.
    unsafe {
        if libc::syscall(libc::SYS_capget, &header, data.as_mut_ptr()) != 0 {
            return Err(io::Error::last_os_error());
        }
        for half in &mut data {
            half[0] = half[1];
        }
        if libc::syscall(libc::SYS_capset, &header, data.as_ptr()) != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// The mask of the capabilities a container can be given: those the kernel knows and this process has itself. Inside
/// another container that is less than all.
pub(crate) fn grantable() -> u64 {
    let known = (1u64 << NAMES.len()) - 1;
    permitted().map_or(known, |own| known & own)
}

fn mask(set: &Option<Capabilities>) -> u64 {
    set.iter().flatten().fold(0, |mask, capability| {
        let name = capability.to_string();
        let name = if name.starts_with("CAP_") {
            name
        } else {
            format!("CAP_{name}")
        };
        NAMES
            .iter()
            .position(|known| *known == name)
            .map_or(mask, |number| mask | 1 << number)
    })
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
