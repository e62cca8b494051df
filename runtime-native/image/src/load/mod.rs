//! `docker load`: reads archives of `docker save` and OCI image layouts, also in one, plain or compressed.

mod archive;
mod docker;
mod oci;
mod platform;

use std::collections::BTreeMap;
use std::io::Read;

use creel_storage::{Digest, DigestReader, chain_id};

use crate::compress::decompress;
use crate::config::ImageConfig;
use crate::error::{ErrorKind, ImageError, Result};
use crate::metadata::{Descriptor, ImageRecord};
use crate::reference::Reference;
use crate::store::{Image, ImageStore, Lease, read_config};
use archive::Archive;
pub(crate) use platform::host_architecture;

/// What is going on in a load or an import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// A part of the archive has been read; bytes of content so far.
    Reading { bytes: u64 },
    /// A layer is being unpacked; bytes of its archive so far and in all, both compressed.
    Unpacking { diff_id: Digest, bytes: u64, total: u64 },
    /// A layer is in place, or was already.
    Layer { diff_id: Digest },
}

/// An image that was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    pub id: Digest,
    /// Its names as people write them; none means it is known by its id alone.
    pub references: Vec<String>,
    /// Names that another image had until now, with that image.
    pub renamed: Vec<(String, Digest)>,
}

/// An image of an archive on its way into the store.
struct Pending {
    config: Digest,
    layers: Vec<Descriptor>,
    manifest: Option<Descriptor>,
    references: Vec<Reference>,
}

impl ImageStore {
    /// Loads all images of an archive, or none: on an error everything that was brought in goes away again.
    pub fn load(&self, reader: impl Read, mut progress: impl FnMut(Progress)) -> Result<Vec<Loaded>> {
        let mut lease = self.lease();
        let (plain, _) = decompress(reader)?;
        let archive = Archive::read(self, plain, &mut lease, &mut progress)?;
        let mut pending = oci::images(self, &archive)?;
        for image in docker::images(self, &archive)? {
            match pending.iter_mut().find(|p| p.config == image.config) {
                Some(known) => known.references.extend(image.references),
                None => pending.push(image),
            }
        }
        if pending.is_empty() {
            return Err(ImageError::archive("the archive holds no image"));
        }
        let mut ready = Vec::new();
        for image in pending {
            // Also what the store had already and the archive only names.
            for blob in image
                .layers
                .iter()
                .chain(&image.manifest)
                .map(|d| &d.digest)
                .chain([&image.config])
            {
                lease.hold_blob(blob);
            }
            let (config, config_size) = read_config(&self.content, &image.config)?;
            let size = self.unpack(&image.config, &config, &image.layers, &mut lease, &mut progress)?;
            let Pending {
                config: id,
                layers,
                manifest,
                mut references,
            } = image;
            references.sort();
            references.dedup();
            let record = ImageRecord {
                manifest,
                config_size,
                layers,
                size,
                parent: None,
                tagged_at: None,
            };
            ready.push((id, config, record, references));
        }
        self.change(|state| {
            let mut loaded = Vec::new();
            for (id, config, record, references) in ready {
                state.insert(&id, config, record);
                let mut renamed = Vec::new();
                for reference in &references {
                    if let Some(before) = state.set_reference(reference, &id) {
                        renamed.push((reference.familiar(), before));
                    }
                }
                let references = references.iter().map(Reference::familiar).collect();
                loaded.push(Loaded {
                    id,
                    references,
                    renamed,
                });
            }
            Ok(loaded)
        })
    }

    /// Unpacks those layers of an image that the driver lacks, as after a change of the storage driver.
    pub fn ensure_layers(&self, image: &Image, mut progress: impl FnMut(Progress)) -> Result<()> {
        if image
            .layers
            .iter()
            .all(|chain| self.driver.layer(chain).is_some())
        {
            return Ok(());
        }
        let mut lease = self.lease();
        self.unpack(
            &image.id,
            &image.config,
            &image.record.layers,
            &mut lease,
            &mut progress,
        )
        .map(|_| ())
    }

    /// Unpacks the layers that the driver does not have yet. Returns their size, all together.
    fn unpack(
        &self,
        id: &Digest,
        config: &ImageConfig,
        layers: &[Descriptor],
        lease: &mut Lease<'_>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<u64> {
        let diff_ids = &config.rootfs.diff_ids;
        if diff_ids.len() != layers.len() {
            let (configured, listed) = (diff_ids.len(), layers.len());
            let text = format!(
                "image {id} has {configured} layers in its configuration and {listed} in its manifest"
            );
            return Err(ImageError::archive(text));
        }
        if !config.os.is_empty() && config.os != "linux" {
            let text = format!(
                "image {id} is for {}: only linux images can be used here",
                config.os
            );
            return Err(ImageError::new(ErrorKind::Unsupported, text));
        }
        let mut size = 0;
        let mut parent: Option<Digest> = None;
        for (depth, (diff_id, layer)) in diff_ids.iter().zip(layers).enumerate() {
            let chain = chain_id(parent.as_ref(), diff_id);
            size += self.unpack_layer(&chain, parent.as_ref(), diff_id, layer, depth, lease, progress)?;
            parent = Some(chain);
        }
        Ok(size)
    }

    /// Unpacks one layer from its blob unless it is there, verified by its diff id. Returns its size.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn unpack_layer(
        &self,
        chain: &Digest,
        parent: Option<&Digest>,
        diff_id: &Digest,
        layer: &Descriptor,
        depth: usize,
        lease: &mut Lease<'_>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<u64> {
        lease.hold_layer(depth, chain);
        let info = match self.driver.layer(chain) {
            Some(info) => info,
            None => {
                let blob = self.content.reader(&layer.digest)?;
                let counted = Counted {
                    inner: blob,
                    bytes: 0,
                    told: 0,
                    tell: |bytes| {
                        progress(Progress::Unpacking {
                            diff_id: diff_id.clone(),
                            bytes,
                            total: layer.size,
                        });
                    },
                };
                let (plain, _) = decompress(counted)?;
                let mut verified = DigestReader::new(plain, Some(diff_id.clone()));
                self.driver.apply_layer(chain, parent, &mut verified)?
            }
        };
        progress(Progress::Layer {
            diff_id: diff_id.clone(),
        });
        Ok(info.size)
    }
}

const TELL_EVERY: u64 = 1 << 20;

/// Tells how far a reader has come.
struct Counted<R, F> {
    inner: R,
    bytes: u64,
    told: u64,
    tell: F,
}

impl<R: Read, F: FnMut(u64)> Read for Counted<R, F> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.bytes += n as u64;
        if self.bytes - self.told >= TELL_EVERY {
            self.told = self.bytes;
            (self.tell)(self.bytes);
        }
        Ok(n)
    }
}

/// The files of an archive that became blobs, by their names.
type Files = BTreeMap<String, (Digest, u64)>;
