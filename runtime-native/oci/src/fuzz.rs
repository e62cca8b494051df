//! Specs by chance: each is read or refused with a sentence.

use creel_fuzz::Rng;
use serde_json::{Value, json};

use crate::{bundle, commands};

const KEPT: [u64; 3] = [1, 2, 3];

fn spec(rng: &mut Rng) -> Vec<u8> {
    let mut value = serde_json::to_value(commands::spec::example().unwrap()).unwrap();
    let more = json!({
        "hooks": { "prestart": [{ "path": "/bin/true", "args": ["true"], "timeout": 1 }] },
        "annotations": { "a": "b" },
        "domainname": "net",
    });
    let members = value.as_object_mut().unwrap();
    members.extend(more.as_object().unwrap().clone());
    creel_fuzz::json(rng, &mut value);
    let mut bytes = value.to_string().into_bytes();
    if rng.once_in(4) {
        creel_fuzz::bytes(rng, &mut bytes);
    }
    bytes
}

#[test]
fn specs_by_chance_are_read_or_refused() {
    creel_fuzz::run(&KEPT, |rng| match bundle::parse(&spec(rng)) {
        Ok(spec) => {
            if let Ok(path) = bundle::cgroup(&spec, "id") {
                assert!(path.starts_with('/') && !path.contains(".."), "{path}");
            }
        }
        Err(text) => assert!(text.len() < 9000 && !text.is_empty(), "{text}"),
    });
}

#[test]
fn what_is_no_object_is_refused() {
    for value in [
        json!([]),
        json!("x"),
        json!(null),
        json!({ "process": [] }),
        json!({ "process": "x" }),
    ] {
        let value: Value = value;
        let error = bundle::parse(value.to_string().as_bytes()).unwrap_err();
        assert!(error.starts_with("invalid spec: "), "{error}");
    }
}
