use std::os::fd::OwnedFd;

use creel_runtime::ContainerState;

use super::lifecycle::{console_name, spawn};
use super::{MAX_EXECS, Server, Task};
use crate::helper::Helper;
use crate::process::{Process, Streams};
use crate::protocol::{AttachRequest, ExecRequest, Failure, FailureKind, PROTOCOL, Reply, Request, State};

impl Server {
    /// Does what a client asks, or begins it; the answer may come later.
    pub(super) fn handle(&mut self, connection: u64, request: Request, socket: Option<OwnedFd>) {
        if self.init.pid == 0 {
            return self.reply_result(connection, Err(conflict("the container is still being created")));
        }
        match request {
            Request::Start => self.start(connection),
            Request::Kill { signal, all, exec } => {
                let result = self.kill(signal, all, exec.as_deref());
                self.reply_result(connection, result);
            }
            Request::Pause => {
                let result = self.pause();
                self.reply_result(connection, result);
            }
            Request::Resume => {
                let result = self.resume();
                self.reply_result(connection, result);
            }
            Request::Resize { width, height, exec } => {
                let result = self.process(exec.as_deref()).and_then(|process| {
                    process
                        .streams
                        .resize(width, height)
                        .map_err(|err| Failure::new(FailureKind::Invalid, err.to_string()))
                });
                self.reply_result(connection, result);
            }
            Request::Attach(request) => {
                let result = self.attach(request, socket);
                self.reply_result(connection, result);
            }
            Request::Exec(request) => {
                if let Err(failure) = self.exec(connection, request, socket) {
                    self.reply(connection, Reply::Failed(failure));
                }
            }
            Request::Wait { exec } => self.wait(connection, exec),
            Request::State => {
                let state = self.state();
                self.reply(connection, Reply::State(state));
            }
            Request::Update { resources } => {
                let request = self.request.clone();
                let work = move || {
                    request
                        .format()
                        .update(&request.bundle, &resources)
                        .map(|()| 0)
                        .map_err(Failure::from)
                };
                match Helper::spawn(&[], work) {
                    Ok(helper) => self.helpers.push((helper, Task::Update { connection })),
                    Err(err) => self.reply_result(connection, Err(internal(&err))),
                }
            }
            Request::Delete => {
                self.deleters.push(connection);
                if self.ended.is_none() {
                    let _ = self.kill(libc::SIGKILL, false, None);
                }
            }
        }
    }

    fn start(&mut self, connection: u64) {
        let starting = self
            .helpers
            .iter()
            .any(|(_, task)| matches!(task, Task::Start { .. }));
        if self.status != ContainerState::Created || starting {
            return self.reply_result(
                connection,
                Err(conflict("the container has been started already")),
            );
        }
        if let Some(started) = self.format.start_at_once(&self.request.bundle) {
            if started.is_ok() {
                self.status = ContainerState::Running;
            }
            return self.reply_result(connection, started.map_err(Failure::from));
        }
        let request = self.request.clone();
        match Helper::spawn(&[], move || {
            let started = request.format().start(&request.bundle);
            started.map(|()| 0).map_err(Failure::from)
        }) {
            Ok(helper) => self.helpers.push((helper, Task::Start { connection })),
            Err(err) => self.reply_result(connection, Err(internal(&err))),
        }
    }

    fn kill(&mut self, signal: i32, all: bool, exec: Option<&str>) -> Result<(), Failure> {
        let process = self.process(exec)?;
        if process.exit.is_some() {
            return Err(conflict("it is not running"));
        }
        let pid = process.pid;
        self.format.kill(&self.request.bundle, pid, signal, all)?;
        if signal == libc::SIGKILL && self.status == ContainerState::Paused {
            // A frozen process dies only when it thaws.
            self.resume()?;
        }
        Ok(())
    }

    fn pause(&mut self) -> Result<(), Failure> {
        match self.status {
            ContainerState::Running => {}
            ContainerState::Paused => return Err(conflict("the container is already paused")),
            _ => return Err(conflict("the container is not running")),
        }
        if let Err(err) = self.format.pause(&self.request.bundle) {
            let _ = self.format.resume(&self.request.bundle);
            return Err(err.into());
        }
        self.status = ContainerState::Paused;
        Ok(())
    }

