//! Signals by name or number, as Docker takes them.

use crate::error::{EngineError, Result};

const NAMES: &[(&str, i32)] = &[
    ("ABRT", libc::SIGABRT),
    ("ALRM", libc::SIGALRM),
    ("BUS", libc::SIGBUS),
    ("CHLD", libc::SIGCHLD),
    ("CLD", libc::SIGCHLD),
    ("CONT", libc::SIGCONT),
    ("FPE", libc::SIGFPE),
    ("HUP", libc::SIGHUP),
    ("ILL", libc::SIGILL),
    ("INT", libc::SIGINT),
    ("IO", libc::SIGIO),
    ("IOT", libc::SIGIOT),
    ("KILL", libc::SIGKILL),
    ("PIPE", libc::SIGPIPE),
    ("POLL", libc::SIGPOLL),
    ("PROF", libc::SIGPROF),
    ("PWR", libc::SIGPWR),
    ("QUIT", libc::SIGQUIT),
    ("SEGV", libc::SIGSEGV),
    ("STKFLT", libc::SIGSTKFLT),
    ("STOP", libc::SIGSTOP),
    ("SYS", libc::SIGSYS),
    ("TERM", libc::SIGTERM),
    ("TRAP", libc::SIGTRAP),
    ("TSTP", libc::SIGTSTP),
    ("TTIN", libc::SIGTTIN),
    ("TTOU", libc::SIGTTOU),
    ("URG", libc::SIGURG),
    ("USR1", libc::SIGUSR1),
    ("USR2", libc::SIGUSR2),
    ("VTALRM", libc::SIGVTALRM),
    ("WINCH", libc::SIGWINCH),
    ("XCPU", libc::SIGXCPU),
    ("XFSZ", libc::SIGXFSZ),
];

const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

/// The number of a signal given as `KILL`, `SIGKILL`, `RTMIN+3` or `9`; `default` when nothing is given.
pub fn parse(text: &str, default: i32) -> Result<i32> {
    if text.is_empty() {
        return Ok(default);
    }
    let invalid = || EngineError::invalid(format!("invalid signal: {text}"));
    if let Ok(number) = text.parse::<i32>() {
        return if (1..=RTMAX).contains(&number) {
            Ok(number)
        } else {
            Err(invalid())
        };
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some((_, number)) = NAMES.iter().find(|(known, _)| *known == name) {
        return Ok(*number);
    }
    let real_time = |rest: &str, sign: i32, base: i32| match rest {
        "" => Some(base),
        _ => rest[1..].parse::<i32>().ok().map(|n| base + sign * n),
    };
    let number = match name {
        _ if name.starts_with("RTMIN") && matches!(name.as_bytes().get(5), None | Some(b'+')) => {
            real_time(&name[5..], 1, RTMIN)
        }
        _ if name.starts_with("RTMAX") && matches!(name.as_bytes().get(5), None | Some(b'-')) => {
            real_time(&name[5..], -1, RTMAX)
        }
        _ => None,
    };
    number.filter(|n| (RTMIN..=RTMAX).contains(n)).ok_or_else(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_and_numbers() {
        assert_eq!(parse("", 15).unwrap(), 15);
        assert_eq!(parse("sigkill", 15).unwrap(), 9);
        assert_eq!(parse("HUP", 15).unwrap(), 1);
        assert_eq!(parse("9", 15).unwrap(), 9);
        assert_eq!(parse("SIGRTMIN+3", 15).unwrap(), 37);
        assert_eq!(parse("RTMAX-1", 15).unwrap(), 63);
        for bad in ["0", "-1", "65", "NOPE", "RTMIN+99", "RTMINX"] {
            assert!(parse(bad, 15).is_err(), "{bad}");
        }
    }
}
