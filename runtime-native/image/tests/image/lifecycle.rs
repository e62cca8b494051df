//! Names, lists, removal, and archives out, as root on the real kernel.

use std::fs;

use crate::common::{Node, docker_archive, gzip, layer, oci_archive};
use creel_image::{ErrorKind, History, ImageFilter, ImageUse, ImportOptions, RemoveOptions, Removed};
use creel_storage::{Digest, PrepareOptions};
use serde_json::json;

const FREE: &dyn Fn(&Digest) -> Option<ImageUse> = &|_| None;

fn load(node: &Node, tags: &[&str], layers: &[Vec<u8>], cmd: &str) -> Digest {
    node.store
        .load(&docker_archive(&[(tags, layers, cmd)])[..], |_| {})
        .unwrap()[0]
        .id
        .clone()
}

fn names(filter: &ImageFilter, node: &Node) -> Vec<String> {
    let mut names: Vec<_> = node
        .store
        .list(filter, false)
        .unwrap()
        .into_iter()
        .flat_map(|i| i.repo_tags)
        .collect();
    names.sort();
    names
}

#[test]
fn removing_the_last_name_removes_the_image() {
    let node = Node::new();
    let base = layer(&[("base", "1")]);
    let app = load(&node, &["app:1"], &[base.clone(), layer(&[("app", "1")])], "/app");
    load(&node, &["other:1"], &[base], "/other");
    node.store.tag("app:1", "again/app").unwrap();
    assert_eq!(
        node.store
            .remove("app:1", RemoveOptions::default(), FREE)
            .unwrap(),
        [Removed::Untagged("app:1".to_owned())]
    );
    let removed = node
        .store
        .remove("again/app:latest", RemoveOptions::default(), FREE)
        .unwrap();
    assert_eq!(
        removed[..2],
        [
            Removed::Untagged("again/app:latest".to_owned()),
            Removed::Deleted(app)
        ]
    );
    // Its own layer goes, the shared one stays.
    assert_eq!(removed.len(), 3);
    assert_eq!(node.store.driver().layers().len(), 1);
    node.store
        .remove("other:1", RemoveOptions::default(), FREE)
        .unwrap();
    assert!(node.is_empty());
    let error = node
        .store
        .remove("app:1", RemoveOptions::default(), FREE)
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (ErrorKind::NotFound, "No such image: app:1")
    );
}

#[test]
fn by_id_all_names_go_if_they_are_of_one_repository() {
    let node = Node::new();
    let id = load(&node, &["app:1", "other:1"], &[layer(&[("a", "1")])], "/a");
    let error = node
        .store
        .remove(id.short(), RemoveOptions::default(), FREE)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "conflict: unable to delete {} (must be forced) - image is referenced in multiple repositories",
            id.short()
        )
    );
    let force = RemoveOptions {
        force: true,
        ..RemoveOptions::default()
    };
    assert_eq!(node.store.remove(id.short(), force, FREE).unwrap().len(), 4);
    assert!(node.is_empty());
}

#[test]
fn what_is_in_use_stays() {
    let node = Node::new();
    let id = load(&node, &["app:1"], &[layer(&[("a", "1")])], "/a");
    let running = |_: &Digest| {
        Some(ImageUse {
            container: "c0ffee".repeat(10),
            running: true,
        })
    };
    let stopped = |_: &Digest| {
        Some(ImageUse {
            container: "c0ffee".repeat(10),
            running: false,
        })
    };
    let force = RemoveOptions {
        force: true,
        ..RemoveOptions::default()
    };
    for (name, options, user, words) in [
        (
            "app:1",
            RemoveOptions::default(),
            &running as &dyn Fn(&Digest) -> _,
            "(must force) - container c0ffeec0ffee is using",
        ),
        (
            id.short(),
            RemoveOptions::default(),
            &running,
            "(cannot be forced) - image is being used by running container",
        ),
        (
            id.short(),
            force,
            &running,
            "(cannot be forced) - image is being used by running container",
        ),
        (
            id.short(),
            RemoveOptions::default(),
            &stopped,
            "(must be forced) - image is being used by stopped container",
        ),
    ] {
        let error = node.store.remove(name, options, user).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.to_string().contains(words), "{error}");
        assert!(node.store.resolve("app:1").is_ok());
    }
    // Forced by name, a running container's image only loses its name.
    assert_eq!(
        node.store.remove("app:1", force, &running).unwrap(),
        [Removed::Untagged("app:1".to_owned())]
    );
    assert!(node.store.get(&id).is_ok());
    // Forced with a stopped container, the image goes; the layer stays as long as the container.
    let top = node.store.get(&id).unwrap().layers;
    node.store
        .driver()
        .create("c", top.last(), &PrepareOptions::default())
        .unwrap();
    assert_eq!(
        node.store.remove(id.as_str(), force, &stopped).unwrap(),
        [Removed::Deleted(id)]
    );
    assert_eq!(node.store.driver().layers().len(), 1);
    node.store.driver().remove("c").unwrap();
    node.store.sweep().unwrap();
    assert!(node.is_empty());
}

