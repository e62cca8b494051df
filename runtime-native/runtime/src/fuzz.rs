//! Specs, policies and user files by chance: each is read or refused with a sentence.

use std::collections::BTreeSet;

use oci_spec::runtime::Spec;
use serde_json::Value;

use crate::native::is_planned;
use crate::seccomp::{DEFAULT_PROFILE, Profile, compile};
use crate::spec::{SpecInput, resolve_user};

const KEPT: [u64; 3] = [1, 2, 3];

#[test]
fn specs_by_chance_become_a_plan_or_none() {
    let mut input = SpecInput {
        rootfs: "/nowhere".into(),
        cgroup_path: "/creel/test".into(),
        ..SpecInput::default()
    };
    input.process.args = vec!["true".into()];
    let good = serde_json::to_value(input.build().unwrap()).unwrap();
    creel_fuzz::run(&KEPT, |rng| {
        let mut value = good.clone();
        creel_fuzz::json(rng, &mut value);
        if let Ok(spec) = serde_json::from_value::<Spec>(value) {
            let _ = is_planned(&spec);
            let _ = crate::proc_mounts::check(&spec);
        }
    });
}

#[test]
fn policies_by_chance_are_compiled_or_refused() {
    let good: Value = serde_json::from_str(DEFAULT_PROFILE).unwrap();
    creel_fuzz::run(&KEPT, |rng| {
        let mut value = good.clone();
        creel_fuzz::json(rng, &mut value);
        let compiled = Profile::parse(&value.to_string())
            .and_then(|profile| profile.resolve(&BTreeSet::from(["CAP_SYS_ADMIN".to_owned()])))
            .and_then(|policy| compile(&policy));
        if let Err(error) = compiled {
            assert!(!error.to_string().is_empty());
        }
    });
}

#[test]
fn users_by_chance_are_found_or_not() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("etc")).unwrap();
    creel_fuzz::run(&KEPT, |rng| {
        for (name, good) in [
            (
                "passwd",
                "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n",
            ),
            ("group", "root:x:0:\napp:x:1000:\nmore:x:2000:app,root\n"),
        ] {
            let mut bytes = good.as_bytes().to_vec();
            creel_fuzz::bytes(rng, &mut bytes);
            std::fs::write(root.path().join("etc").join(name), bytes).unwrap();
        }
        let users = [
            "",
            "app",
            "app:more",
            "1000",
            "0:0",
            ":",
            "4294967295",
            "-1",
            "99999999999:1",
            "app:",
        ];
        let _ = resolve_user(root.path(), users[rng.below(users.len())], &["more".into()]);
    });
}
