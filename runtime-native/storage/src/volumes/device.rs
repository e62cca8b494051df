//! What a volume's options `type`, `o` and `device` mount as its content, as in Docker's local driver.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::net::{IpAddr, ToSocketAddrs};

use rustix::mount::MountFlags;

use super::Volume;
use crate::error::{ErrorKind, Result, StorageError};

const KNOWN: [&str; 3] = ["type", "o", "device"];
/// Words of `o` that are the kernel's flags, and whether they set or clear them; all others are the file system's own.
const FLAGS: [(&str, bool, MountFlags); 20] = [
    ("ro", true, MountFlags::RDONLY),
    ("rw", false, MountFlags::RDONLY),
    ("nosuid", true, MountFlags::NOSUID),
    ("suid", false, MountFlags::NOSUID),
    ("nodev", true, MountFlags::NODEV),
    ("dev", false, MountFlags::NODEV),
    ("noexec", true, MountFlags::NOEXEC),
    ("exec", false, MountFlags::NOEXEC),
    ("sync", true, MountFlags::SYNCHRONOUS),
    ("async", false, MountFlags::SYNCHRONOUS),
    ("dirsync", true, MountFlags::DIRSYNC),
    ("noatime", true, MountFlags::NOATIME),
    ("atime", false, MountFlags::NOATIME),
    ("nodiratime", true, MountFlags::NODIRATIME),
    ("diratime", false, MountFlags::NODIRATIME),
    ("relatime", true, MountFlags::RELATIME),
    ("norelatime", false, MountFlags::RELATIME),
    ("strictatime", true, MountFlags::STRICTATIME),
    ("silent", true, MountFlags::SILENT),
    ("defaults", false, MountFlags::empty()),
];

/// A mount to make.
pub(super) struct Device {
    kind: String,
    source: String,
    flags: MountFlags,
    bind: Option<bool>,
    data: Vec<String>,
}

impl Device {
    /// What the options ask for; `None` for a plain directory.
    pub(super) fn of(options: &BTreeMap<String, String>) -> Result<Option<Self>> {
        let bad = |text: String| StorageError::new(ErrorKind::InvalidArgument, text);
        if let Some(key) = options.keys().find(|key| !KNOWN.contains(&key.as_str())) {
            let text = match key.as_str() {
                "size" => {
                    "quota size requested but no quota support; for a tmpfs write it as o=size=…".to_owned()
                }
                _ => format!("invalid option: {key:?}"),
            };
            return Err(bad(text));
        }
        if options.is_empty() {
            return Ok(None);
        }
        let given = |key: &str| match options.get(key).filter(|value| !value.is_empty()) {
            Some(value) => Ok(value.clone()),
            None => Err(bad(format!("missing required option: {key:?}"))),
        };
        let mut device = Self {
            kind: given("type")?,
            source: given("device")?,
            flags: MountFlags::empty(),
            bind: None,
            data: Vec::new(),
        };
        let words = options.get("o").map_or("", String::as_str);
        for word in words.split(',').filter(|word| !word.is_empty()) {
            match (word, FLAGS.iter().find(|(known, ..)| *known == word)) {
                ("bind" | "rbind", _) => device.bind = Some(word == "rbind"),
                (_, Some((_, true, flag))) => device.flags |= *flag,
                (_, Some((_, false, flag))) => device.flags -= *flag,
                (_, None) => device.data.push(word.to_owned()),
            }
        }
        if words.contains('\0') || device.kind.contains('\0') || device.source.contains('\0') {
            return Err(bad("volume options cannot hold a zero byte".to_owned()));
        }
        Ok(Some(device))
    }

    /// Mounts it as the volume's content.
    pub(super) fn mount(&self, volume: &Volume) -> Result<()> {
        let failed = |error: std::io::Error| {
            let hint = match error.raw_os_error() {
                Some(libc::ENODEV) => format!("; this kernel has no {} (see /proc/filesystems)", self.kind),
                _ => String::new(),
            };
            let what = format!(
                "failed to mount local volume {}: mount {}",
                volume.name, self.source
            );
            StorageError::new(ErrorKind::InvalidArgument, format!("{what}: {error}{hint}"))
        };
        let target = &volume.mountpoint;
        if let Some(recursive) = self.bind {
            match recursive {
                true => rustix::mount::mount_bind_recursive(&self.source, target),
                false => rustix::mount::mount_bind(&self.source, target),
            }
            .map_err(|e| failed(e.into()))?;
            if self.flags.is_empty() {
                return Ok(());
            }
            // The kernel takes the flags of a bind mount in a second step only.
            let set = rustix::mount::mount_remount(target, MountFlags::BIND | self.flags, "");
            return set.map_err(|e| {
                let _ = crate::tree::unmount(target);
                failed(e.into())
            });
        }
        let data = self.resolved().map_err(failed)?.join(",");
        let data = CString::new(data).map_err(|e| failed(e.into()))?;
        rustix::mount::mount(&*self.source, target, &*self.kind, self.flags, data.as_c_str())
            .map_err(|e| failed(e.into()))
    }

    /// The file system's own options; a server's name becomes an address, since the kernel asks no DNS.
    fn resolved(&self) -> std::io::Result<Vec<String>> {
        let network = self.kind.starts_with("nfs") || self.kind == "cifs";
        let resolve = |word: &String| match word.strip_prefix("addr=") {
            Some(host) if network && host.parse::<IpAddr>().is_err() => {
                let found = (host, 0).to_socket_addrs()?.next();
                let missing = || std::io::Error::other(format!("{host} has no address"));
                Ok(format!("addr={}", found.ok_or_else(missing)?.ip()))
            }
            _ => Ok(word.clone()),
        };
        self.data.iter().map(resolve).collect()
    }
}
