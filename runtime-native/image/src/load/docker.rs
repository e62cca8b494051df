use std::io::Read;

use creel_storage::Digest;
use serde::Deserialize;

use super::Pending;
use super::archive::Archive;
use crate::compress::{Compression, decompress};
use crate::error::{ImageError, Result};
use crate::metadata::Descriptor;
use crate::reference::Reference;
use crate::store::ImageStore;

/// One image of a `docker save` archive's manifest.json.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

/// The images that manifest.json names.
pub(super) fn images(store: &ImageStore, archive: &Archive) -> Result<Vec<Pending>> {
    let Some(document) = archive.document(store, "manifest.json")? else {
        if archive.file("index.json").is_some() {
            return Ok(Vec::new());
        }
        let old = archive.names().any(|name| name == "repositories");
        return Err(ImageError::archive(match old {
            true => {
                "the archive is of a docker older than 1.10, which is not supported: save the image again"
            }
            false => {
                "not an image archive: it has neither manifest.json nor index.json (to make an image of a root file \
                 system's archive, use import)"
            }
        }));
    };
    let items: Vec<Item> = serde_json::from_slice(&document)
        .map_err(|e| ImageError::archive(format!("manifest.json cannot be read: {e}")))?;
    items
        .into_iter()
        .map(|item| pending(store, archive, item))
        .collect()
}

fn pending(store: &ImageStore, archive: &Archive, item: Item) -> Result<Pending> {
    let file = |name: &str| {
        archive
            .file(name)
            .ok_or_else(|| ImageError::archive(format!("the archive lacks the file {name}")))
    };
    let (config, _) = file(&item.config)?;
    let mut layers = Vec::new();
    for name in item.layers.unwrap_or_default() {
        let (digest, size) = file(&name)?;
        let media_type = compression(store, &digest)?.layer_media_type().to_owned();
        layers.push(Descriptor {
            media_type,
            digest,
            size,
        });
    }
    let mut references = Vec::new();
    for name in item.repo_tags.unwrap_or_default() {
        let reference = Reference::parse(&name).map_err(|e| ImageError::archive(format!("{name:?}: {e}")))?;
        references.push(reference.with_default_tag());
    }
    Ok(Pending {
        config,
        layers,
        manifest: None,
        references,
    })
}

/// How a layer's blob is compressed.
pub(super) fn compression(store: &ImageStore, digest: &Digest) -> Result<Compression> {
    let head = store.content.reader(digest)?.take(16);
    Ok(decompress(head)?.1)
}
