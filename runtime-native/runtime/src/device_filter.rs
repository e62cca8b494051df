use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType, LinuxResources};

use crate::RuntimeError;
use crate::cgroup::Cgroup;

// On cgroup v2 the kernel asks a BPF program which devices a container may use. Registers while it runs: r2 the kind of
// device, r3 the access asked for, r4 the major and r5 the minor number.
const LOAD_WORD: u8 = 0x61;
const MOVE: u8 = 0xbf;
const MOVE_IMMEDIATE: u8 = 0xb7;
const AND: u8 = 0x57;
const SHIFT_RIGHT: u8 = 0x77;
const JUMP_EQUAL: u8 = 0x15;
const JUMP_NOT_EQUAL: u8 = 0x55;
const JUMP_NOT_EQUAL_REGISTER: u8 = 0x5d;
const EXIT: u8 = 0x95;

const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_PROG_ATTACH: libc::c_long = 8;
const PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const ATTACH_CGROUP_DEVICE: u32 = 6;
const ALLOW_MULTI: u32 = 2;

#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    immediate: i32,
}

/// Attaches the device rules to the container's v2 cgroup; does nothing where the v1 controller has taken them.
pub(crate) fn attach(cgroup: &Cgroup, resources: &LinuxResources) -> Result<(), RuntimeError> {
    let (Some(directory), Some(rules)) = (cgroup.unified_directory(), resources.devices()) else {
        return Ok(());
    };
    if cgroup
        .places()
        .any(|(path, unified)| !unified && path.join("devices.allow").exists())
    {
        return Ok(());
    }
    let failed = |what: &str, source| RuntimeError::Io {
        what: format!("device filter: {what}"),
        source,
    };
    let program = load(&compile(rules)).map_err(|err| failed("load", err))?;
    let target = File::open(directory).map_err(|err| failed("open cgroup", err))?;
    let attributes = [
        target.as_raw_fd() as u32,
        program.as_raw_fd() as u32,
        ATTACH_CGROUP_DEVICE,
        ALLOW_MULTI,
    ];
    bpf(
        BPF_PROG_ATTACH,
        attributes.as_ptr().cast(),
        std::mem::size_of_val(&attributes),
    )
    .map_err(|err| failed("attach", err))?;
    Ok(())
}

/// The last rule that matches decides, so they are tried from the last to the first.
fn compile(rules: &[LinuxDeviceCgroup]) -> Vec<Instruction> {
    let step = |code, target: u8, source: u8, offset, immediate| Instruction {
        code,
        registers: source << 4 | target,
        offset,
        immediate,
    };
    let mut program = vec![
        step(LOAD_WORD, 2, 1, 0, 0),
        step(MOVE, 3, 2, 0, 0),
        step(AND, 2, 0, 0, 0xffff),
        step(SHIFT_RIGHT, 3, 0, 0, 16),
        step(LOAD_WORD, 4, 1, 4, 0),
        step(LOAD_WORD, 5, 1, 8, 0),
    ];
    for rule in rules.iter().rev() {
        let mut tests = Vec::new();
        match rule.typ() {
            Some(LinuxDeviceType::B) => tests.push(step(JUMP_NOT_EQUAL, 2, 0, 0, 1)),
            Some(LinuxDeviceType::C | LinuxDeviceType::U) => tests.push(step(JUMP_NOT_EQUAL, 2, 0, 0, 2)),
            _ => {}
        }
        let access = rule.access().as_deref().unwrap_or("rwm");
        let mask = [('m', 1), ('r', 2), ('w', 4)]
            .iter()
            .filter(|(letter, _)| access.contains(*letter))
            .map(|(_, bit)| bit)
            .sum();
        if mask != 7 {
            tests.push(step(MOVE, 1, 3, 0, 0));
            tests.push(step(AND, 1, 0, 0, mask));
            // To allow, all that is asked for must be in the rule; to refuse, any part of it is enough.
            tests.push(if rule.allow() {
                step(JUMP_NOT_EQUAL_REGISTER, 1, 3, 0, 0)
            } else {
                step(JUMP_EQUAL, 1, 0, 0, 0)
            });
        }
        for (register, number) in [(4, rule.major()), (5, rule.minor())] {
            if let Some(number) = number.filter(|number| *number >= 0) {
                tests.push(step(JUMP_NOT_EQUAL, register, 0, 0, number as i32));
            }
        }
        tests.push(step(MOVE_IMMEDIATE, 0, 0, 0, rule.allow() as i32));
        tests.push(step(EXIT, 0, 0, 0, 0));
        let length = tests.len();
        for (index, test) in tests.iter_mut().enumerate() {
            if matches!(test.code, JUMP_EQUAL | JUMP_NOT_EQUAL | JUMP_NOT_EQUAL_REGISTER) {
                test.offset = (length - index - 1) as i16;
            }
        }
        program.extend(tests);
        if length == 2 {
            // It holds for every device, and the kernel refuses instructions that are never reached.
            return program;
        }
    }
    program.push(step(MOVE_IMMEDIATE, 0, 0, 0, 0));
    program.push(step(EXIT, 0, 0, 0, 0));
    program
}

