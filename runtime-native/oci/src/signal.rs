use crate::Outcome;

const NAMES: [(&str, i32); 31] = [
    ("HUP", libc::SIGHUP),
    ("INT", libc::SIGINT),
    ("QUIT", libc::SIGQUIT),
    ("ILL", libc::SIGILL),
    ("TRAP", libc::SIGTRAP),
    ("ABRT", libc::SIGABRT),
    ("BUS", libc::SIGBUS),
    ("FPE", libc::SIGFPE),
    ("KILL", libc::SIGKILL),
    ("USR1", libc::SIGUSR1),
    ("SEGV", libc::SIGSEGV),
    ("USR2", libc::SIGUSR2),
    ("PIPE", libc::SIGPIPE),
    ("ALRM", libc::SIGALRM),
    ("TERM", libc::SIGTERM),
    ("STKFLT", libc::SIGSTKFLT),
    ("CHLD", libc::SIGCHLD),
    ("CONT", libc::SIGCONT),
    ("STOP", libc::SIGSTOP),
    ("TSTP", libc::SIGTSTP),
    ("TTIN", libc::SIGTTIN),
    ("TTOU", libc::SIGTTOU),
    ("URG", libc::SIGURG),
    ("XCPU", libc::SIGXCPU),
    ("XFSZ", libc::SIGXFSZ),
    ("VTALRM", libc::SIGVTALRM),
    ("PROF", libc::SIGPROF),
    ("WINCH", libc::SIGWINCH),
    ("IO", libc::SIGIO),
    ("PWR", libc::SIGPWR),
    ("SYS", libc::SIGSYS),
];

/// A signal by its number or its name, with or without SIG: `9`, `KILL`, `SIGKILL`, `RTMIN+3`.
pub fn parse(text: &str) -> Outcome<i32> {
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let offset = |text: &str| text.parse::<i32>().ok();
    let number = match NAMES.iter().find(|(known, _)| *known == name) {
        Some((_, number)) => Some(*number),
        None => match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
            (Some(""), _) => Some(libc::SIGRTMIN()),
            (_, Some("")) => Some(libc::SIGRTMAX()),
            (Some(more), _) => offset(more).map(|more| libc::SIGRTMIN() + more),
            (_, Some(less)) => offset(less).map(|less| libc::SIGRTMAX() + less),
            _ => name.parse().ok(),
        },
    };
    number
        .filter(|number| (0..=64).contains(number))
        .ok_or_else(|| format!("unknown signal {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn by_number_and_by_name() {
        for (text, number) in [
            ("0", 0),
            ("9", 9),
            ("KILL", 9),
            ("sigterm", 15),
            ("RTMIN", 34),
            ("SIGRTMAX-1", 63),
        ] {
            assert_eq!(parse(text), Ok(number), "{text}");
        }
        for text in ["", "65", "FOO", "RTMIN+99", "-1"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
