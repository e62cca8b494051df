//! `docker import`, and images made on this node of a parent and one more layer.

use std::io::{Read, Write};

use creel_storage::{Digest, DigestReader, chain_id};

use crate::changes;
use crate::compress::{Compression, decompress};
use crate::config::{History, ImageConfig};
use crate::error::{ErrorKind, ImageError, Result};
use crate::load::{Progress, host_architecture};
use crate::metadata::{Descriptor, ImageRecord};
use crate::reference::Reference;
use crate::store::{ImageStore, Lease};
use crate::time;

/// What to make of a root file system's archive.
#[derive(Debug, Clone, Default)]
pub struct ImportOptions {
    /// The name of the image, if it gets one.
    pub reference: Option<String>,
    /// Instructions of `--change`, such as `CMD ["sh"]`.
    pub changes: Vec<String>,
    /// The comment in the history; `Imported from -` if empty.
    pub message: String,
    /// `os/architecture[/variant]`; this machine's if empty.
    pub platform: String,
}

impl ImageStore {
    /// Makes an image of one layer of a root file system's archive, compressed or not. Returns its id.
    pub fn import(
        &self,
        reader: impl Read,
        options: &ImportOptions,
        mut progress: impl FnMut(Progress),
    ) -> Result<Digest> {
        let reference = options.reference.as_deref().map(Reference::parse).transpose()?;
        if reference.as_ref().is_some_and(|r| r.digest().is_some()) {
            return Err(ImageError::invalid("cannot import digest reference"));
        }
        let mut config = ImageConfig::default();
        (config.os, config.architecture, config.variant) = platform(&options.platform)?;
        changes::apply(&mut config.config, &options.changes)?;
        let comment = match options.message.is_empty() {
            true => "Imported from -".to_owned(),
            false => options.message.clone(),
        };
        config.comment = Some(comment.clone());
        let step = History {
            comment: Some(comment),
            ..History::default()
        };
        self.add_layer(None, config, step, Some(reader), reference, &mut progress)
    }

    /// Makes an image of `parent` (or of nothing) with a layer more, or with another configuration alone. The
    /// configuration's layers and history are filled in here. Returns its id.
    pub fn create(
        &self,
        parent: Option<&Digest>,
        config: ImageConfig,
        step: History,
        layer: Option<&mut dyn Read>,
        reference: Option<&str>,
    ) -> Result<Digest> {
        let reference = reference.map(Reference::parse).transpose()?;
        self.add_layer(parent, config, step, layer, reference, &mut |_| {})
    }

    fn add_layer(
        &self,
        parent: Option<&Digest>,
        mut config: ImageConfig,
        mut step: History,
        layer: Option<impl Read>,
        reference: Option<Reference>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Digest> {
        let mut lease = self.lease();
        let mut layers = Vec::new();
        let mut size = 0;
        let mut below = None;
        config.rootfs.diff_ids.clear();
        config.history.clear();
        if let Some(parent) = parent {
            let image = self.get(parent)?;
            for blob in image.record.blobs(parent) {
                lease.hold_blob(blob);
            }
            for (depth, chain) in image.layers.iter().enumerate() {
                lease.hold_layer(depth, chain);
            }
            // Once more, now that what it needs is held.
            let image = self.get(parent)?;
            config.rootfs.diff_ids.clone_from(&image.config.rootfs.diff_ids);
            config.history.clone_from(&image.config.history);
            below = image.top_layer().cloned();
            layers = image.record.layers;
            size = image.record.size;
        }
        match layer {
            None => step.empty_layer = true,
            Some(stream) => {
                let (blob, diff_id) = self.ingest_layer(stream, &mut lease, progress)?;
                let chain = chain_id(below.as_ref(), &diff_id);
                let depth = config.rootfs.diff_ids.len();
                size += self.unpack_layer(
                    &chain,
                    below.as_ref(),
                    &diff_id,
                    &blob,
                    depth,
                    &mut lease,
                    progress,
                )?;
                layers.push(blob);
                config.rootfs.diff_ids.push(diff_id);
            }
        }
        let now = time::format(time::now());
        step.created.get_or_insert_with(|| now.clone());
        config.created.get_or_insert(now);
        config.history.push(step);
        let bytes = serde_json::to_vec(&config)
            .map_err(|e| ImageError::io("write image configuration", std::io::Error::from(e)))?;
        let id = Digest::of(&bytes);
        lease.hold_blob(&id);
        self.content.put(&bytes)?;
        let record = ImageRecord {
            manifest: None,
            config_size: bytes.len() as u64,
            layers,
            size,
            parent: parent.cloned(),
            tagged_at: None,
        };
        let reference = reference.map(Reference::with_default_tag);
        self.change(|state| {
            state.insert(&id, config, record);
            if let Some(reference) = &reference {
                state.set_reference(reference, &id);
            }
            Ok(id)
        })
    }

    /// Stores a layer's archive as it comes. Returns its blob and its diff id.
    fn ingest_layer(
        &self,
        mut stream: impl Read,
        lease: &mut Lease<'_>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(Descriptor, Digest)> {
        let unreadable = |e| ImageError::reading("the archive cannot be read", e);
        let mut writer = self.content.writer(None)?;
        let mut buffer = vec![0u8; 128 * 1024];
        let mut told = 0;
        loop {
            let n = stream.read(&mut buffer).map_err(unreadable)?;
            if n == 0 {
                break;
            }
            writer
                .write_all(&buffer[..n])
                .map_err(|e| ImageError::io("write blob", e))?;
            if writer.offset() - told >= 1 << 20 {
                told = writer.offset();
                progress(Progress::Reading { bytes: told });
            }
        }
        let finished = writer.finish()?;
        lease.hold_blob(finished.digest());
        let (digest, size) = finished.publish()?;
        let (plain, compression) = decompress(self.content.reader(&digest)?)?;
        let media_type = compression.layer_media_type().to_owned();
        let diff_id = match compression {
            Compression::None => digest.clone(),
            _ => {
                let mut hashed = DigestReader::new(plain, None);
                std::io::copy(&mut hashed, &mut std::io::sink()).map_err(unreadable)?;
                hashed
                    .digest()
                    .cloned()
                    .ok_or_else(|| ImageError::archive("the archive has no end"))?
            }
        };
        Ok((
            Descriptor {
                media_type,
                digest,
                size,
            },
            diff_id,
        ))
    }
}

fn platform(text: &str) -> Result<(String, String, Option<String>)> {
    if text.is_empty() {
        return Ok(("linux".to_owned(), host_architecture().to_owned(), None));
    }
    let parts: Vec<&str> = text.split('/').collect();
    let sound = |part: &&str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.')
    };
    let (os, architecture, variant) = match parts.as_slice() {
        parts if !parts.iter().all(sound) => return Err(bad_platform(text)),
        ["linux"] => ("linux", host_architecture(), None),
        [architecture] => ("linux", *architecture, None),
        [os, architecture] => (*os, *architecture, None),
        [os, architecture, variant] => (*os, *architecture, Some((*variant).to_owned())),
        _ => return Err(bad_platform(text)),
    };
    if os != "linux" {
        let text = format!("platform {text} is not supported: only linux images can be used here");
        return Err(ImageError::new(ErrorKind::Unsupported, text));
    }
    let architecture = match architecture {
        "x86_64" | "x86-64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    Ok((os.to_owned(), architecture.to_owned(), variant))
}

fn bad_platform(text: &str) -> ImageError {
    ImageError::invalid(format!(
        "invalid platform {text:?}: expected os/architecture or os/architecture/variant"
    ))
}
