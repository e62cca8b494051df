//! `docker save`: an archive that is an OCI image layout and a docker archive in one.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};

use creel_storage::Digest;
use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};

use crate::error::{ImageError, Result};
use crate::metadata::Descriptor;
use crate::reference::Reference;
use crate::store::{Image, ImageStore, Lease, MAX_DOCUMENT};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

impl ImageStore {
    /// Writes the named images with everything they need. An image named by its id is saved without a name, one named
    /// by a repository alone under all its tags.
    pub fn save(&self, names: &[String], out: impl Write) -> Result<()> {
        let mut lease = self.lease();
        let images = self.select(names, &mut lease)?;
        let mut manifests = Vec::new();
        let mut items = Vec::new();
        let mut repositories: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        let mut blobs: BTreeSet<(Digest, u64)> = BTreeSet::new();
        let mut documents: BTreeMap<Digest, Vec<u8>> = BTreeMap::new();
        for (image, references) in &images {
            let (link, document) = self.manifest(image)?;
            let base = json!({"mediaType": link.media_type, "digest": link.digest, "size": link.size});
            documents.insert(link.digest, document);
            blobs.insert((image.id.clone(), image.record.config_size));
            blobs.extend(image.record.layers.iter().map(|l| (l.digest.clone(), l.size)));
            for reference in references {
                let mut named = base.clone();
                named["annotations"] = json!({
                    "io.containerd.image.name": reference.to_string(),
                    "org.opencontainers.image.ref.name": reference.tag(),
                });
                manifests.push(named);
                if let (Some(tag), Some(top)) = (reference.tag(), image.top_layer()) {
                    repositories
                        .entry(reference.familiar_name())
                        .or_default()
                        .insert(tag.to_owned(), top.hex().to_owned());
                }
            }
            if references.is_empty() {
                manifests.push(base);
            }
            items.push(json!({
                "Config": blob_name(&image.id),
                "RepoTags": references.iter().map(Reference::familiar).collect::<Vec<_>>(),
                "Layers": image.record.layers.iter().map(|l| blob_name(&l.digest)).collect::<Vec<_>>(),
            }));
        }
        let mut archive = Archive {
            tar: Builder::new(out),
        };
        archive.directory("blobs/")?;
        archive.directory("blobs/sha256/")?;
        for (digest, document) in &documents {
            archive.bytes(&blob_name(digest), document)?;
        }
        for (digest, size) in blobs.iter().filter(|(digest, _)| !documents.contains_key(digest)) {
            archive.file(&blob_name(digest), *size, self.content.reader(digest)?)?;
        }
        let index = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": manifests,
        });
        archive.json("index.json", &index)?;
        archive.json("manifest.json", &Value::from(items))?;
        archive.json("oci-layout", &json!({"imageLayoutVersion": "1.0.0"}))?;
        if !repositories.is_empty() {
            archive.json("repositories", &json!(repositories))?;
        }
        let failed = |e| ImageError::io("write archive", e);
        archive.tar.into_inner().map_err(failed)?.flush().map_err(failed)
    }

    /// The images that are asked for, each once, with the names that are asked for.
    fn select(&self, names: &[String], lease: &mut Lease<'_>) -> Result<Vec<(Image, Vec<Reference>)>> {
        let mut images: Vec<(Image, Vec<Reference>)> = Vec::new();
        for (id, reference) in names
            .iter()
            .map(|name| self.named(name))
            .collect::<Result<Vec<_>>>()?
            .concat()
        {
            let image = self.get(&id)?;
            for blob in image.record.blobs(&id) {
                lease.hold_blob(blob);
            }
            // Once more, now that what it needs is held.
            let image = self.get(&id)?;
            match images.iter_mut().find(|(known, _)| known.id == image.id) {
                Some((_, known)) => {
                    known.extend(reference);
                    known.sort();
                    known.dedup();
                }
                None => images.push((image, reference.into_iter().collect())),
            }
        }
        Ok(images)
    }

    fn named(&self, name: &str) -> Result<Vec<(Digest, Option<Reference>)>> {
        let state = self.read_state();
        if let Ok(asked) = Reference::parse(name)
            && asked.tag().is_none()
            && asked.digest().is_none()
        {
            let tags = state
                .references()
                .filter(|(r, _)| r.digest().is_none() && r.same_repository(&asked));
            let tags: Vec<_> = tags.map(|(r, id)| (id.clone(), Some(r))).collect();
            if !tags.is_empty() {
                return Ok(tags);
            }
        }
        let id = state.find(name)?;
        let asked = Reference::parse(name).ok().map(Reference::with_default_tag);
        let own = asked.filter(|asked| asked.digest().is_none() && state.references_of(&id).contains(asked));
        Ok(vec![(id, own)])
    }

    /// The manifest an image came with, or one made for it.
    fn manifest(&self, image: &Image) -> Result<(Descriptor, Vec<u8>)> {
        if let Some(link) = &image.record.manifest {
            let document = self.content.read(&link.digest, MAX_DOCUMENT)?;
            return Ok((
                Descriptor {
                    size: document.len() as u64,
                    ..link.clone()
                },
                document,
            ));
        }
        let layers = image.record.layers.iter();
        let document = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "digest": image.id, "size": image.record.config_size},
            "layers": layers
                .map(|l| json!({"mediaType": l.media_type, "digest": l.digest, "size": l.size}))
                .collect::<Vec<_>>(),
        })
        .to_string()
        .into_bytes();
        let digest = Digest::of(&document);
        Ok((
            Descriptor {
                media_type: MANIFEST.to_owned(),
                digest,
                size: document.len() as u64,
            },
            document,
        ))
    }
}

fn blob_name(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

struct Archive<W: Write> {
    tar: Builder<W>,
}

impl<W: Write> Archive<W> {
    fn directory(&mut self, name: &str) -> Result<()> {
        self.append(name, EntryType::Directory, 0o755, 0, std::io::empty())
    }

    fn json(&mut self, name: &str, value: &Value) -> Result<()> {
        self.bytes(name, value.to_string().as_bytes())
    }

    fn bytes(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        self.file(name, bytes.len() as u64, bytes)
    }

    fn file(&mut self, name: &str, size: u64, data: impl Read) -> Result<()> {
        self.append(name, EntryType::Regular, 0o644, size, data)
    }

    fn append(&mut self, name: &str, kind: EntryType, mode: u32, size: u64, data: impl Read) -> Result<()> {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(size);
        self.tar
            .append_data(&mut header, name, data)
            .map_err(|e| ImageError::io("write archive", e))
    }
}
