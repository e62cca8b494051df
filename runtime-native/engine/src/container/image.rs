//! What becomes of a container's files: their differences, an archive of all, another image.

use std::io::{PipeReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use creel_image::{Empty, Healthcheck, History, ImageConfig, apply_changes};
use creel_storage::{Change, ChangeKind, write_root};

use super::archive::{inside_of, send};
use super::record::{Definition, Status};
use super::{Container, given};
use crate::engine::Engine;
use crate::error::{EngineError, Result};
use crate::images::image_error;
use crate::network::blocking;
use crate::progress::ProgressStream;
use crate::proto::{self, CommitRequest, ContainerSize, ProgressDone};
use crate::volume::storage_error;

impl Engine {
    /// The names of a container that are not as its image has them.
    pub async fn changes(self: &Arc<Self>, reference: &str) -> Result<Vec<proto::Change>> {
        let container = self.containers.find(reference)?;
        let engine = self.clone();
        let own = blocking(move || engine.own_changes(&container)).await?;
        let one = |change: Change| proto::Change {
            path: format!("/{}", change.path.to_string_lossy()),
            kind: match change.kind {
                ChangeKind::Modified => proto::ChangeKind::Modified,
                ChangeKind::Added => proto::ChangeKind::Added,
                ChangeKind::Deleted => proto::ChangeKind::Deleted,
            }
            .into(),
        };
        Ok(own.into_iter().map(one).collect())
    }

    /// The container's changes without those that every start makes, by name.
    fn own_changes(&self, container: &Container) -> Result<Vec<Change>> {
        let changes = self.storage.changes(&container.id).map_err(storage_error)?;
        let (given, mut own): (Vec<_>, Vec<_>) = changes.into_iter().partition(given::is_given);
        // A directory counts for what it holds that is the container's own.
        let above = |change: &Change| own.iter().any(|other| other.path.starts_with(&change.path));
        let above: Vec<_> = given.into_iter().filter(above).collect();
        own.extend(above);
        own.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(own)
    }

    /// How much a container takes on disk.
    pub async fn size(self: &Arc<Self>, reference: &str) -> Result<ContainerSize> {
        let container = self.containers.find(reference)?;
        let engine = self.clone();
        blocking(move || {
            let own = engine.storage.usage(&container.id).map_err(storage_error)?.bytes;
            let image = engine.images.find(&container.definition().image_id);
            let below = image.map_or(0, |image| image.record.size);
            Ok(ContainerSize {
                own: own as i64,
                root_fs: (own + below) as i64,
            })
        })
        .await
    }

    /// Writes an archive of all files of a container, without its volumes, to the socket named in the first message.
    pub fn export(self: &Arc<Self>, reference: &str) -> Result<ProgressStream> {
        let container = self.containers.find(reference)?;
        self.over_socket(move |engine, stream, _| {
            engine.with_files(&container, |rootfs, ids| {
                let root = std::fs::File::open(rootfs)
                    .map_err(|e| EngineError::io(format_args!("open {}", rootfs.display()), e))?;
                send(stream, |out| write_root(&root.into(), inside_of(ids), out))
            })?;
            engine.emit_container(&container, "export", []);
            Ok((Vec::new(), ProgressDone::default()))
        })
    }

    /// Makes an image of a container and gives its id.
    pub async fn commit(self: &Arc<Self>, request: CommitRequest) -> Result<String> {
        let container = self.containers.find(&request.id)?;
        if matches!(container.status(), Status::Removing | Status::Dead) {
            return Err(EngineError::conflict("container is marked for removal"));
        }
        let paused = request.pause && container.status() == Status::Running;
        if paused {
            self.freeze(&container.id, true).await?;
        }
        let (engine, of) = (self.clone(), container.clone());
        let made = blocking(move || engine.commit_files(&of, &request)).await;
        if paused {
            // It may have been killed meanwhile.
            let _ = self.unpause(&container.id).await;
        }
        made
    }

    fn commit_files(&self, container: &Arc<Container>, request: &CommitRequest) -> Result<String> {
        let definition = container.definition();
        let parent = self.images.find(&definition.image_id)?;
        let mut config = (*parent.config).clone();
        take_over(&mut config, &definition);
        let changes = &request.changes;
        apply_changes(&mut config.config, changes).map_err(image_error)?;
        let given = |text: &String| (!text.is_empty()).then(|| text.clone());
        config.author = given(&request.author);
        config.comment = given(&request.message);
        config.created = None;
        let step = History {
            created_by: Some(definition.merged.argv().join(" ")),
            author: given(&request.author),
            comment: given(&request.message),
            ..History::default()
        };
        let reference = match (request.repo.as_str(), request.tag.as_str()) {
            ("", _) => None,
            (repo, "") => Some(repo.to_owned()),
            (repo, tag) => Some(format!("{repo}:{tag}")),
        };
        let mut layer = OwnLayer::read(self, container)?;
        let id = self
            .images
            .store
            .create(
                Some(&parent.id),
                config,
                step,
                Some(&mut layer),
                reference.as_deref(),
            )
            .map_err(image_error)?
            .to_string();
        let mut attributes = vec![
            ("comment".to_owned(), request.message.clone()),
            ("imageID".to_owned(), id.clone()),
        ];
        attributes.extend(reference.map(|name| ("imageRef".to_owned(), name)));
        self.emit_container(container, "commit", attributes);
        Ok(id)
    }
}

/// The image's configuration becomes what the container was made with.
fn take_over(config: &mut ImageConfig, definition: &Definition) {
    let (merged, spec) = (&definition.merged, &definition.spec);
    let config = &mut config.config;
    let list = |words: &Vec<String>| (!words.is_empty()).then(|| words.clone());
    config.entrypoint = list(&merged.entrypoint);
    config.cmd = list(&merged.cmd);
    config.env.clone_from(&merged.env);
    config.working_dir.clone_from(&merged.working_dir);
    config.user.clone_from(&merged.user);
    config.labels.clone_from(&merged.labels);
    config.exposed_ports = merged
        .exposed_ports
        .iter()
        .map(|port| (port.clone(), Empty {}))
        .collect();
    if !spec.stop_signal.is_empty() {
        config.stop_signal.clone_from(&spec.stop_signal);
    }
    let anonymous = spec
        .mounts
        .iter()
        .filter(|m| m.r#type == "volume" && m.source.is_empty());
    config
        .volumes
        .extend(anonymous.map(|m| (m.target.clone(), Empty {})));
    if let Some(check) = &spec.healthcheck {
        config.healthcheck = Some(Healthcheck {
            test: check.test.clone(),
            interval: check.interval_nanos,
            timeout: check.timeout_nanos,
            start_period: check.start_period_nanos,
            start_interval: check.start_interval_nanos,
            retries: check.retries.into(),
        });
    }
}

/// The archive of a container's own files, while a thread makes it. Reading it fails where the thread did.
struct OwnLayer {
    pipe: PipeReader,
    writer: Option<JoinHandle<creel_storage::Result<()>>>,
}

impl OwnLayer {
    fn read(engine: &Engine, container: &Container) -> Result<Self> {
        let (pipe, mut sink) = std::io::pipe().map_err(|e| EngineError::io("make a pipe", e))?;
        let own = engine.own_changes(container)?;
        let leave_out: Vec<_> = given::paths()
            .filter(|path| own.iter().all(|change| change.path != *path))
            .map(Path::to_owned)
            .collect();
        let (storage, id) = (engine.storage.clone(), container.id.clone());
        let writer = std::thread::spawn(move || storage.diff(&id, &leave_out, &mut sink));
        Ok(Self {
            pipe,
            writer: Some(writer),
        })
    }
}

impl Read for OwnLayer {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.pipe.read(buffer)?;
        if n == 0
            && !buffer.is_empty()
            && let Some(writer) = self.writer.take()
        {
            match writer.join() {
                Ok(done) => done.map_err(std::io::Error::other)?,
                Err(_) => return Err(std::io::Error::other("the layer's writer ended unexpectedly")),
            }
        }
        Ok(n)
    }
}