#[test]
fn parents_and_prune() {
    let node = Node::new();
    let base = load(&node, &["base:1"], &[layer(&[("base", "1")])], "/a");
    let config = || (*node.store.get(&base).unwrap().config).clone();
    let step = |text: &str| History {
        created_by: Some(text.to_owned()),
        ..History::default()
    };
    let middle = node
        .store
        .create(
            Some(&base),
            config(),
            step("one"),
            Some(&mut &layer(&[("m", "1")])[..]),
            None,
        )
        .unwrap();
    let top = node
        .store
        .create(Some(&middle), config(), step("two"), None, Some("built"))
        .unwrap();
    assert_eq!(node.store.get(&top).unwrap().config.history.len(), 3);
    assert!(node.store.history("built").unwrap()[0].created_by == "two");
    assert_eq!(names(&ImageFilter::default(), &node), ["base:1", "built:latest"]);
    assert_eq!(node.store.list(&ImageFilter::default(), true).unwrap().len(), 3);
    let error = node
        .store
        .remove(middle.as_str(), RemoveOptions::default(), FREE)
        .unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("(cannot be forced) - image has dependent child images"),
        "{error}"
    );
    assert!(
        node.store
            .prune(&ImageFilter::default(), false, FREE)
            .unwrap()
            .removed
            .is_empty()
    );
    let removed = node
        .store
        .remove("built", RemoveOptions::default(), FREE)
        .unwrap();
    assert!(removed.contains(&Removed::Deleted(top)) && removed.contains(&Removed::Deleted(middle)));
    assert_eq!(names(&ImageFilter::default(), &node), ["base:1"]);

    load(&node, &[], &[layer(&[("dangling", "12345")])], "/x");
    let pruned = node.store.prune(&ImageFilter::default(), false, FREE).unwrap();
    assert_eq!((pruned.reclaimed, pruned.removed.len()), (5, 2));
    let kept = node.store.prune(&ImageFilter::default(), true, &|_| {
        Some(ImageUse {
            container: "c".into(),
            running: false,
        })
    });
    assert!(kept.unwrap().removed.is_empty());
    node.store.prune(&ImageFilter::default(), true, FREE).unwrap();
    assert!(node.is_empty());
}

#[test]
fn filters() {
    let node = Node::new();
    load(&node, &["app:1", "app:2"], &[layer(&[("a", "1")])], "/a");
    load(&node, &["reg.example/team/app:1"], &[layer(&[("b", "1")])], "/b");
    let import = |name: &str, changes: &[&str]| {
        let changes = changes.iter().map(|c| (*c).to_owned()).collect();
        let options = ImportOptions {
            reference: Some(name.to_owned()),
            changes,
            ..ImportOptions::default()
        };
        node.store
            .import(&layer(&[(name, "1")])[..], &options, |_| {})
            .unwrap()
    };
    import("late", &["LABEL kind=late"]);
    let list = |filter: ImageFilter| names(&filter, &node);
    let one = |text: &str| vec![text.to_owned()];
    assert_eq!(
        list(ImageFilter {
            references: one("app"),
            ..Default::default()
        }),
        ["app:1", "app:2"]
    );
    assert_eq!(
        list(ImageFilter {
            references: one("*:2"),
            ..Default::default()
        }),
        ["app:2"]
    );
    assert_eq!(
        list(ImageFilter {
            references: one("reg.example/*/app"),
            ..Default::default()
        }),
        ["reg.example/team/app:1"]
    );
    assert_eq!(
        list(ImageFilter {
            labels: one("kind=late"),
            ..Default::default()
        }),
        ["late:latest"]
    );
    assert_eq!(
        list(ImageFilter {
            labels: one("kind"),
            ..Default::default()
        })
        .len(),
        4
    );
    assert_eq!(
        list(ImageFilter {
            since: one("app:1"),
            ..Default::default()
        }),
        ["late:latest"]
    );
    assert_eq!(
        list(ImageFilter {
            before: one("late"),
            ..Default::default()
        })
        .len(),
        3
    );
    assert_eq!(
        list(ImageFilter {
            until: Some(1_705_000_000),
            ..Default::default()
        })
        .len(),
        3
    );
    assert!(
        list(ImageFilter {
            dangling: Some(true),
            ..Default::default()
        })
        .is_empty()
    );
    let unknown = ImageFilter {
        before: one("nope"),
        ..Default::default()
    };
    assert_eq!(
        node.store.list(&unknown, false).unwrap_err().kind(),
        ErrorKind::NotFound
    );
    let bad = ImageFilter {
        references: one("[a"),
        ..Default::default()
    };
    assert_eq!(
        node.store.list(&bad, false).unwrap_err().kind(),
        ErrorKind::InvalidArgument
    );
}

