//! Image archives by chance: loaded whole or refused whole, and never with a panic.

use crate::common::{Node, docker_archive, gzip, layer, oci_archive, zstd};
use creel_fuzz::Rng;
use creel_image::{ErrorKind, ImportOptions};
use serde_json::{Value, json};

const KEPT: [u64; 4] = [1, 2, 3, 4];

fn archive(rng: &mut Rng) -> Vec<u8> {
    let layers = [layer(&[("a", "1"), ("b/c", "2")]), layer(&[("b/.wh.c", "")])];
    let mut config: Value = serde_json::from_slice(&crate::common::config(&layers, "/app")).unwrap();
    if rng.once_in(2) {
        creel_fuzz::json(rng, &mut config);
    }
    let mut bytes = match rng.below(3) {
        0 => docker_archive(&[(&["app:1", "app:2"], &layers, "/app")]),
        1 => {
            let media = "application/vnd.oci.image.layer.v1.tar+gzip";
            let blobs = [(gzip(&layers[0]), media), (gzip(&layers[1]), media)];
            let mut annotations = json!({"org.opencontainers.image.ref.name": "latest"});
            creel_fuzz::json(rng, &mut annotations);
            oci_archive(&blobs, config.to_string().as_bytes(), annotations)
        }
        _ => {
            let media = "application/vnd.oci.image.layer.v1.tar+zstd";
            let blobs = [(zstd(&layers[0]), media), (layers[1].clone(), "")];
            oci_archive(&blobs, config.to_string().as_bytes(), json!({}))
        }
    };
    if rng.once_in(2) {
        creel_fuzz::bytes(rng, &mut bytes);
    }
    match rng.below(4) {
        0 => gzip(&bytes),
        1 => zstd(&bytes),
        _ => bytes,
    }
}

#[test]
fn images_by_chance_are_loaded_whole_or_not_at_all() {
    let node = Node::with_driver("vfs");
    creel_fuzz::run(&KEPT, |rng| {
        let bytes = archive(rng);
        let loaded = node.store.load(&bytes[..], |_| {});
        match loaded {
            Ok(images) => {
                for image in images {
                    let id = image.id.to_string();
                    node.store.inspect(&id).unwrap();
                    node.store.history(&id).unwrap();
                    let force = creel_image::RemoveOptions {
                        force: true,
                        ..Default::default()
                    };
                    let _ = node.store.remove(&id, force, &|_| None);
                }
            }
            Err(error) => {
                let known = [
                    ErrorKind::InvalidArchive,
                    ErrorKind::InvalidArgument,
                    ErrorKind::Unsupported,
                ];
                assert!(known.contains(&error.kind()), "{:?}: {error}", error.kind());
            }
        }
        assert!(node.is_empty());
    });
}

#[test]
fn file_systems_by_chance_are_imported_whole_or_not_at_all() {
    let node = Node::with_driver("vfs");
    creel_fuzz::run(&KEPT, |rng| {
        let mut bytes = layer(&[("a", "1"), ("b/c", "2")]);
        if rng.once_in(3) {
            bytes = gzip(&bytes);
        }
        creel_fuzz::bytes(rng, &mut bytes);
        let options = ImportOptions::default();
        if let Ok(id) = node.store.import(&bytes[..], &options, |_| {}) {
            let _ = node.store.remove(&id.to_string(), Default::default(), &|_| None);
        }
        assert!(node.is_empty());
    });
}
