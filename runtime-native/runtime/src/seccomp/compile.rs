use std::collections::BTreeMap;

use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompFilterFlag};

use super::Filter;
use super::arch::Abi;
use super::codegen::{Code, Decision, OFFSET_ARCH, OFFSET_NUMBER, if_equal, load, ret, search};
use crate::RuntimeError;

const KILL_PROCESS: u32 = 0x8000_0000;
const KILL_THREAD: u32 = 0;
const TRAP: u32 = 0x0003_0000;
const ERRNO: u32 = 0x0005_0000;
const TRACE: u32 = 0x7ff0_0000;
const LOG: u32 = 0x7ffc_0000;
const ALLOW: u32 = 0x7fff_0000;

const FLAG_LOG: u32 = 1 << 1;
const FLAG_SPEC_ALLOW: u32 = 1 << 2;

const MAX_INSTRUCTIONS: usize = 4096;

/// Compiles OCI seccomp rules to a BPF program for the architectures they name.
pub fn compile(policy: &LinuxSeccomp) -> Result<Filter, RuntimeError> {
    let default = action(policy.default_action(), policy.default_errno_ret())?;
    let mut abis: Vec<Abi> = match policy.architectures().as_ref().filter(|list| !list.is_empty()) {
        Some(list) => list.iter().filter_map(|arch| Abi::from_oci(*arch)).collect(),
        None => vec![Abi::native()],
    };
    if !abis.contains(&Abi::native()) {
        abis.push(Abi::native());
    }
    abis.sort();
    abis.dedup();

    let mut by_audit: BTreeMap<u32, Vec<(u32, Decision)>> = BTreeMap::new();
    for abi in abis {
        by_audit
            .entry(abi.audit())
            .or_default()
            .extend(ranges(policy, abi, default)?);
    }
    let mut program: Code = vec![load(OFFSET_ARCH)];
    for (audit, mut ranges) in by_audit {
        ranges.sort_by_key(|range| range.0);
        ranges.dedup_by(|next, kept| next.1 == kept.1);
        let mut code = vec![load(OFFSET_NUMBER)];
        code.extend(search(&ranges));
        program.extend(if_equal(audit, code));
    }
    program.push(ret(KILL_PROCESS));
    if program.len() > MAX_INSTRUCTIONS {
        return Err(RuntimeError::Invalid(format!(
            "seccomp profile compiles to {} instructions; the kernel takes {MAX_INSTRUCTIONS}",
            program.len()
        )));
    }
    Ok(Filter {
        program,
        flags: flags(policy),
    })
}

/// The decisions of one convention, from its lowest number on. Numbers above the newest call the policy names answer
/// ENOSYS, so that a C library falls back to an older call instead of failing on "operation not permitted".
fn ranges(policy: &LinuxSeccomp, abi: Abi, default: u32) -> Result<Vec<(u32, Decision)>, RuntimeError> {
    let mut decisions: BTreeMap<u32, Decision> = BTreeMap::new();
    let mut newest = 0;
    for rule in policy.syscalls().iter().flatten() {
        let action = action(rule.action(), rule.errno_ret())?;
        for name in rule.names() {
            let Some(number) = abi.number(name) else { continue };
            newest = newest.max(number);
            if action == default {
                continue;
            }
            let decision = decisions.entry(number).or_insert_with(|| Decision {
                conditions: Vec::new(),
                otherwise: default,
            });
            match rule.args().as_ref().filter(|args| !args.is_empty()) {
                None if decision.otherwise == default => decision.otherwise = action,
                None => {}
                Some(args) => decision
                    .conditions
                    .extend(alternatives(args)?.into_iter().map(|args| (args, action))),
            }
        }
    }
    for decision in decisions.values_mut() {
        let otherwise = decision.otherwise;
        if otherwise != default {
            // An unconditional rule outweighs the conditional ones of the same call.
            decision.conditions.clear();
        }
    }

    let plain = |otherwise| Decision {
        conditions: Vec::new(),
        otherwise,
    };
    let unknown = if permissive(default) || default == ERRNO | libc::ENOSYS as u32 {
        default
    } else {
        ERRNO | libc::ENOSYS as u32
    };
    let mut ranges: Vec<(u32, Decision)> = Vec::new();
    let mut push = |from: u32, decision: Decision| match ranges.last() {
        Some((_, last)) if *last == decision => {}
        _ => ranges.push((from, decision)),
    };
    let mut next = abi.base();
    for (number, decision) in decisions {
        if number > next {
            push(next, plain(default));
        }
        push(number, decision);
        next = number + 1;
    }
    if next <= newest {
        push(next, plain(default));
    }
    push(newest.max(next.saturating_sub(1)) + 1, plain(unknown));
    Ok(ranges)
}

/// Comparisons of different arguments must all hold; an argument that is named more than once makes alternatives.
fn alternatives(args: &[LinuxSeccompArg]) -> Result<Vec<Vec<LinuxSeccompArg>>, RuntimeError> {
    let mut seen = [0u8; 6];
    for arg in args {
        let slot = seen.get_mut(arg.index()).ok_or_else(|| {
            RuntimeError::Invalid(format!(
                "seccomp profile compares argument {}; there are 0 to 5",
                arg.index()
            ))
        })?;
        *slot = slot.saturating_add(1);
    }
    if seen.iter().any(|count| *count > 1) {
        Ok(args.iter().map(|arg| vec![*arg]).collect())
    } else {
        Ok(vec![args.to_vec()])
    }
}

fn action(action: LinuxSeccompAction, errno: Option<u32>) -> Result<u32, RuntimeError> {
    let errno = errno.unwrap_or(libc::EPERM as u32) & 0xffff;
    Ok(match action {
        LinuxSeccompAction::ScmpActKill | LinuxSeccompAction::ScmpActKillThread => KILL_THREAD,
        LinuxSeccompAction::ScmpActKillProcess => KILL_PROCESS,
        LinuxSeccompAction::ScmpActTrap => TRAP,
        LinuxSeccompAction::ScmpActErrno => ERRNO | errno,
        LinuxSeccompAction::ScmpActTrace => TRACE | errno,
        LinuxSeccompAction::ScmpActLog => LOG,
        LinuxSeccompAction::ScmpActAllow => ALLOW,
        LinuxSeccompAction::ScmpActNotify => {
            return Err(RuntimeError::Invalid(
                "seccomp action SCMP_ACT_NOTIFY needs a listener and is not supported".into(),
            ));
        }
    })
}

fn permissive(action: u32) -> bool {
    matches!(action, ALLOW | LOG) || action & 0xffff_0000 == TRACE
}

fn flags(policy: &LinuxSeccomp) -> u32 {
    match policy.flags() {
        None => FLAG_SPEC_ALLOW,
        Some(list) => list.iter().fold(0, |flags, flag| {
            flags
                | match flag {
                    LinuxSeccompFilterFlag::SeccompFilterFlagLog => FLAG_LOG,
                    LinuxSeccompFilterFlag::SeccompFilterFlagSpecAllow => FLAG_SPEC_ALLOW,
                    _ => 0,
                }
        }),
    }
}
