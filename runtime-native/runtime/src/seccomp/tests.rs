use std::collections::BTreeSet;

use super::{DEFAULT_PROFILE, Filter, Profile, compile, load_filter};

const X86_64: u32 = 0xc000_003e;
const X86: u32 = 0x4000_0003;
const ALLOW: u32 = 0x7fff_0000;
const ERRNO: u32 = 0x0005_0000;
const KILL_PROCESS: u32 = 0x8000_0000;

/// Runs a filter as the kernel would.
fn run(filter: &Filter, arch: u32, number: u32, args: [u64; 6]) -> u32 {
    let mut data = [0u32; 16];
    (data[0], data[1]) = (number, arch);
    for (index, arg) in args.iter().enumerate() {
        (data[4 + 2 * index], data[5 + 2 * index]) = (*arg as u32, (*arg >> 32) as u32);
    }
    let (mut accumulator, mut at) = (0u32, 0usize);
    loop {
        let step = filter.program[at];
        let jump = |holds: bool| 1 + usize::from(if holds { step.jump_true } else { step.jump_false });
        at += match step.code {
            0x20 => {
                accumulator = data[step.operand as usize / 4];
                1
            }
            0x05 => 1 + step.operand as usize,
            0x15 => jump(accumulator == step.operand),
            0x25 => jump(accumulator > step.operand),
            0x35 => jump(accumulator >= step.operand),
            0x54 => {
                accumulator &= step.operand;
                1
            }
            0x06 => return step.operand,
            other => panic!("instruction {other:#x}"),
        };
    }
}

fn filter(json: &str, capabilities: &[&str]) -> Filter {
    let capabilities: BTreeSet<String> = capabilities.iter().map(|name| (*name).to_owned()).collect();
    compile(&Profile::parse(json).unwrap().resolve(&capabilities).unwrap()).unwrap()
}

#[test]
#[cfg(target_arch = "x86_64")]
fn the_default_policy_depends_on_architecture_and_capabilities() {
    let plain = filter(DEFAULT_PROFILE, &[]);
    let admin = filter(DEFAULT_PROFILE, &["CAP_SYS_ADMIN"]);
    let call = |filter: &Filter, arch, number, first: u64| run(filter, arch, number, [first, 0, 0, 0, 0, 0]);
    let (read, mount, clone, clone3, socket) = (0, 165, 56, 435, 41);
    assert_eq!(call(&plain, X86_64, read, 0), ALLOW);
    assert_eq!(call(&plain, X86, 3, 0), ALLOW);
    assert_eq!(call(&plain, X86_64, 0x4000_0000 + read, 0), ALLOW);
    assert_eq!(call(&plain, 0xc000_00b7, 63, 0), KILL_PROCESS);
    assert_eq!(call(&plain, X86_64, mount, 0), ERRNO | 1);
    assert_eq!(call(&admin, X86_64, mount, 0), ALLOW);
    assert_eq!(call(&plain, X86_64, clone, 0x11), ALLOW);
    assert_eq!(call(&plain, X86_64, clone, 0x1000_0000), ERRNO | 1);
    assert_eq!(call(&admin, X86_64, clone, 0x1000_0000), ALLOW);
    assert_eq!(call(&plain, X86_64, clone3, 0), ERRNO | 38);
    assert_eq!(call(&admin, X86_64, clone3, 0), ALLOW);
    assert_eq!(call(&plain, X86_64, 9999, 0), ERRNO | 38);
    for (family, allowed) in [
        (1, true),
        (2, true),
        (16, true),
        (37, true),
        (38, false),
        (39, true),
        (40, false),
        (41, true),
    ] {
        assert_eq!(
            call(&plain, X86_64, socket, family) == ALLOW,
            allowed,
            "family {family}"
        );
    }
    assert!(plain.program.len() < 1500, "{} instructions", plain.program.len());
}

#[test]
#[cfg(target_arch = "x86_64")]
fn every_comparison_means_what_it_says() {
    let samples = [
        0,
        1,
        5,
        6,
        u64::from(u32::MAX),
        1 << 32,
        (1 << 32) + 5,
        (5 << 32) + 6,
        u64::MAX,
    ];
    type Comparison = fn(u64, u64, u64) -> bool;
    let operators: [(&str, Comparison); 7] = [
        ("EQ", |arg, value, _| arg == value),
        ("NE", |arg, value, _| arg != value),
        ("LT", |arg, value, _| arg < value),
        ("LE", |arg, value, _| arg <= value),
        ("GT", |arg, value, _| arg > value),
        ("GE", |arg, value, _| arg >= value),
        ("MASKED_EQ", |arg, mask, wanted| arg & mask == wanted),
    ];
    for (name, holds) in operators {
        for value in samples {
            let second = value & 5;
            let json = format!(
                r#"{{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{{"names":["read"],"action":"SCMP_ACT_ALLOW","args":[
                    {{"index":2,"value":{value},"valueTwo":{second},"op":"SCMP_CMP_{name}"}},
                    {{"index":0,"value":7,"op":"SCMP_CMP_EQ"}}]}}]}}"#
            );
            let filter = filter(&json, &[]);
            for arg in samples {
                for first in [7, 8] {
                    let allowed = run(&filter, X86_64, 0, [first, 0, arg, 0, 0, 0]) == ALLOW;
                    assert_eq!(
                        allowed,
                        first == 7 && holds(arg, value, second),
                        "{arg} {name} {value}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_compiled_filter_is_kept_and_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let policy = Profile::parse(DEFAULT_PROFILE)
        .unwrap()
        .resolve(&BTreeSet::new())
        .unwrap();
    let first = load_filter(&policy, directory.path()).unwrap();
    let files: Vec<_> = std::fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(files.len(), 1);
    assert_eq!(load_filter(&policy, directory.path()).unwrap(), first);
    std::fs::write(&files[0], b"broken").unwrap();
    assert_eq!(load_filter(&policy, directory.path()).unwrap(), first);
}

#[test]
fn a_wrong_profile_is_refused_with_a_reason() {
    for (json, reason) in [
        ("{}", "defaultAction"),
        (r#"{"defaultAction":"SCMP_ACT_FLY"}"#, "SCMP_ACT_FLY"),
        (
            r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read"],"action":"SCMP_ACT_NOTIFY"}]}"#,
            "NOTIFY",
        ),
    ] {
        let error = Profile::parse(json)
            .and_then(|profile| profile.resolve(&BTreeSet::new()))
            .and_then(|policy| compile(&policy))
            .unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
    }
}
