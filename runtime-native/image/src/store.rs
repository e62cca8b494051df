use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use creel_storage::{Digest, StorageDriver};

use crate::config::ImageConfig;
use crate::content::ContentStore;
use crate::error::{ErrorKind, ImageError, Result};
use crate::metadata::{ImageRecord, Metadata, MetadataFile};
use crate::reference::Reference;

/// The largest configuration or manifest that is read.
pub(crate) const MAX_DOCUMENT: u64 = 16 << 20;

/// An image of the store.
#[derive(Debug, Clone)]
pub struct Image {
    /// The digest of the configuration.
    pub id: Digest,
    pub config: Arc<ImageConfig>,
    /// The chain ids of the layers, bottom first; the last is the one to prepare a container on.
    pub layers: Vec<Digest>,
    pub record: ImageRecord,
}

impl Image {
    /// The chain id of the topmost layer; none for an image without layers.
    pub fn top_layer(&self) -> Option<&Digest> {
        self.layers.last()
    }
}

/// The images of a node: references, configurations and blobs, with their layers in a storage driver.
pub struct ImageStore {
    pub(crate) content: ContentStore,
    pub(crate) driver: Arc<dyn StorageDriver>,
    file: MetadataFile,
    state: RwLock<State>,
    leases: Mutex<HashMap<Digest, usize>>,
}

pub(crate) struct State {
    pub metadata: Metadata,
    pub configs: HashMap<Digest, Arc<ImageConfig>>,
}

impl ImageStore {
    /// Opens the images below the data root, with their layers in `driver`. Blobs and layers that no image and no
    /// container needs, such as those of a load that a crash cut short, are swept.
    pub fn open(data_root: &Path, driver: Arc<dyn StorageDriver>) -> Result<Self> {
        let content = ContentStore::open(data_root)?;
        let (file, mut metadata) = MetadataFile::open(data_root)?;
        let mut configs = HashMap::new();
        let known = metadata.images.len();
        metadata.images.retain(|id, _| match read_config(&content, id) {
            Ok((config, _)) => configs.insert(id.clone(), Arc::new(config)).is_none(),
            Err(error) => {
                tracing::warn!(%id, %error, "ignoring an image without a readable configuration");
                false
            }
        });
        let images = &metadata.images;
        let damaged = images.len() < known;
        metadata.references.retain(|_, id| images.contains_key(id));
        let state = RwLock::new(State { metadata, configs });
        let store = Self {
            content,
            driver,
            file,
            state,
            leases: Mutex::default(),
        };
        // What a damaged image needs stays for whoever repairs it.
        if !damaged {
            store.sweep()?;
        }
        Ok(store)
    }

    /// The blobs of the images.
    pub fn content(&self) -> &ContentStore {
        &self.content
    }

    /// The driver that holds the layers.
    pub fn driver(&self) -> &Arc<dyn StorageDriver> {
        &self.driver
    }

    pub(crate) fn read_state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_state(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn leases(&self) -> MutexGuard<'_, HashMap<Digest, usize>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Finds an image by reference, id, or the beginning of an id.
    pub fn resolve(&self, name: &str) -> Result<Image> {
        let state = self.read_state();
        let id = state.find(name)?;
        state.image(&id).ok_or_else(|| ImageError::no_such_image(name))
    }

    /// The image with exactly this id.
    pub fn get(&self, id: &Digest) -> Result<Image> {
        self.read_state()
            .image(id)
            .ok_or_else(|| ImageError::no_such_image(id.as_str()))
    }

    /// Gives an image another name, which it takes from the image that had it.
    pub fn tag(&self, name: &str, reference: &str) -> Result<()> {
        let reference = Reference::parse(reference)?;
        if reference.digest().is_some() {
            return Err(ImageError::invalid(
                "refusing to create a tag with a digest reference",
            ));
        }
        let reference = reference.with_default_tag();
        self.change(|state| {
            let id = state.find(name)?;
            state.set_reference(&reference, &id);
            Ok(())
        })
    }

    /// Changes the metadata; the change counts when it is on disk, and not at all when that fails.
    pub(crate) fn change<T>(&self, work: impl FnOnce(&mut State) -> Result<T>) -> Result<T> {
        let mut state = self.write_state();
        let mut next = State {
            metadata: state.metadata.clone(),
            configs: state.configs.clone(),
        };
        let result = work(&mut next)?;
        self.file.save(&next.metadata)?;
        *state = next;
        Ok(result)
    }

    /// Begins to hold blobs and layers that no image needs yet.
    pub(crate) fn lease(&self) -> Lease<'_> {
        Lease {
            store: self,
            held: Vec::new(),
        }
    }

