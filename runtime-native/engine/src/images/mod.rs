//! Images: the image crate's store behind the engine's errors, events and sockets.

mod archive;
mod describe;
mod filters;
mod operations;

use std::path::Path;
use std::sync::Arc;

use creel_image::{Image, ImageError, ImageStore};
use creel_storage::{PrepareOptions, StorageDriver};

use crate::error::{EngineError, ErrorCode, Result};
use crate::proto::ImageConfig;
use crate::volume::storage_error;
pub use describe::describe;

/// The images of the node.
#[derive(Clone)]
pub struct Images {
    pub store: Arc<ImageStore>,
}

/// What a container needs to know of its image.
pub struct ResolvedImage {
    pub id: String,
    pub config: ImageConfig,
    image: Image,
}

/// Turns a failure of the image store into the engine's.
pub fn image_error(error: ImageError) -> EngineError {
    use creel_image::ErrorKind as K;
    let text = error.to_string();
    let code = match error.kind() {
        K::NotFound => ErrorCode::NoSuchImage,
        K::InvalidArgument if text.starts_with("invalid reference format") => ErrorCode::InvalidReference,
        K::InvalidArgument => ErrorCode::InvalidParameter,
        K::InvalidArchive => ErrorCode::InvalidArchive,
        K::Conflict => ErrorCode::ImageInUse,
        K::Unsupported => ErrorCode::Unsupported,
        K::NoSpace => ErrorCode::DiskFull,
        K::Io => ErrorCode::Internal,
    };
    EngineError::new(code, text)
}

impl Images {
    /// Opens the images below the data root.
    pub fn open(data_root: &Path, storage: Arc<dyn StorageDriver>) -> Result<Self> {
        Ok(Self {
            store: Arc::new(ImageStore::open(data_root, storage).map_err(image_error)?),
        })
    }

    /// The image that a container names.
    pub fn resolve(&self, reference: &str) -> Result<ResolvedImage> {
        let image = self.store.resolve(reference).map_err(image_error)?;
        Ok(ResolvedImage {
            id: image.id.to_string(),
            config: describe::config(&image),
            image,
        })
    }

    /// Makes a container's own layer on top of the image's, which a change of the storage driver may have left behind.
    pub fn prepare_rootfs(&self, storage: &dyn StorageDriver, id: &str, image: &ResolvedImage) -> Result<()> {
        let image = &image.image;
        self.store.ensure_layers(image, |_| {}).map_err(image_error)?;
        storage
            .create(id, image.top_layer(), &PrepareOptions::default())
            .map_err(storage_error)
    }

    /// Finds an image by reference, id, or the beginning of one.
    pub fn find(&self, reference: &str) -> Result<Image> {
        self.store.resolve(reference).map_err(image_error)
    }

    /// How many images there are.
    pub fn count(&self) -> i64 {
        let all = self.store.list(&creel_image::ImageFilter::default(), true);
        all.map_or(0, |images| images.len() as i64)
    }
}
