//! Archives of other tools in, and ours to them. Each part runs where the tool is installed and says so where not.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::{Node, layer};
use creel_image::ImportOptions;
use creel_storage::PrepareOptions;

fn installed(tool: &str) -> bool {
    let found = Command::new(tool)
        .arg("--version")
        .output()
        .is_ok_and(|out| out.status.success());
    if !found {
        eprintln!("{tool} is not installed: left out");
    }
    found
}

fn run(command: &str, arguments: &[&str]) -> Vec<u8> {
    let out = Command::new(command).args(arguments).output().unwrap();
    assert!(
        out.status.success(),
        "{command} {arguments:?}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    out.stdout
}

fn load(node: &Node, path: &Path) -> creel_image::Loaded {
    node.store
        .load(fs::File::open(path).unwrap(), |_| {})
        .unwrap()
        .remove(0)
}

#[test]
fn skopeo_reads_what_is_saved_and_writes_what_loads() {
    if !installed("skopeo") {
        return;
    }
    let node = Node::new();
    let options = ImportOptions {
        reference: Some("reg.example/team/app:1".to_owned()),
        changes: vec!["CMD [\"/app\"]".to_owned()],
        platform: "linux/amd64".to_owned(),
        ..ImportOptions::default()
    };
    let id = node
        .store
        .import(&layer(&[("app", "content")])[..], &options, |_| {})
        .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let saved = at("saved.tar");
    node.store
        .save(
            &["reg.example/team/app:1".to_owned()],
            fs::File::create(&saved).unwrap(),
        )
        .unwrap();
    let policy = ["--insecure-policy", "copy", "-q"];
    for (from, to, names) in [
        ("docker-archive", "docker-archive", 1),
        ("docker-archive", "oci-archive", 1),
        ("oci-archive", "oci-archive", 1),
        ("oci-archive", "docker-archive", 1),
    ] {
        let target = at(&format!("{from}-{to}.tar"));
        let source = format!("{from}:{}", saved.display());
        let destination = format!("{to}:{}:reg.example/team/app:2", target.display());
        run("skopeo", &[&policy[..], &[&source, &destination]].concat());
        let other = Node::new();
        let loaded = load(&other, &target);
        assert_eq!(loaded.references.len(), names, "{from} {to}");
        assert_eq!(loaded.references[0], "reg.example/team/app:2");
        if from == to {
            assert_eq!(loaded.id, id);
        }
        let image = other.store.resolve("reg.example/team/app:2").unwrap();
        assert_eq!(image.config.config.cmd.as_deref(), Some(&["/app".to_owned()][..]));
        let root = other
            .store
            .driver()
            .prepare("c", image.top_layer(), &PrepareOptions::default())
            .unwrap();
        assert_eq!(fs::read(root.join("app")).unwrap(), b"content");
    }
}

#[test]
fn umoci_layers_with_whiteouts() {
    if !installed("umoci") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let layout = dir.path().join("layout");
    let image = format!("{}:new", layout.display());
    let bundle = dir.path().join("bundle");
    let (layout_name, bundle_name) = (layout.to_str().unwrap(), bundle.to_str().unwrap());
    run("umoci", &["init", "--layout", layout_name]);
    run("umoci", &["new", "--image", &image]);
    let repack = |change: &dyn Fn(&Path)| {
        run("umoci", &["unpack", "--image", &image, bundle_name]);
        change(&bundle.join("rootfs"));
        run("umoci", &["repack", "--image", &image, bundle_name]);
        fs::remove_dir_all(&bundle).unwrap();
    };
    repack(&|root| {
        fs::create_dir_all(root.join("d/sub")).unwrap();
        fs::write(root.join("d/sub/f"), b"1").unwrap();
        fs::write(root.join("gone"), b"1").unwrap();
        fs::hard_link(root.join("gone"), root.join("kept")).unwrap();
    });
    repack(&|root| {
        fs::remove_file(root.join("gone")).unwrap();
        fs::remove_dir_all(root.join("d/sub")).unwrap();
        std::os::unix::fs::symlink("kept", root.join("link")).unwrap();
    });
    let archive = dir.path().join("layout.tar");
    run("tar", &["-C", layout_name, "-cf", archive.to_str().unwrap(), "."]);
    let node = Node::new();
    let loaded = load(&node, &archive);
    let image = node.store.get(&loaded.id).unwrap();
    assert_eq!(image.layers.len(), 2);
    let root = node
        .store
        .driver()
        .prepare("c", image.top_layer(), &PrepareOptions::default())
        .unwrap();
    let mut names: Vec<_> = fs::read_dir(&root)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["d", "kept", "link"]);
    assert_eq!(fs::read_dir(root.join("d")).unwrap().count(), 0);
    assert_eq!(fs::read(root.join("link")).unwrap(), b"1");
}