    /// Deletes the blobs and layers that neither an image nor a container nor a running operation needs.
    pub fn sweep(&self) -> Result<()> {
        let blobs = self.content.list()?;
        let layers = self
            .driver
            .layers()
            .into_iter()
            .map(|l| (l.depth, l.chain))
            .collect();
        self.collect(blobs, layers).map(|_| ())
    }

    /// Deletes those of the given blobs and layers that nothing needs. Returns the layers that went, top first.
    pub(crate) fn collect(
        &self,
        blobs: Vec<Digest>,
        mut layers: Vec<(usize, Digest)>,
    ) -> Result<Vec<Digest>> {
        let mut gone = Vec::new();
        let mut discarded = Vec::new();
        let state = self.read_state();
        let needed = state.needed();
        // Held while things go out of sight: nobody can take up what is about to go.
        let leases = self.leases();
        for blob in blobs {
            if !leases.contains_key(&blob) && !needed.contains(&blob) {
                self.content.remove(&blob)?;
            }
        }
        layers.sort_by(|a, b| b.cmp(a));
        for (_, chain) in layers {
            if leases.contains_key(&chain) || needed.contains(&chain) || self.driver.layer(&chain).is_none() {
                continue;
            }
            match self.driver.remove_layer(&chain) {
                Ok(files) => {
                    discarded.push(files);
                    gone.push(chain);
                }
                // A container stands on it; its removal lets the next sweep take it.
                Err(error) if error.kind() == creel_storage::ErrorKind::InUse => {}
                Err(error) => return Err(error.into()),
            }
        }
        drop(leases);
        drop(state);
        drop(discarded);
        Ok(gone)
    }
}

impl State {
    pub(crate) fn image(&self, id: &Digest) -> Option<Image> {
        let record = self.metadata.images.get(id)?.clone();
        let config = Arc::clone(self.configs.get(id)?);
        Some(Image {
            id: id.clone(),
            layers: config.chain_ids(),
            config,
            record,
        })
    }

    /// The id of the image that a reference, an id or the beginning of an id names.
    pub(crate) fn find(&self, name: &str) -> Result<Digest> {
        if let Ok(id) = name.parse::<Digest>() {
            if self.metadata.images.contains_key(&id) {
                return Ok(id);
            }
            return Err(ImageError::no_such_image(name));
        }
        let by_name = match Reference::parse(name) {
            Ok(reference) => self.by_reference(&reference.with_default_tag()),
            Err(error) if !is_id_prefix(name) => return Err(error),
            Err(_) => None,
        };
        if let Some(id) = by_name {
            return Ok(id);
        }
        let prefix = name.strip_prefix("sha256:").unwrap_or(name);
        if is_id_prefix(name) {
            let mut found = self
                .metadata
                .images
                .keys()
                .filter(|id| id.hex().starts_with(prefix));
            if let Some(id) = found.next() {
                if found.next().is_some() {
                    let text =
                        format!("No such image: {name}: the beginning of an id that several images share");
                    return Err(ImageError::new(ErrorKind::NotFound, text));
                }
                return Ok(id.clone());
            }
        }
        // As in Docker, a name that was given without a tag is shown with the one it stands for.
        let shown = match Reference::parse(name) {
            Ok(reference) => reference.with_default_tag().familiar(),
            Err(_) => name.to_owned(),
        };
        Err(ImageError::no_such_image(&shown))
    }

    fn by_reference(&self, reference: &Reference) -> Option<Digest> {
        if let Some(id) = self.metadata.references.get(&reference.to_string()) {
            return Some(id.clone());
        }
        // A digest says it all: a tag beside it, or the manifest's own digest, leads to the same image.
        let wanted = reference.digest()?;
        let names_it = |id: &Digest, other: &Reference| {
            other.same_repository(reference)
                && (other.digest() == Some(wanted)
                    || id == wanted
                    || self.metadata.images[id]
                        .manifest
                        .as_ref()
                        .is_some_and(|m| m.digest == *wanted))
        };
        self.references()
            .find(|(other, id)| names_it(id, other))
            .map(|(_, id)| id.clone())
    }

