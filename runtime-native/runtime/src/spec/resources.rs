use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use oci_spec::runtime::{
    LinuxBlockIo, LinuxCpuBuilder, LinuxDeviceCgroup, LinuxDeviceCgroupBuilder, LinuxDeviceType,
    LinuxMemoryBuilder, LinuxPidsBuilder, LinuxResources, LinuxResourcesBuilder, LinuxThrottleDevice,
    LinuxThrottleDeviceBuilder, LinuxWeightDeviceBuilder,
};

use super::{DeviceInput, ResourcesInput, invalid};
use crate::RuntimeError;

const DEFAULT_PERIOD: u64 = 100_000;

pub(super) fn build(
    input: &ResourcesInput,
    devices: &[DeviceInput],
    privileged: bool,
) -> Result<LinuxResources, RuntimeError> {
    let mut resources = LinuxResourcesBuilder::default().devices(device_rules(input, devices, privileged)?);
    if let Some(memory) = memory(input)? {
        resources = resources.memory(memory);
    }
    if let Some(cpu) = cpu(input)? {
        resources = resources.cpu(cpu);
    }
    if let Some(block_io) = block_io(input)? {
        resources = resources.block_io(block_io);
    }
    if input.pids != 0 {
        resources = resources.pids(invalid(LinuxPidsBuilder::default().limit(input.pids).build())?);
    }
    invalid(resources.build())
}

impl ResourcesInput {
    /// The limits in the runtime's form, checked.
    pub fn limits(&self) -> Result<LinuxResources, RuntimeError> {
        build(self, &[], false)
    }
}

fn block_io(input: &ResourcesInput) -> Result<Option<LinuxBlockIo>, RuntimeError> {
    let mut all = LinuxBlockIo::default();
    if input.blkio_weight != 0 {
        all.set_weight(Some(weight(u64::from(input.blkio_weight))?));
    }
    let mut weights = Vec::new();
    for (path, value) in &input.blkio_weight_devices {
        let (_, major, minor) = identify(path)?;
        let device = LinuxWeightDeviceBuilder::default().major(major).minor(minor);
        weights.push(invalid(device.weight(weight(*value)?).build())?);
    }
    let throttle = |limits: &[(PathBuf, u64)]| -> Result<Option<Vec<LinuxThrottleDevice>>, RuntimeError> {
        let one = |(path, rate): &(PathBuf, u64)| {
            let (_, major, minor) = identify(path)?;
            let device = LinuxThrottleDeviceBuilder::default().major(major).minor(minor);
            invalid(device.rate(*rate).build())
        };
        let devices: Vec<_> = limits.iter().map(one).collect::<Result<_, RuntimeError>>()?;
        Ok((!devices.is_empty()).then_some(devices))
    };
    all.set_weight_device((!weights.is_empty()).then_some(weights))
        .set_throttle_read_bps_device(throttle(&input.blkio_read_bps)?)
        .set_throttle_write_bps_device(throttle(&input.blkio_write_bps)?)
        .set_throttle_read_iops_device(throttle(&input.blkio_read_iops)?)
        .set_throttle_write_iops_device(throttle(&input.blkio_write_iops)?);
    Ok((all != LinuxBlockIo::default()).then_some(all))
}

fn weight(value: u64) -> Result<u16, RuntimeError> {
    match u16::try_from(value) {
        Ok(weight @ 10..=1000) => Ok(weight),
        _ => Err(RuntimeError::Invalid(
            "Range of blkio weight is from 10 to 1000".into(),
        )),
    }
}

fn memory(input: &ResourcesInput) -> Result<Option<oci_spec::runtime::LinuxMemory>, RuntimeError> {
    let limits = input.memory != 0 || input.memory_reservation != 0 || input.memory_swap != 0;
    if !limits && !input.oom_kill_disable && input.memory_swappiness.is_none() {
        return Ok(None);
    }
    if input.memory > 0 && input.memory_reservation > input.memory {
        return Err(RuntimeError::Invalid(
            "the memory reservation is larger than the memory limit".into(),
        ));
    }
    let mut memory = LinuxMemoryBuilder::default();
    if input.memory != 0 {
        memory = memory.limit(input.memory);
    }
    if input.memory_reservation != 0 {
        memory = memory.reservation(input.memory_reservation);
    }
    let swap = match input.memory_swap {
        0 => input.memory.saturating_mul(2),
        swap if swap > 0 && swap < input.memory => {
            return Err(RuntimeError::Invalid(
                "the limit of memory and swap is smaller than the memory limit".into(),
            ));
        }
        swap => swap,
    };
    if swap != 0 && swap_can_be_limited() {
        memory = memory.swap(swap);
    }
    if let Some(swappiness) = input.memory_swappiness {
        memory = memory.swappiness(swappiness);
    }
    if input.oom_kill_disable {
        memory = memory.disable_oom_killer(true);
    }
    invalid(memory.build()).map(Some)
}

fn swap_can_be_limited() -> bool {
    let v1 = Path::new("/sys/fs/cgroup/memory");
    if v1.exists() {
        v1.join("memory.memsw.limit_in_bytes").exists()
    } else {
        true
    }
}