#[test]
fn what_is_saved_loads_the_same_elsewhere() {
    let (node, other) = (Node::new(), Node::with_driver("vfs"));
    let layers = [layer(&[("a", "1")]), layer(&[("b", "2")])];
    let id = load(&node, &["app:1", "app:2"], &layers, "/app");
    let gzipped = [(gzip(&layers[0]), "application/vnd.oci.image.layer.v1.tar+gzip")];
    let oci = oci_archive(
        &gzipped,
        &crate::common::config(&layers[..1], "/oci"),
        json!({"io.containerd.image.name": "oci:1"}),
    );
    let oci = node.store.load(&oci[..], |_| {}).unwrap()[0].id.clone();
    let mut archive = Vec::new();
    node.store
        .save(&["app:1".to_owned(), oci.to_string()], &mut archive)
        .unwrap();
    let loaded = other.store.load(&archive[..], |_| {}).unwrap();
    assert_eq!(
        (loaded[0].id.clone(), loaded[0].references.clone()),
        (id.clone(), vec!["app:1".to_owned()])
    );
    assert_eq!((loaded[1].id.clone(), loaded[1].references.len()), (oci, 0));
    let root = other.store.driver().prepare(
        "c",
        other.store.get(&id).unwrap().top_layer(),
        &PrepareOptions::default(),
    );
    assert_eq!(fs::read(root.unwrap().join("b")).unwrap(), b"2");
    let mut whole = Vec::new();
    node.store.save(&["app".to_owned()], &mut whole).unwrap();
    assert_eq!(
        other.store.load(&whole[..], |_| {}).unwrap()[0].references,
        ["app:1", "app:2"]
    );
    let mut again = Vec::new();
    node.store.save(&["app".to_owned()], &mut again).unwrap();
    assert!(whole == again, "an image is saved the same each time");
    let missing = node.store.save(&["nope".to_owned()], Vec::new()).unwrap_err();
    assert_eq!(missing.to_string(), "No such image: nope:latest");
}

#[test]
fn import_makes_one_layer_with_the_changes() {
    let node = Node::new();
    let archive = layer(&[("bin/app", "x")]);
    let changes = [r#"CMD ["/bin/app"]"#, "ENV A=b", "EXPOSE 8080", "WORKDIR /srv"]
        .map(str::to_owned)
        .to_vec();
    let options = ImportOptions {
        reference: Some("app".to_owned()),
        changes,
        message: "by hand".to_owned(),
        platform: "linux/amd64".to_owned(),
    };
    for archive in [archive.clone(), gzip(&archive)] {
        let id = node.store.import(&archive[..], &options, |_| {}).unwrap();
        let image = node.store.resolve("app:latest").unwrap();
        assert_eq!(image.id, id);
        assert_eq!(
            image.config.rootfs.diff_ids,
            [Digest::of(&crate::common::layer(&[("bin/app", "x")]))]
        );
        assert_eq!(
            image.config.config.cmd.as_deref(),
            Some(&["/bin/app".to_owned()][..])
        );
        assert_eq!(image.config.config.working_dir, "/srv");
        assert_eq!(node.store.history("app").unwrap()[0].comment, "by hand");
        assert_eq!(node.store.inspect("app").unwrap().repo_tags, ["app:latest"]);
    }
    let before = node.blob_count();
    let bad_change = ImportOptions {
        changes: vec!["RUN x".to_owned()],
        ..ImportOptions::default()
    };
    assert_eq!(
        node.store
            .import(&archive[..], &bad_change, |_| {})
            .unwrap_err()
            .kind(),
        ErrorKind::InvalidArgument
    );
    let bad_name = ImportOptions {
        reference: Some("Bad".to_owned()),
        ..ImportOptions::default()
    };
    assert_eq!(
        node.store
            .import(&archive[..], &bad_name, |_| {})
            .unwrap_err()
            .kind(),
        ErrorKind::InvalidArgument
    );
    let garbage = node
        .store
        .import(&[7u8; 5000][..], &ImportOptions::default(), |_| {})
        .unwrap_err();
    assert_eq!(garbage.kind(), ErrorKind::InvalidArchive);
    assert_eq!(node.blob_count(), before);
}

#[test]
fn loads_and_removals_at_once() {
    let node = Node::new();
    let shared = layer(&[("shared", "1")]);
    let seed = std::process::id();
    eprintln!("seed {seed}");
    std::thread::scope(|scope| {
        for worker in 0..4u32 {
            let (node, shared) = (&node, &shared);
            scope.spawn(move || {
                for round in 0..12u32 {
                    let name = format!("app{}:{round}", (seed + worker + round) % 3);
                    let own = layer(&[("own", &format!("{}", round % 4))]);
                    let archive = docker_archive(&[(&[&name], &[shared.clone(), own], "/a")]);
                    node.store.load(&archive[..], |_| {}).unwrap();
                    let removed = node.store.remove(
                        &name,
                        RemoveOptions {
                            force: true,
                            prune_parents: true,
                        },
                        FREE,
                    );
                    if let Err(error) = removed {
                        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
                    }
                }
            });
        }
    });
    node.store.prune(&ImageFilter::default(), true, FREE).unwrap();
    assert!(node.is_empty(), "{:?}", node.store.content().list());
}
