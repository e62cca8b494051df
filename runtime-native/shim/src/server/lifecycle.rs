use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Instant;

use creel_runtime::cgroup::Cgroup;
use creel_runtime::{ContainerState, Stdio};

use super::{REMEMBERED_EXITS, Server, Task, console};
use crate::clock;
use crate::exit::write_exit;
use crate::helper::{Helper, end_with_shim};
use crate::log::Log;
use crate::process::{Process, Streams};
use crate::protocol::{ExitStatus, Failure, FailureKind, Reply, SOCKET_NAME};
use crate::socket::{check, pipe, set_nonblocking};

impl Server {
    /// Begins to create the container; the answer goes to the first connection.
    pub(super) fn create(&mut self) {
        if let Err(err) = self.begin_create() {
            let text = format!("create {}: {err}", self.request.bundle.id);
            self.reply(0, Reply::Failed(Failure::new(FailureKind::Internal, text)));
            self.failed = true;
        }
    }

    fn begin_create(&mut self) -> io::Result<()> {
        let mut streams = Streams::new(self.request.stdin_once, self.backlogs());
        streams.log = Some(Log::open(self.request.log.clone())?);
        let (stdio, console) = self.prepare_streams(
            &mut streams,
            self.request.terminal,
            self.request.open_stdin,
            "console.sock",
        )?;
        self.init.streams = streams;
        let request = self.request.clone();
        let helper = spawn(stdio, move |stdio| {
            request
                .format()
                .create(&request.bundle, stdio)
                .map_err(Failure::from)
        })?;
        self.helpers.push((
            helper,
            Task::Create {
                connection: 0,
                console,
            },
        ));
        Ok(())
    }