fn cpu(input: &ResourcesInput) -> Result<Option<oci_spec::runtime::LinuxCpu>, RuntimeError> {
    let mut cpu = LinuxCpuBuilder::default();
    let mut any = false;
    if input.cpu_shares != 0 {
        cpu = cpu.shares(input.cpu_shares);
        any = true;
    }
    let (quota, period) = if input.nano_cpus > 0 {
        (
            input.nano_cpus / 1000 * DEFAULT_PERIOD as i64 / 1_000_000,
            DEFAULT_PERIOD,
        )
    } else {
        (input.cpu_quota, input.cpu_period)
    };
    if quota != 0 {
        cpu = cpu.quota(quota);
        any = true;
    }
    if period != 0 {
        cpu = cpu.period(period);
        any = true;
    }
    if !input.cpuset_cpus.is_empty() {
        cpu = cpu.cpus(&input.cpuset_cpus);
        any = true;
    }
    if !input.cpuset_mems.is_empty() {
        cpu = cpu.mems(&input.cpuset_mems);
        any = true;
    }
    if any {
        invalid(cpu.build()).map(Some)
    } else {
        Ok(None)
    }
}

/// Everything is refused but what each container has in its /dev, making device nodes, and the devices asked for.
fn device_rules(
    input: &ResourcesInput,
    devices: &[DeviceInput],
    privileged: bool,
) -> Result<Vec<LinuxDeviceCgroup>, RuntimeError> {
    if privileged {
        return Ok(vec![invalid(
            LinuxDeviceCgroupBuilder::default()
                .allow(true)
                .access("rwm")
                .build(),
        )?]);
    }
    let mut rules = vec![invalid(
        LinuxDeviceCgroupBuilder::default()
            .allow(false)
            .access("rwm")
            .build(),
    )?];
    rules.extend(usual_devices()?);
    for device in devices {
        let (kind, major, minor) = identify(&device.host_path)?;
        let access = if device.access.is_empty() {
            "rwm"
        } else {
            &device.access
        };
        rules.push(rule(kind, major, minor, access)?);
    }
    for text in &input.device_rules {
        rules.push(parse(text)?);
    }
    Ok(rules)
}

/// Rules that allow what each container has in its /dev, and making device nodes.
pub fn usual_devices() -> Result<Vec<LinuxDeviceCgroup>, RuntimeError> {
    let mut rules = Vec::new();
    for (major, minor) in [
        (1, 3),
        (1, 5),
        (1, 7),
        (1, 8),
        (1, 9),
        (5, 0),
        (5, 1),
        (5, 2),
        (136, -1),
    ] {
        rules.push(rule(LinuxDeviceType::C, major, minor, "rwm")?);
    }
    rules.push(rule(LinuxDeviceType::C, -1, -1, "m")?);
    rules.push(rule(LinuxDeviceType::B, -1, -1, "m")?);
    Ok(rules)
}

/// The kind and numbers of a device of the host.
pub(crate) fn identify(path: &Path) -> Result<(LinuxDeviceType, i64, i64), RuntimeError> {
    let meta = std::fs::metadata(path).map_err(|err| RuntimeError::io("device", path, err))?;
    let kind = if meta.file_type().is_char_device() {
        LinuxDeviceType::C
    } else if meta.file_type().is_block_device() {
        LinuxDeviceType::B
    } else {
        return Err(RuntimeError::Invalid(format!(
            "{} is not a device",
            path.display()
        )));
    };
    Ok((
        kind,
        i64::from(libc::major(meta.rdev())),
        i64::from(libc::minor(meta.rdev())),
    ))
}

fn rule(
    kind: LinuxDeviceType,
    major: i64,
    minor: i64,
    access: &str,
) -> Result<LinuxDeviceCgroup, RuntimeError> {
    if access.is_empty() || access.chars().any(|letter| !"rwm".contains(letter)) {
        return Err(RuntimeError::Invalid(format!(
            "device access {access:?} is not made of r, w and m"
        )));
    }
    let mut rule = LinuxDeviceCgroupBuilder::default()
        .allow(true)
        .typ(kind)
        .access(access);
    if major >= 0 {
        rule = rule.major(major);
    }
    if minor >= 0 {
        rule = rule.minor(minor);
    }
    invalid(rule.build())
}

fn parse(text: &str) -> Result<LinuxDeviceCgroup, RuntimeError> {
    let wrong = || {
        RuntimeError::Invalid(format!(
            "invalid device cgroup rule {text:?}; write it as 'c 1:3 rwm'"
        ))
    };
    let mut parts = text.split_whitespace();
    let (kind, numbers, access) = (
        parts.next().ok_or_else(wrong)?,
        parts.next().ok_or_else(wrong)?,
        parts.next().ok_or_else(wrong)?,
    );
    let kind = match kind {
        "a" => LinuxDeviceType::A,
        "b" => LinuxDeviceType::B,
        "c" => LinuxDeviceType::C,
        _ => return Err(wrong()),
    };
    let (major, minor) = numbers.split_once(':').ok_or_else(wrong)?;
    let number = |text: &str| {
        if text == "*" {
            Ok(-1)
        } else {
            text.parse::<u32>().map(i64::from).map_err(|_| wrong())
        }
    };
    rule(kind, number(major)?, number(minor)?, access)
}
