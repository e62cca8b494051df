//! What `--help` prints. The commands' options are runc's.

/// How a command is used.
struct Command {
    name: &'static str,
    arguments: &'static str,
    about: &'static str,
    options: &'static [(&'static str, &'static str)],
}

const GLOBAL: &[(&str, &str)] = &[
    (
        "--root DIR",
        "where containers' state is kept (/run/creel-runtime)",
    ),
    ("--log FILE", "write errors and warnings to a file"),
    ("--log-format FORMAT", "the file's lines: text (default) or json"),
    ("--debug", "for runc's callers; there is nothing more to log"),
    (
        "--systemd-cgroup",
        "make a container a unit of systemd; cgroupsPath is SLICE:PREFIX:NAME",
    ),
    (
        "--rootless MODE",
        "true, false or auto (default): whether cgroups may be out of reach",
    ),
    ("--criu PATH", "for runc's callers; not used"),
    ("--help, -h", "this text"),
    ("--version, -v", "the version, and that of the specification"),
];

const BUNDLE: (&str, &str) = ("--bundle DIR, -b DIR", "the bundle's directory (.)");
const CONSOLE: (&str, &str) = ("--console-socket PATH", "the socket that is sent the terminal");
const PID_FILE: (&str, &str) = ("--pid-file FILE", "where to write the process id");
const PRESERVE: (&str, &str) = (
    "--preserve-fds N",
    "open files, from number 3 on, that the process gets",
);
const NO_PIVOT: (&str, &str) = (
    "--no-pivot",
    "for runc's callers; the root is always changed by pivot_root",
);
const NO_KEYRING: (&str, &str) = (
    "--no-new-keyring",
    "for runc's callers; the keyring is always a new one",
);
const DETACH: (&str, &str) = ("--detach, -d", "return when the process runs");
const FORMAT: (&str, &str) = ("--format FORMAT, -f FORMAT", "table (default) or json");

