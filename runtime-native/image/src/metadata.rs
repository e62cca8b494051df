use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use creel_storage::{Digest, write_atomic};
use serde::{Deserialize, Serialize};

use crate::error::{ImageError, Result};

/// A blob as a manifest names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Descriptor {
    pub media_type: String,
    pub digest: Digest,
    pub size: u64,
}

/// What is kept of an image beside its configuration.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ImageRecord {
    /// The manifest it came with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<Descriptor>,
    pub config_size: u64,
    /// The layers as they came, bottom first.
    pub layers: Vec<Descriptor>,
    /// Bytes of the unpacked layers.
    pub size: u64,
    /// The image it was made from on this node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Digest>,
    /// Seconds since 1970 at which it last got a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tagged_at: Option<u64>,
}

impl ImageRecord {
    /// The blobs that must stay as long as the image does.
    pub(crate) fn blobs<'a>(&'a self, id: &'a Digest) -> impl Iterator<Item = &'a Digest> {
        let own = self.layers.iter().chain(&self.manifest).map(|d| &d.digest);
        own.chain(std::iter::once(id))
    }
}

/// All images and their names; one file, replaced as a whole.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Metadata {
    version: u32,
    pub images: BTreeMap<Digest, ImageRecord>,
    /// Full references, `docker.io/library/alpine:latest`.
    pub references: BTreeMap<String, Digest>,
}

const VERSION: u32 = 1;

/// The file that holds [`Metadata`].
pub(crate) struct MetadataFile {
    path: PathBuf,
}

impl MetadataFile {
    pub(crate) fn open(data_root: &Path) -> Result<(Self, Metadata)> {
        let directory = data_root.join("image");
        fs::create_dir_all(&directory).map_err(|e| ImageError::path("create", &directory, e))?;
        for entry in fs::read_dir(&directory)
            .map_err(|e| ImageError::path("read", &directory, e))?
            .flatten()
        {
            if entry.file_name().to_string_lossy().starts_with('.') {
                let _ = fs::remove_file(entry.path());
            }
        }
        let path = directory.join("images.json");
        let metadata: Metadata = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|e| ImageError::path("read", &path, io::Error::from(e)))?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => Metadata {
                version: VERSION,
                ..Metadata::default()
            },
            Err(e) => return Err(ImageError::path("read", &path, e)),
        };
        if metadata.version != VERSION {
            let text = format!(
                "{} has version {}, this program reads {VERSION}",
                path.display(),
                metadata.version
            );
            return Err(ImageError::new(crate::error::ErrorKind::Unsupported, text));
        }
        Ok((Self { path }, metadata))
    }

    /// Writes the metadata; after a crash there is the old or the new.
    pub(crate) fn save(&self, metadata: &Metadata) -> Result<()> {
        let bytes = serde_json::to_vec(metadata)
            .map_err(|e| ImageError::path("write", &self.path, io::Error::from(e)))?;
        Ok(write_atomic(&self.path, &bytes)?)
    }
}