    /// The streams of a process: the process's ends, and ours in `streams`. A terminal comes later, on the socket.
    pub(super) fn prepare_streams(
        &self,
        streams: &mut Streams,
        terminal: bool,
        stdin: bool,
        console_name: &str,
    ) -> io::Result<(Stdio, Option<OwnedFd>)> {
        streams.terminal = terminal;
        if terminal {
            let (listener, console_socket) = console::prepare(&self.request.bundle.state_dir, console_name)?;
            return Ok((Stdio::Terminal { console_socket }, Some(listener)));
        }
        let stdin = if stdin {
            let (theirs, ours) = pipe()?;
            set_nonblocking(&ours)?;
            streams.input = Some(ours);
            theirs
        } else {
            // SAFETY: a new descriptor, ours.
            unsafe {
                let null = libc::open(c"/dev/null".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
                OwnedFd::from_raw_fd(check(null)?)
            }
        };
        let (output, stdout) = pipe()?;
        let (error, stderr) = pipe()?;
        set_nonblocking(&output)?;
        set_nonblocking(&error)?;
        streams.output = Some(output);
        streams.error = Some(error);
        Ok((
            Stdio::Pipes {
                stdin,
                stdout,
                stderr,
            },
            None,
        ))
    }

    /// Collects the children that have ended: helpers first, since they say which process is whose.
    pub(super) fn reap(&mut self, buffer: &mut [u8]) {
        let mut record = [0u8; size_of::<libc::signalfd_siginfo>()];
        while let Ok(Some(_)) = crate::socket::read(&self.signals, &mut record) {}
        let mut finished = Vec::new();
        loop {
            let mut status = 0;
            // SAFETY: the status is ours.
            let pid = unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG) };
            if pid <= 0 {
                break;
            }
            match self.helpers.iter().position(|(helper, _)| helper.pid == pid) {
                Some(index) => finished.push(self.helpers.remove(index)),
                None => self.unclaimed.push((pid, status)),
            }
        }
        for (helper, task) in finished {
            self.helper_done(helper.result(), task);
        }
        for (pid, status) in std::mem::take(&mut self.unclaimed) {
            self.ended_process(pid, status, buffer);
        }
    }

    fn helper_done(&mut self, result: Result<i32, Failure>, task: Task) {
        match task {
            Task::Create { connection, console } => {
                let result = result.and_then(|pid| {
                    self.init.pid = pid;
                    take_console(console, &mut self.init.streams).map(|()| pid)
                });
                let _ = fs::remove_file(self.request.bundle.state_dir.join("console.sock"));
                match result {
                    Ok(pid) => self.reply(connection, Reply::Process { pid }),
                    Err(failure) => {
                        self.failed = true;
                        self.remove_files();
                        self.reply(connection, Reply::Failed(failure));
                    }
                }
            }
            Task::Start { connection } => {
                if result.is_ok() {
                    self.status = ContainerState::Running;
                }
                self.reply_result(connection, result.map(drop));
            }
            Task::Update { connection } => self.reply_result(connection, result.map(drop)),
            Task::Exec {
                connection,
                id,
                console,
                mut streams,
            } => {
                let _ = fs::remove_file(self.request.bundle.state_dir.join(console_name(&id)));
                match result.and_then(|pid| take_console(console, &mut streams).map(|()| pid)) {
                    Ok(pid) => {
                        self.execs.insert(
                            id,
                            Process {
                                pid,
                                exit: None,
                                streams: *streams,
                            },
                        );
                        self.reply(connection, Reply::Process { pid });
                    }
                    Err(failure) => self.reply(connection, Reply::Failed(failure)),
                }
            }
        }
    }

    fn ended_process(&mut self, pid: i32, status: i32, buffer: &mut [u8]) {
        if pid == self.init.pid {
            // The helper that starts the container still uses its files; its end will bring us here again.
            if self
                .helpers
                .iter()
                .any(|(_, task)| matches!(task, Task::Start { .. }))
            {
                self.unclaimed.push((pid, status));
                return;
            }
            return self.container_ended(status, buffer);
        }
        let Some((id, process)) = self
            .execs
            .iter_mut()
            .find(|(_, exec)| exec.pid == pid && exec.exit.is_none())
        else {
            // It may be the process of an exec whose helper has yet to say so.
            if self
                .helpers
                .iter()
                .any(|(_, task)| matches!(task, Task::Exec { .. } | Task::Create { .. }))
            {
                self.unclaimed.push((pid, status));
            }
            return;
        };
        let exit = exit_status(status, false);
        process.streams.finish(buffer);
        process.exit = Some(exit.clone());
        let id = id.clone();
        self.exits.push_back((id.clone(), exit.clone()));
        if self.exits.len() > REMEMBERED_EXITS {
            self.exits.pop_front();
        }
        self.answer_waiters(Some(&id), &exit);
    }

    fn container_ended(&mut self, status: i32, buffer: &mut [u8]) {
        let cgroup = Cgroup::new(&self.request.bundle.cgroup);
        // Without a process namespace of its own the container's other processes outlive its first one.
        if !cgroup.pids().is_empty() {
            let _ = cgroup.signal_all(libc::SIGKILL);
        }
        let exit = exit_status(status, cgroup.oom_kills() > 0);
        self.init.streams.finish(buffer);
        self.status = ContainerState::Stopped;
        self.init.exit = Some(exit.clone());
        self.ended = Some(Instant::now());
        // The record comes before the announcement. If it cannot be written, the announcement is all there is.
        let _ = write_exit(&self.request.bundle.state_dir, &exit);
        self.answer_waiters(None, &exit);
        // From now on the record speaks for the container.
        self.listener = None;
        let _ = fs::remove_file(self.request.bundle.state_dir.join(SOCKET_NAME));
        self.remove_files();
        self.lock = None;
    }

    fn answer_waiters(&mut self, exec: Option<&str>, exit: &ExitStatus) {
        let (answered, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.waiters)
            .into_iter()
            .partition(|(_, waited)| waited.as_deref() == exec);
        self.waiters = rest;
        for (connection, _) in answered {
            self.reply(connection, Reply::Exited(exit.clone()));
        }
    }

    pub(super) fn forget_finished_execs(&mut self) {
        self.execs
            .retain(|_, process| process.exit.is_none() || process.streams.waiting());
    }

    /// Removes the cgroup and the format's files. What cannot be removed now, `cleanup` removes.
    fn remove_files(&mut self) {
        let _ = self.format.delete(&self.request.bundle);
        let _ = fs::remove_dir_all(self.request.bundle.state_dir.join("exec"));
    }

    pub(super) fn leave(&mut self) {
        let _ = fs::remove_file(self.request.bundle.state_dir.join(SOCKET_NAME));
        for connection in std::mem::take(&mut self.deleters) {
            self.reply(connection, Reply::Done);
        }
    }
}

/// Runs work in a helper that is given the process's ends of the streams.
pub(super) fn spawn(stdio: Stdio, work: impl FnOnce(Stdio) -> Result<i32, Failure>) -> io::Result<Helper> {
    let keep = match &stdio {
        Stdio::Pipes {
            stdin,
            stdout,
            stderr,
        } => vec![stdin.as_raw_fd(), stdout.as_raw_fd(), stderr.as_raw_fd()],
        Stdio::Terminal { .. } => Vec::new(),
    };
    Helper::spawn(&keep, move || {
        end_with_shim();
        work(stdio)
    })
}

pub(super) fn console_name(exec: &str) -> String {
    format!("console-{exec:.64}.sock")
}

fn take_console(console: Option<OwnedFd>, streams: &mut Streams) -> Result<(), Failure> {
    match console {
        Some(listener) => console::receive_terminal(&listener, streams)
            .map_err(|err| Failure::new(FailureKind::Internal, format!("terminal: {err}"))),
        None => Ok(()),
    }
}

fn exit_status(status: i32, oom_killed: bool) -> ExitStatus {
    let signal = libc::WIFSIGNALED(status).then(|| libc::WTERMSIG(status));
    let code = signal.map_or_else(|| libc::WEXITSTATUS(status), |signal| 128 + signal);
    ExitStatus {
        code,
        signal,
        oom_killed,
        finished_at: clock::now(),
    }
}