    fn resume(&mut self) -> Result<(), Failure> {
        if self.status != ContainerState::Paused {
            return Err(conflict("the container is not paused"));
        }
        self.format.resume(&self.request.bundle)?;
        self.status = ContainerState::Running;
        Ok(())
    }

    fn attach(&mut self, request: AttachRequest, socket: Option<OwnedFd>) -> Result<(), Failure> {
        let socket =
            socket.ok_or_else(|| Failure::new(FailureKind::Invalid, "no socket came with the request"))?;
        if self.ended.is_some() {
            return Err(conflict("the container is not running"));
        }
        self.init
            .streams
            .attach(socket, request)
            .map_err(|err| internal(&err))
    }

    fn exec(
        &mut self,
        connection: u64,
        request: ExecRequest,
        socket: Option<OwnedFd>,
    ) -> Result<(), Failure> {
        match self.status {
            ContainerState::Running => {}
            ContainerState::Paused => {
                return Err(conflict("the container is paused; unpause it before exec"));
            }
            _ => return Err(conflict("the container is not running")),
        }
        let pending = |id: &str| {
            self.helpers
                .iter()
                .any(|(_, task)| matches!(task, Task::Exec { id: other, .. } if other == id))
        };
        if self.execs.contains_key(&request.id) || pending(&request.id) {
            return Err(conflict("the exec has been started already"));
        }
        if self.execs.len() >= MAX_EXECS {
            return Err(conflict(&format!(
                "the container has {MAX_EXECS} exec'd processes already"
            )));
        }
        let mut streams = Streams::new(true, self.backlogs());
        let stdin = request.attach.as_ref().is_some_and(|attach| attach.stdin);
        let name = console_name(&request.id);
        let (stdio, console) = self
            .prepare_streams(&mut streams, request.terminal, stdin, &name)
            .map_err(|err| internal(&err))?;
        if let Some(attach) = request.attach {
            let socket = socket
                .ok_or_else(|| Failure::new(FailureKind::Invalid, "no socket came with the request"))?;
            streams.attach(socket, attach).map_err(|err| internal(&err))?;
        }
        let container = self.request.clone();
        let helper = spawn(stdio, move |stdio| {
            let result = container
                .format()
                .exec(&container.bundle, &request.process_file, stdio)
                .map_err(Failure::from);
            let _ = std::fs::remove_file(&request.process_file);
            result
        });
        let helper = helper.map_err(|err| internal(&err))?;
        self.helpers.push((
            helper,
            Task::Exec {
                connection,
                id: request.id,
                console,
                streams: Box::new(streams),
            },
        ));
        Ok(())
    }

    fn wait(&mut self, connection: u64, exec: Option<String>) {
        let ended = match &exec {
            None => self.init.exit.clone(),
            Some(id) => self
                .exits
                .iter()
                .find(|(known, _)| known == id)
                .map(|(_, exit)| exit.clone()),
        };
        match ended {
            Some(exit) => self.reply(connection, Reply::Exited(exit)),
            None => match self.process(exec.as_deref()) {
                Ok(_) => self.waiters.push((connection, exec)),
                Err(failure) => self.reply(connection, Reply::Failed(failure)),
            },
        }
    }

    fn state(&self) -> State {
        State {
            protocol: PROTOCOL,
            id: self.request.bundle.id.clone(),
            pid: if self.init.exit.is_some() {
                0
            } else {
                self.init.pid
            },
            status: self.status,
            execs: self.execs.values().filter(|exec| exec.exit.is_none()).count(),
        }
    }

    fn process(&self, exec: Option<&str>) -> Result<&Process, Failure> {
        match exec {
            None => Ok(&self.init),
            Some(id) => self
                .execs
                .get(id)
                .ok_or_else(|| Failure::new(FailureKind::NotFound, format!("no such exec: {id}"))),
        }
    }
}

fn conflict(text: &str) -> Failure {
    Failure::new(FailureKind::Conflict, text)
}

fn internal(err: &std::io::Error) -> Failure {
    Failure::new(FailureKind::Internal, err.to_string())
}
