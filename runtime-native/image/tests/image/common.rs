//! Image archives written by hand, and a store on a directory that is clean afterwards.

use std::ffi::CString;
use std::io::Write;
use std::sync::Arc;

use creel_image::ImageStore;
use creel_storage::{Digest, open};
use serde_json::{Value, json};
use tar::{Builder, Header};

/// A store on a data root of its own; mounts and files go away with it.
pub struct Node {
    pub store: ImageStore,
    root: Option<tempfile::TempDir>,
}

impl Node {
    pub fn new() -> Self {
        Self::with_driver("overlay2")
    }

    pub fn with_driver(name: &str) -> Self {
        let root = tempfile::Builder::new().prefix("creel-image-").tempdir().unwrap();
        Self {
            store: open_store(name, root.path()),
            root: Some(root),
        }
    }

    /// One on a file system of its own that holds no more than `bytes`.
    pub fn with_space(bytes: usize) -> Self {
        let root = tempfile::Builder::new().prefix("creel-image-").tempdir().unwrap();
        let options = CString::new(format!("size={bytes}")).unwrap();
        let flags = rustix::mount::MountFlags::empty();
        rustix::mount::mount("tmpfs", root.path(), "tmpfs", flags, Some(options.as_c_str())).unwrap();
        Self {
            store: open_store("overlay2", root.path()),
            root: Some(root),
        }
    }

    pub fn path(&self) -> &std::path::Path {
        self.root.as_ref().unwrap().path()
    }

    /// As after a restart of the program.
    pub fn reopen(&mut self) {
        self.store = open_store(self.store.driver().name(), self.path());
    }

    pub fn switch_driver(&mut self, name: &str) {
        self.store = open_store(name, self.path());
    }

    pub fn blob_count(&self) -> usize {
        self.store.content().list().unwrap().len()
    }

    pub fn is_empty(&self) -> bool {
        let partial = std::fs::read_dir(self.path().join("content/ingest"))
            .unwrap()
            .count();
        self.blob_count() == 0 && self.store.driver().layers().is_empty() && partial == 0
    }
}

fn open_store(driver: &str, path: &std::path::Path) -> ImageStore {
    ImageStore::open(path, Arc::from(open(Some(driver), path).unwrap())).unwrap()
}

impl Drop for Node {
    fn drop(&mut self) {
        for container in self.store.driver().containers() {
            let _ = self.store.driver().remove(&container.id);
        }
        let root = self.root.take().unwrap();
        let _ = rustix::mount::unmount(root.path(), rustix::mount::UnmountFlags::DETACH);
        let _ = root.close();
    }
}

/// A layer with these files.
pub fn layer(files: &[(&str, &str)]) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    for (name, content) in files {
        add(&mut tar, name, content.as_bytes());
    }
    tar.into_inner().unwrap()
}

pub fn add(tar: &mut Builder<Vec<u8>>, name: &str, content: &[u8]) {
    let mut header = Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    header.set_mtime(1_700_000_000);
    tar.append_data(&mut header, name, content).unwrap();
}

pub fn config(layers: &[Vec<u8>], cmd: &str) -> Vec<u8> {
    let diff_ids: Vec<_> = layers.iter().map(|l| Digest::of(l).to_string()).collect();
    let history: Vec<_> = layers.iter().map(|_| json!({"created_by": "step"})).collect();
    json!({
        "architecture": "amd64", "os": "linux", "created": "2024-01-02T03:04:05Z",
        "config": {"Cmd": [cmd], "Env": ["PATH=/bin"], "Labels": {"kind": "test"}},
        "rootfs": {"type": "layers", "diff_ids": diff_ids}, "history": history,
    })
    .to_string()
    .into_bytes()
}

/// Tags, layers and command of an image.
pub type Parts<'a> = (&'a [&'a str], &'a [Vec<u8>], &'a str);

/// An archive as `docker save` wrote it before it wrote OCI layouts: layers in directories, manifest.json last.
pub fn docker_archive(images: &[Parts<'_>]) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    let mut items = Vec::new();
    for (tags, layers, cmd) in images {
        let config = config(layers, cmd);
        let mut names = Vec::new();
        for layer in *layers {
            let name = format!("{}/layer.tar", Digest::of(layer).hex());
            add(&mut tar, &name, layer);
            names.push(name);
        }
        let name = format!("{}.json", Digest::of(&config).hex());
        add(&mut tar, &name, &config);
        items.push(json!({"Config": name, "RepoTags": tags, "Layers": names}));
    }
    add(
        &mut tar,
        "manifest.json",
        Value::from(items).to_string().as_bytes(),
    );
    tar.into_inner().unwrap()
}

/// An OCI image layout with one image; `annotations` go to its entry in index.json.
pub fn oci_archive(blobs: &[(Vec<u8>, &str)], config: &[u8], annotations: Value) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    let put = |tar: &mut Builder<Vec<u8>>, bytes: &[u8]| {
        let digest = Digest::of(bytes);
        add(tar, &format!("blobs/sha256/{}", digest.hex()), bytes);
        json!({"digest": digest.as_str(), "size": bytes.len()})
    };
    let mut layers = Vec::new();
    for (blob, media_type) in blobs {
        let mut link = put(&mut tar, blob);
        link["mediaType"] = (*media_type).into();
        layers.push(link);
    }
    let mut config_link = put(&mut tar, config);
    config_link["mediaType"] = "application/vnd.oci.image.config.v1+json".into();
    let manifest = json!({"schemaVersion": 2, "config": config_link, "layers": layers}).to_string();
    let mut manifest_link = put(&mut tar, manifest.as_bytes());
    manifest_link["mediaType"] = "application/vnd.oci.image.manifest.v1+json".into();
    manifest_link["annotations"] = annotations;
    let index = json!({"schemaVersion": 2, "manifests": [manifest_link]}).to_string();
    add(&mut tar, "index.json", index.as_bytes());
    add(&mut tar, "oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);
    tar.into_inner().unwrap()
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}
