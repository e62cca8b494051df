//! The requests that tests make of an engine, in short.

use std::time::Duration;

use creel_engine::proto::progress::Kind;
use creel_engine::proto::{self, ContainerRef, ContainerSpec};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tonic::Status;

use crate::image;
use crate::test_engine::{LIMIT, TestEngine};

impl TestEngine {
    /// Imports the tests' image, with further `--change`s.
    pub async fn import(&self, changes: &[&str]) -> String {
        self.try_import(changes).await.unwrap()
    }

    /// The same with an engine that may go away meanwhile.
    pub async fn try_import(&self, changes: &[&str]) -> Result<String, Status> {
        let changes = changes
            .iter()
            .chain(&["ENTRYPOINT [\"/bin/helper\"]"])
            .map(|c| (*c).to_owned())
            .collect();
        let request = proto::ImportRequest {
            repo: "helper".into(),
            changes,
            ..Default::default()
        };
        let mut progress = self.images().import(request).await?.into_inner();
        let archive = image::archive();
        let mut id = String::new();
        while let Some(message) = progress.message().await? {
            match message.kind.unwrap() {
                Kind::Socket(path) => {
                    let mut socket = UnixStream::connect(path).await?;
                    socket.write_all(&archive).await?;
                    socket.shutdown().await?;
                }
                Kind::Line(_) => {}
                Kind::Done(done) => id = done.ids[0].clone(),
            }
        }
        Ok(id)
    }

    pub async fn create(&self, name: &str, spec: ContainerSpec) -> Result<String, Status> {
        let request = proto::CreateContainerRequest {
            name: name.into(),
            spec: Some(spec),
        };
        Ok(self.containers().create(request).await?.into_inner().id)
    }

    pub async fn start_container(&self, id: &str) -> Result<(), Status> {
        self.containers()
            .start(ContainerRef { id: id.into() })
            .await
            .map(|_| ())
    }

    pub async fn inspect(&self, id: &str) -> Result<proto::Container, Status> {
        Ok(self
            .containers()
            .inspect(ContainerRef { id: id.into() })
            .await?
            .into_inner())
    }

    pub async fn status(&self, id: &str) -> String {
        self.inspect(id).await.unwrap().state.unwrap().status
    }

    /// Where the shim of a running container is found.
    pub async fn shim_dir(&self, name: &str) -> std::path::PathBuf {
        let id = self.inspect(name).await.unwrap().id;
        let own = self.dir.path().join("exec/containers").join(id);
        let mut entries = std::fs::read_dir(own)
            .unwrap()
            .flatten()
            .map(|entry| entry.path());
        entries
            .find(|path| path.to_string_lossy().contains("/shim-"))
            .unwrap()
    }

    pub async fn remove(&self, id: &str) -> Result<(), Status> {
        let request = proto::RemoveContainerRequest {
            id: id.into(),
            force: true,
            volumes: true,
        };
        self.containers().remove(request).await.map(|_| ())
    }

    pub async fn stop(&self, id: &str, timeout_seconds: i32) -> Result<(), Status> {
        let request = proto::StopRequest {
            id: id.into(),
            timeout_seconds,
            ..Default::default()
        };
        self.containers().stop(request).await.map(|_| ())
    }

    /// Waits for the container to end and gives its exit status.
    pub async fn wait_for(&self, id: &str) -> i32 {
        let request = proto::WaitRequest {
            id: id.into(),
            condition: String::new(),
        };
        let mut stream = self.containers().wait(request).await.unwrap().into_inner();
        loop {
            let message = tokio::time::timeout(LIMIT, stream.message())
                .await
                .expect("it ends")
                .unwrap();
            if let Some(proto::wait_reply::Kind::Result(result)) = message.unwrap().kind {
                return result.exit_code;
            }
        }
    }

    /// Runs a container to its end; gives its exit status and what it printed.
    pub async fn run(&self, spec: ContainerSpec) -> (i32, String) {
        let id = self.create("", spec).await.unwrap();
        self.start_container(&id).await.unwrap();
        let code = self.wait_for(&id).await;
        let output = self.logs(&id).await;
        self.remove(&id).await.unwrap();
        (code, output)
    }

    /// Runs the helper with these words in a running container; gives what it printed.
    pub async fn exec(&self, id: &str, words: &[&str]) -> Result<String, Status> {
        let request = proto::ExecCreateRequest {
            container_id: id.into(),
            cmd: [&["/bin/helper"][..], words]
                .concat()
                .into_iter()
                .map(str::to_owned)
                .collect(),
            stdout: true,
            stderr: true,
            ..Default::default()
        };
        let id = self.containers().exec_create(request).await?.into_inner().id;
        let start = proto::ExecStartRequest {
            id,
            ..Default::default()
        };
        let reply = self.containers().exec_start(start).await?.into_inner();
        Ok(text(&read_all(&reply.socket).await, reply.raw))
    }

    /// What the container printed so far.
    pub async fn logs(&self, id: &str) -> String {
        let request = proto::LogsRequest {
            id: id.into(),
            stdout: true,
            stderr: true,
            tail: -1,
            ..Default::default()
        };
        let reply = self.containers().logs(request).await.unwrap().into_inner();
        text(&read_all(&reply.socket).await, reply.raw)
    }

    /// Waits until the container has printed `wanted`.
    pub async fn printed(&self, id: &str, wanted: &str) {
        let look = async {
            while !self.logs(id).await.contains(wanted) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(LIMIT, look)
            .await
            .unwrap_or_else(|_| panic!("{id} never printed {wanted:?}"));
    }
}

/// The spec of a container that runs the helper with these words.
pub fn spec(words: &[&str]) -> ContainerSpec {
    ContainerSpec {
        image: image::NAME.into(),
        cmd: words.iter().map(|w| (*w).to_owned()).collect(),
        ..ContainerSpec::default()
    }
}

/// Reads a one-time socket to its end.
pub async fn read_all(path: &str) -> Vec<u8> {
    let mut socket = UnixStream::connect(path).await.unwrap();
    let mut bytes = Vec::new();
    tokio::time::timeout(LIMIT, socket.read_to_end(&mut bytes))
        .await
        .expect("it ends")
        .unwrap();
    bytes
}

/// The text of Docker's frames.
pub fn text(bytes: &[u8], raw: bool) -> String {
    let mut out = Vec::new();
    let mut rest = bytes;
    while !raw && rest.len() >= 8 {
        let length = u32::from_be_bytes(rest[4..8].try_into().unwrap()) as usize;
        out.extend_from_slice(&rest[8..8 + length]);
        rest = &rest[8 + length..];
    }
    if raw {
        out.extend_from_slice(bytes);
    }
    String::from_utf8(out).unwrap()
}

/// Asserts the code of the registry that came with an error.
pub fn assert_code(error: &Status, code: &str) {
    let found = error.metadata().get("creel-code").and_then(|c| c.to_str().ok());
    assert_eq!(found, Some(code), "{error:?}");
}

/// Waits until `look` is true; fails with `what` was waited for.
pub async fn until<F: Future<Output = bool>>(what: &str, mut look: impl FnMut() -> F) {
    let seen = async {
        while !look().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LIMIT, seen)
        .await
        .unwrap_or_else(|_| panic!("{what}"));
}
