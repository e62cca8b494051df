//! Archives of images in and out, over one-time sockets, with their progress.

use std::io::{BufWriter, Write};
use std::sync::Arc;

use creel_image::{ImportOptions, Progress as Step};

use super::image_error;
use crate::engine::Engine;
use crate::error::{EngineError, Result};
use crate::progress::{ProgressStream, message};
use crate::proto::{ImportRequest, ProgressDone, ProgressLine, progress::Kind};

impl Engine {
    /// Loads an archive that the caller writes to the socket named in the first message.
    pub fn load(self: &Arc<Self>, quiet: bool) -> Result<ProgressStream> {
        self.over_socket(move |engine, stream, sender| {
            let progress = sender.clone();
            let report = move |step: Step| {
                if !quiet && let Some(line) = line(&step) {
                    let _ = progress.try_send(message(Kind::Line(line)));
                }
            };
            let loaded = engine.images.store.load(stream, report).map_err(image_error)?;
            let mut done = ProgressDone::default();
            let mut lines = Vec::new();
            for image in loaded {
                for (name, old) in &image.renamed {
                    lines.push(format!("The image {name} already exists, renaming the old one with ID {old} to empty string\n"));
                }
                let id = image.id.to_string();
                if image.references.is_empty() {
                    lines.push(format!("Loaded image ID: {id}\n"));
                }
                lines.extend(image.references.iter().map(|name| format!("Loaded image: {name}\n")));
                let name = image.references.first().cloned().unwrap_or_else(|| id.clone());
                engine.events.emit("image", "load", &id, [("name".to_owned(), name)]);
                done.ids.push(id);
                done.refs.extend(image.references);
            }
            Ok((lines, done))
        })
    }

    /// Makes an image of a root file system's archive that the caller writes to the socket named in the first message.
    pub fn import(self: &Arc<Self>, request: ImportRequest) -> Result<ProgressStream> {
        let reference = match (request.repo.as_str(), request.tag.as_str()) {
            ("", _) => None,
            (repo, "") => Some(repo.to_owned()),
            (repo, tag) => Some(format!("{repo}:{tag}")),
        };
        let options = ImportOptions {
            reference: reference.clone(),
            changes: request.changes,
            message: request.message,
            platform: request.platform,
        };
        self.over_socket(move |engine, stream, _| {
            let id = engine
                .images
                .store
                .import(stream, &options, |_| {})
                .map_err(image_error)?
                .to_string();
            engine.emit_image("import", &id, reference.as_deref().unwrap_or(&id));
            let done = ProgressDone {
                ids: vec![id.clone()],
                refs: reference.into_iter().collect(),
            };
            Ok((vec![format!("{id}\n")], done))
        })
    }

    /// Writes an archive of images to the socket named in the first message.
    pub fn save(self: &Arc<Self>, refs: Vec<String>) -> Result<ProgressStream> {
        for name in &refs {
            self.images.find(name)?;
        }
        self.over_socket(move |engine, stream, _| {
            let failed = |e| EngineError::io("write the archive", e);
            let mut out = BufWriter::with_capacity(256 << 10, stream);
            engine.images.store.save(&refs, &mut out).map_err(image_error)?;
            out.flush().map_err(failed)?;
            for name in &refs {
                if let Ok(image) = engine.images.find(name) {
                    engine.emit_image("save", &image.id.to_string(), name);
                }
            }
            Ok((
                Vec::new(),
                ProgressDone {
                    ids: Vec::new(),
                    refs,
                },
            ))
        })
    }
}

fn line(step: &Step) -> Option<ProgressLine> {
    match step {
        Step::Reading { .. } => None,
        Step::Unpacking {
            diff_id,
            bytes,
            total,
        } => Some(ProgressLine {
            id: short(&diff_id.to_string()),
            status: "Loading layer".into(),
            current: *bytes as i64,
            total: *total as i64,
            ..ProgressLine::default()
        }),
        Step::Layer { .. } => None,
    }
}

fn short(digest: &str) -> String {
    let hex = digest.strip_prefix("sha256:").unwrap_or(digest);
    hex.get(..12).unwrap_or(hex).to_owned()
}