fn load(program: &[Instruction]) -> io::Result<OwnedFd> {
    #[repr(C)]
    #[derive(Default)]
    struct Attributes {
        kind: u32,
        count: u32,
        instructions: u64,
        license: u64,
        log_level: u32,
        log_size: u32,
        log: u64,
        kernel_version: u32,
        flags: u32,
    }
    let license = c"Apache-2.0";
    let attributes = Attributes {
        kind: PROG_TYPE_CGROUP_DEVICE,
        count: program.len() as u32,
        instructions: program.as_ptr() as u64,
        license: license.as_ptr() as u64,
        ..Attributes::default()
    };
    let fd = bpf(
        BPF_PROG_LOAD,
        (&raw const attributes).cast(),
        std::mem::size_of::<Attributes>(),
    )?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn bpf(command: libc::c_long, attributes: *const libc::c_void, size: usize) -> io::Result<i32> {
    // SAFETY: the attributes are of the given size and live through the call.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attributes, size) };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result as i32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci_spec::runtime::{LinuxDeviceCgroupBuilder, LinuxResourcesBuilder};
    use std::path::Path;
    use std::process::Command;

    fn rule(allow: bool, numbers: Option<(i64, i64)>, access: &str) -> LinuxDeviceCgroup {
        let mut rule = LinuxDeviceCgroupBuilder::default().allow(allow).access(access);
        if let Some((major, minor)) = numbers {
            rule = rule.typ(LinuxDeviceType::C).major(major).minor(minor);
        }
        rule.build().unwrap()
    }

    #[test]
    fn the_kernel_lets_through_what_the_rules_allow() {
        let root = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"];
        let root = root
            .iter()
            .find(|path| Path::new(path).join("cgroup.procs").exists());
        let root = root.expect("this test needs root and a mounted cgroup v2 hierarchy");
        let name = format!("creel-device-test-{}", std::process::id());
        let directory = Path::new(root).join(&name);
        std::fs::create_dir(&directory).unwrap();
        let cgroup = Cgroup::new(&name);
        let rules = vec![
            rule(true, None, "rwm"),
            rule(false, None, "rwm"),
            rule(true, Some((1, 3)), "rwm"),
            rule(true, Some((1, 5)), "r"),
        ];
        let resources = LinuxResourcesBuilder::default().devices(rules).build().unwrap();
        let attached = attach(&cgroup, &resources);
        let script = format!(
            "echo $$ > {}/cgroup.procs
             for file in null zero full; do
                 (: < /dev/$file) 2>&- && echo $file r
                 (: > /dev/$file) 2>&- && echo $file w
             done; true",
            directory.display()
        );
        let output = Command::new("sh").args(["-c", &script]).output();
        cgroup.kill_and_remove().unwrap();
        attached.unwrap();
        assert_eq!(
            String::from_utf8_lossy(&output.unwrap().stdout),
            "null r\nnull w\nzero r\n"
        );
    }
}
