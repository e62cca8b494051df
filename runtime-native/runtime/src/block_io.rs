//! Weights and rates of block devices, in the cgroup of whichever version has them.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxBlockIo, LinuxResources};

use crate::RuntimeError;
use crate::cgroup::Cgroup;

/// A file of every cgroup of the v1 controller, whatever else the kernel can do.
const ON_V1: &str = "blkio.reset_stats";
/// The file of the v2 controller for rates, in every cgroup that it is given to.
const ON_V2: &str = "io.max";

/// Sets what the resources say of block I/O. Weights of leaves are left out: they were CFQ's, which Linux has no more.
pub(crate) fn apply(cgroup: &Cgroup, resources: &LinuxResources) -> Result<(), RuntimeError> {
    let Some(asked) = resources.block_io() else {
        return Ok(());
    };
    let weight = asked.weight().filter(|weight| *weight > 0);
    if weight.is_none() && device_weights(asked).next().is_none() && rates(asked).next().is_none() {
        return Ok(());
    }
    let with = |file: &str| {
        let mut places = cgroup.places().map(|(path, _)| path);
        places.find(|path| path.join(file).exists())
    };
    if let Some(directory) = with(ON_V1) {
        if let Some(weight) = weight {
            let file = first(directory, ["blkio.weight", "blkio.bfq.weight"])?;
            put(&file, &weight.to_string())?;
        }
        for (device, weight) in device_weights(asked) {
            let file = first(directory, ["blkio.weight_device", "blkio.bfq.weight_device"])?;
            put(&file, &format!("{device} {weight}"))?;
        }
        for Rate { v1, device, rate, .. } in rates(asked) {
            put(&directory.join(v1), &format!("{device} {rate}"))?;
        }
        return Ok(());
    }
    let directory = with(ON_V2).ok_or_else(|| failed("no cgroup of this machine has a controller for it"))?;
    if let Some(weight) = weight {
        let file = first(directory, ["io.bfq.weight", "io.weight"])?;
        put(&file, &on_scale_of(&file, weight).to_string())?;
    }
    for (device, weight) in device_weights(asked) {
        let file = first(directory, ["io.bfq.weight", "io.weight"])?;
        put(&file, &format!("{device} {}", on_scale_of(&file, weight)))?;
    }
    for Rate { v2, device, rate, .. } in rates(asked) {
        // What has no limit is 0 on v1.
        let rate = if rate == 0 {
            "max".to_owned()
        } else {
            rate.to_string()
        };
        put(&directory.join(ON_V2), &format!("{device} {v2}={rate}"))?;
    }
    Ok(())
}

/// A device's bytes or operations a second.
struct Rate {
    /// Their file on v1.
    v1: &'static str,
    /// Their name in the file on v2.
    v2: &'static str,
    device: String,
    rate: u64,
}

fn rates(asked: &LinuxBlockIo) -> impl Iterator<Item = Rate> {
    let all = [
        (
            "blkio.throttle.read_bps_device",
            "rbps",
            asked.throttle_read_bps_device(),
        ),
        (
            "blkio.throttle.write_bps_device",
            "wbps",
            asked.throttle_write_bps_device(),
        ),
        (
            "blkio.throttle.read_iops_device",
            "riops",
            asked.throttle_read_iops_device(),
        ),
        (
            "blkio.throttle.write_iops_device",
            "wiops",
            asked.throttle_write_iops_device(),
        ),
    ];
    all.into_iter().flat_map(|(v1, v2, limits)| {
        limits.iter().flatten().map(move |limit| Rate {
            v1,
            v2,
            device: format!("{}:{}", limit.major(), limit.minor()),
            rate: limit.rate(),
        })
    })
}

fn device_weights(asked: &LinuxBlockIo) -> impl Iterator<Item = (String, u16)> {
    let devices = asked.weight_device().iter().flatten();
    devices.filter_map(|device| Some((format!("{}:{}", device.major(), device.minor()), device.weight()?)))
}

/// `io.bfq.weight` takes the spec's weights as they are, `io.weight` has 1 to 10000 for their 10 to 1000.
fn on_scale_of(file: &Path, weight: u16) -> u32 {
    match file.ends_with("io.weight") {
        true => 1 + u32::from(weight.saturating_sub(10)) * 9999 / 990,
        false => weight.into(),
    }
}

fn first(directory: &Path, files: [&str; 2]) -> Result<PathBuf, RuntimeError> {
    let paths = files.map(|name| directory.join(name));
    let text = || format!("the kernel has neither {} nor {}", files[0], files[1]);
    paths
        .into_iter()
        .find(|path| path.exists())
        .ok_or_else(|| failed(&text()))
}

fn put(file: &Path, text: &str) -> Result<(), RuntimeError> {
    let written = fs::OpenOptions::new().write(true).open(file);
    let written = written.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|err| {
        let why = match err.raw_os_error() {
            Some(libc::EOPNOTSUPP) => " (weights of a device need bfq as its scheduler, or iocost)",
            Some(libc::ENODEV) => " (there is no such disk)",
            _ => "",
        };
        failed(&format!("write {text:?} to {}: {err}{why}", file.display()))
    })
}

fn failed(reason: &str) -> RuntimeError {
    RuntimeError::Failed(format!("limit block I/O: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_go_from_one_end_of_the_scale_to_the_other() {
        let scaled = |file: &str| [10, 100, 500, 1000].map(|weight| on_scale_of(Path::new(file), weight));
        assert_eq!(scaled("/a/io.weight"), [1, 910, 4950, 10_000]);
        assert_eq!(scaled("/a/io.bfq.weight"), [10, 100, 500, 1000]);
    }
}