    /// All references with the ids they stand for.
    pub(crate) fn references(&self) -> impl Iterator<Item = (Reference, &Digest)> {
        self.metadata
            .references
            .iter()
            .filter_map(|(name, id)| Some((Reference::parse(name).ok()?, id)))
    }

    /// The references that stand for one image.
    pub(crate) fn references_of(&self, id: &Digest) -> Vec<Reference> {
        self.references()
            .filter(|(_, other)| *other == id)
            .map(|(reference, _)| reference)
            .collect()
    }

    /// Gives an image a name. Returns the image that had it, if another.
    pub(crate) fn set_reference(&mut self, reference: &Reference, id: &Digest) -> Option<Digest> {
        if let Some(record) = self.metadata.images.get_mut(id) {
            record.tagged_at = Some(crate::time::now().0);
        }
        let before = self.metadata.references.insert(reference.to_string(), id.clone());
        before.filter(|before| before != id)
    }

    pub(crate) fn insert(&mut self, id: &Digest, config: ImageConfig, record: ImageRecord) {
        self.configs.insert(id.clone(), Arc::new(config));
        match self.metadata.images.get_mut(id) {
            Some(known) => {
                // What an image came with counts more than having come again without it.
                if record.manifest.is_some() {
                    known.manifest = record.manifest;
                    known.layers = record.layers;
                }
            }
            None => {
                self.metadata.images.insert(id.clone(), record);
            }
        }
    }

    /// The blobs and the layers, by chain id, that the images stand on.
    fn needed(&self) -> HashSet<Digest> {
        let images = self.metadata.images.iter();
        let mut needed: HashSet<_> = images
            .flat_map(|(id, record)| record.blobs(id).cloned())
            .collect();
        needed.extend(self.configs.values().flat_map(|config| config.chain_ids()));
        needed
    }
}

/// Holds blobs and layers until the image that needs them is there. What nothing needs when it ends is deleted.
pub(crate) struct Lease<'a> {
    store: &'a ImageStore,
    held: Vec<(Option<usize>, Digest)>,
}

impl Lease<'_> {
    pub(crate) fn hold_blob(&mut self, blob: &Digest) {
        self.hold(None, blob);
    }

    pub(crate) fn hold_layer(&mut self, depth: usize, chain: &Digest) {
        self.hold(Some(depth), chain);
    }

    fn hold(&mut self, depth: Option<usize>, digest: &Digest) {
        *self.store.leases().entry(digest.clone()).or_default() += 1;
        self.held.push((depth, digest.clone()));
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let mut leases = self.store.leases();
        for (_, digest) in &self.held {
            if let Some(count) = leases.get_mut(digest) {
                *count -= 1;
                if *count == 0 {
                    leases.remove(digest);
                }
            }
        }
        drop(leases);
        let (layers, blobs): (Vec<_>, Vec<_>) = self.held.drain(..).partition(|(depth, _)| depth.is_some());
        let blobs = blobs.into_iter().map(|(_, digest)| digest).collect();
        let layers = layers
            .into_iter()
            .map(|(depth, chain)| (depth.unwrap_or(0), chain))
            .collect();
        if let Err(error) = self.store.collect(blobs, layers) {
            tracing::warn!(%error, "unneeded blobs or layers stay until the next sweep");
        }
    }
}

/// Reads and checks a configuration. Returns it with its size.
pub(crate) fn read_config(content: &ContentStore, id: &Digest) -> Result<(ImageConfig, u64)> {
    let bytes = content.read(id, MAX_DOCUMENT)?;
    let config = serde_json::from_slice(&bytes)
        .map_err(|e| ImageError::archive(format!("image configuration {id} cannot be read: {e}")))?;
    Ok((config, bytes.len() as u64))
}

fn is_id_prefix(name: &str) -> bool {
    let hex = name.strip_prefix("sha256:").unwrap_or(name);
    !hex.is_empty()
        && hex.len() <= 64
        && hex
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}
