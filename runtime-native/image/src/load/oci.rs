use std::collections::BTreeMap;

use creel_storage::Digest;
use serde::Deserialize;

use super::Pending;
use super::archive::Archive;
use super::platform::{self, Platform};
use crate::error::{ErrorKind, ImageError, Result};
use crate::metadata::Descriptor;
use crate::reference::Reference;
use crate::store::{ImageStore, MAX_DOCUMENT};

const CONTAINERD_NAME: &str = "io.containerd.image.name";
const REF_NAME: &str = "org.opencontainers.image.ref.name";
const ATTESTATION: &str = "vnd.docker.reference.type";
const MAX_DEPTH: usize = 4;

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Link {
    #[serde(default)]
    media_type: String,
    digest: Digest,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    platform: Option<Platform>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

impl Link {
    fn annotation(&self, name: &str) -> Option<&str> {
        self.annotations.as_ref()?.get(name).map(String::as_str)
    }

    fn is_index(&self) -> bool {
        self.media_type == "application/vnd.oci.image.index.v1+json"
            || self.media_type == "application/vnd.docker.distribution.manifest.list.v2+json"
    }

    fn is_image(&self) -> bool {
        self.media_type == "application/vnd.oci.image.manifest.v1+json"
            || self.media_type == "application/vnd.docker.distribution.manifest.v2+json"
    }

    /// The full name it is given, if it is one: a bare tag names no image.
    fn reference(&self) -> Option<Reference> {
        if let Some(name) = self.annotation(CONTAINERD_NAME) {
            return Reference::parse(name).ok().map(Reference::with_default_tag);
        }
        let name = self
            .annotation(REF_NAME)
            .filter(|name| name.contains([':', '/']))?;
        Reference::parse(name).ok().map(Reference::with_default_tag)
    }
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Link>,
}

#[derive(Deserialize)]
struct Manifest {
    config: Link,
    layers: Vec<Link>,
}

/// The images that index.json names; of one with several platforms, the one for this machine.
pub(super) fn images(store: &ImageStore, archive: &Archive) -> Result<Vec<Pending>> {
    let Some(document) = archive.document(store, "index.json")? else {
        return Ok(Vec::new());
    };
    let index: Index = serde_json::from_slice(&document)
        .map_err(|e| ImageError::archive(format!("index.json cannot be read: {e}")))?;
    let mut named: Vec<(Option<Reference>, Vec<Link>)> = Vec::new();
    for link in index.manifests {
        let reference = link.reference();
        match named
            .iter_mut()
            .find(|(known, _)| known.is_some() && *known == reference)
        {
            Some((_, links)) => links.push(link),
            None => named.push((reference, vec![link])),
        }
    }
    let mut pending: Vec<Pending> = Vec::new();
    for (reference, links) in named {
        let Some(image) = choose(store, archive, links, 0)? else {
            continue;
        };
        match pending.iter_mut().find(|p| p.config == image.config) {
            Some(known) => known.references.extend(reference),
            None => pending.push(Pending {
                references: reference.into_iter().collect(),
                ..image
            }),
        }
    }
    Ok(pending)
}

/// Follows the link that suits this machine best, or the only one.
fn choose(store: &ImageStore, archive: &Archive, links: Vec<Link>, depth: usize) -> Result<Option<Pending>> {
    let mut links: Vec<Link> = links
        .into_iter()
        .filter(|link| (link.is_image() || link.is_index()) && link.annotation(ATTESTATION).is_none())
        .filter(|link| archive.blob(store, &link.digest).is_some())
        .collect();
    if links.len() > 1 {
        links.retain(|link| platform::score(link.platform.as_ref()) > 0);
    }
    links.sort_by_key(|link| std::cmp::Reverse(platform::score(link.platform.as_ref())));
    let Some(link) = links.into_iter().next() else {
        return Ok(None);
    };
    if !link.is_index() {
        return image(store, archive, &link).map(Some);
    }
    if depth >= MAX_DEPTH {
        return Err(ImageError::archive("the archive's indexes are nested too deeply"));
    }
    let index: Index = parse(store, &link.digest, "index")?;
    let found = choose(store, archive, index.manifests, depth + 1)?;
    if found.is_none() {
        let text = format!(
            "index {} has no image for linux/{}",
            link.digest,
            platform::host_architecture()
        );
        return Err(ImageError::archive(text));
    }
    Ok(found)
}

fn image(store: &ImageStore, archive: &Archive, link: &Link) -> Result<Pending> {
    let manifest: Manifest = parse(store, &link.digest, "manifest")?;
    let known = [
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.docker.container.image.v1+json",
    ];
    if !known.contains(&manifest.config.media_type.as_str()) {
        let text = format!(
            "{} is no container image: its configuration is {}",
            link.digest, manifest.config.media_type
        );
        return Err(ImageError::new(ErrorKind::Unsupported, text));
    }
    let present = |digest: &Digest, what: &str| {
        archive
            .blob(store, digest)
            .ok_or_else(|| ImageError::archive(format!("the archive lacks the {what} {digest}")))
    };
    present(&manifest.config.digest, "configuration")?;
    let mut layers = Vec::new();
    for layer in manifest.layers {
        let size = present(&layer.digest, "layer")?;
        layers.push(Descriptor {
            media_type: layer.media_type,
            digest: layer.digest,
            size,
        });
    }
    let manifest_link = Descriptor {
        media_type: link.media_type.clone(),
        digest: link.digest.clone(),
        size: link.size,
    };
    Ok(Pending {
        config: manifest.config.digest,
        layers,
        manifest: Some(manifest_link),
        references: Vec::new(),
    })
}

fn parse<T: for<'a> Deserialize<'a>>(store: &ImageStore, digest: &Digest, what: &str) -> Result<T> {
    let bytes = store.content.read(digest, MAX_DOCUMENT)?;
    serde_json::from_slice(&bytes)
        .map_err(|e| ImageError::archive(format!("{what} {digest} cannot be read: {e}")))
}