const COMMANDS: &[Command] = &[
    Command {
        name: "create",
        arguments: "CONTAINER-ID",
        about: "makes a container; its command waits for start",
        options: &[BUNDLE, CONSOLE, PID_FILE, NO_PIVOT, NO_KEYRING, PRESERVE],
    },
    Command {
        name: "start",
        arguments: "CONTAINER-ID",
        about: "executes the command of a container that was created",
        options: &[],
    },
    Command {
        name: "run",
        arguments: "CONTAINER-ID",
        about: "creates and starts a container, waits for its end and deletes it",
        options: &[
            BUNDLE,
            CONSOLE,
            DETACH,
            ("--keep", "do not delete the container when it has ended"),
            PID_FILE,
            (
                "--no-subreaper",
                "do not adopt what the container's processes leave behind",
            ),
            NO_PIVOT,
            NO_KEYRING,
            PRESERVE,
        ],
    },
    Command {
        name: "exec",
        arguments: "CONTAINER-ID COMMAND [ARGUMENT...]",
        about: "runs one more process in a container",
        options: &[
            CONSOLE,
            ("--cwd DIR", "its working directory"),
            ("--env NAME=VALUE, -e NAME=VALUE", "a variable of its environment"),
            ("--tty, -t", "give it a terminal"),
            ("--user UID[:GID], -u UID[:GID]", "its user"),
            ("--additional-gids GID, -g GID", "a further group"),
            (
                "--process FILE, -p FILE",
                "the process as JSON, in place of a command",
            ),
            DETACH,
            PID_FILE,
            ("--process-label LABEL", "its SELinux label"),
            ("--apparmor PROFILE", "its AppArmor profile"),
            ("--no-new-privs", "it cannot gain privileges"),
            ("--cap CAPABILITY, -c CAPABILITY", "a capability more"),
            PRESERVE,
            ("--cgroup PATH", "a cgroup below the container's, which exists"),
            (
                "--ignore-paused",
                "also in a paused container, where it begins when that is resumed",
            ),
        ],
    },
    Command {
        name: "kill",
        arguments: "CONTAINER-ID [SIGNAL]",
        about: "sends a signal (TERM) to the container's first process",
        options: &[("--all, -a", "to all of its processes")],
    },
    Command {
        name: "delete",
        arguments: "CONTAINER-ID",
        about: "removes what is left of a container that has stopped",
        options: &[(
            "--force, -f",
            "end it first, where it has not; no error where there is none",
        )],
    },
    Command {
        name: "state",
        arguments: "CONTAINER-ID",
        about: "prints what the container is and does, as JSON",
        options: &[],
    },
    Command {
        name: "list",
        arguments: "",
        about: "lists the containers below the root",
        options: &[FORMAT, ("--quiet, -q", "print the ids only")],
    },
    Command {
        name: "ps",
        arguments: "CONTAINER-ID [OPTION OF PS...]",
        about: "lists the container's processes",
        options: &[FORMAT],
    },
    Command {
        name: "pause",
        arguments: "CONTAINER-ID",
        about: "freezes all processes of a container",
        options: &[],
    },
    Command {
        name: "resume",
        arguments: "CONTAINER-ID",
        about: "lets them go on",
        options: &[],
    },
    Command {
        name: "update",
        arguments: "CONTAINER-ID",
        about: "changes the limits of a container; sizes are in bytes, or with a unit as 64m",
        options: &[
            (
                "--resources FILE, -r FILE",
                "the limits as JSON (-: standard input); other options are ignored then",
            ),
            ("--blkio-weight N", "weight of block I/O, 10 to 1000"),
            ("--cpu-period N", "period of the CPU quota, in microseconds"),
            ("--cpu-quota N", "CPU time in a period, in microseconds"),
            ("--cpu-share N", "weight of CPU time"),
            ("--cpu-burst N", "CPU time that may be saved up, in microseconds"),
            ("--cpu-idle N", "1: CPU time that nobody else wants"),
            ("--cpu-rt-period N", "the same for real-time processes"),
            ("--cpu-rt-runtime N", "the same for real-time processes"),
            ("--cpuset-cpus LIST", "processors to use"),
            ("--cpuset-mems LIST", "memory nodes to use"),
            ("--memory SIZE", "most memory"),
            (
                "--memory-reservation SIZE",
                "memory that is left when the machine has little",
            ),
            (
                "--memory-swap SIZE",
                "most memory and swap together (-1: no limit)",
            ),
            ("--pids-limit N", "most processes"),
            ("--l3-cache-schema SCHEMA", "for runc's callers; refused"),
            ("--mem-bw-schema SCHEMA", "for runc's callers; refused"),
        ],
    },
    Command {
        name: "events",
        arguments: "CONTAINER-ID",
        about: "prints what the container uses at intervals, and when it had too little memory, as JSON",
        options: &[
            ("--interval DURATION", "as 500ms, 5s (default) or 1m"),
            ("--stats", "once, and end"),
        ],
    },
    Command {
        name: "spec",
        arguments: "",
        about: "writes a config.json to begin with",
        options: &[
            BUNDLE,
            ("--rootless", "for a user namespace, with this user as root in it"),
        ],
    },
    Command {
        name: "features",
        arguments: "",
        about: "prints what this runtime knows, as JSON",
        options: &[],
    },
];

/// The help for all of the program.
pub fn general() -> String {
    let commands: Vec<_> = COMMANDS
        .iter()
        .map(|command| (command.name, command.about))
        .collect();
    format!(
        "usage: creel-runtime [OPTION...] COMMAND [OPTION...] [ARGUMENT...]\n\n\
         Runs containers from OCI bundles, by runc's command line.\n\n\
         Commands:\n{}\n\nOptions:\n{}\n\ncreel-runtime COMMAND --help says more of a command.",
        table(&commands),
        table(GLOBAL)
    )
}

/// The help for a command; none where there is no such.
pub fn of(name: &str) -> Option<String> {
    let command = COMMANDS.iter().find(|command| command.name == name)?;
    let (options, list) = match command.options {
        [] => ("", String::new()),
        options => (" [OPTION...]", format!("\n\nOptions:\n{}", table(options))),
    };
    let usage = format!("usage: creel-runtime {name}{options} {}", command.arguments);
    Some(format!("{}\n\n{name} {}.{list}", usage.trim_end(), command.about))
}

fn table(rows: &[(&str, &str)]) -> String {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    let lines: Vec<_> = rows
        .iter()
        .map(|(name, about)| format!("  {name:<width$}  {about}"))
        .collect();
    lines.join("\n")
}
