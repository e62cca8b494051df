use std::fmt;

use creel_storage::Digest;

use crate::error::{ImageError, Result};

const DEFAULT_DOMAIN: &str = "docker.io";
const OLD_DEFAULT_DOMAIN: &str = "index.docker.io";
const OFFICIAL: &str = "library/";
const DEFAULT_TAG: &str = "latest";

/// The name of an image: registry, repository, and a tag or a digest or both.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    /// Reads a name as people write it (`alpine`, `user/app:1`, `host:5000/app@sha256:…`) and completes the registry.
    pub fn parse(text: &str) -> Result<Self> {
        if text.len() == 64 && is_hex(text) {
            let text =
                format!("invalid repository name ({text}), cannot specify 64-byte hexadecimal strings");
            return Err(ImageError::invalid(text));
        }
        let invalid = || ImageError::invalid("invalid reference format");
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse::<Digest>().map_err(|_| invalid())?)),
            None => (text, None),
        };
        let (domain, remainder) = split_domain(rest);
        let (path, tag) = match remainder.split_once(':') {
            Some((path, tag)) => (path, Some(tag)),
            None => (remainder, None),
        };
        if path.bytes().any(|b| b.is_ascii_uppercase()) {
            let text = format!("invalid reference format: repository name ({path}) must be lowercase");
            return Err(ImageError::invalid(text));
        }
        let path = match domain == DEFAULT_DOMAIN && !path.contains('/') {
            true => format!("{OFFICIAL}{path}"),
            false => path.to_owned(),
        };
        let sound = is_domain(domain) && path.split('/').all(is_path_component) && tag.is_none_or(is_tag);
        if !sound {
            return Err(invalid());
        }
        if domain.len() + 1 + path.len() > 255 {
            return Err(ImageError::invalid(
                "repository name must not be more than 255 characters",
            ));
        }
        Ok(Self {
            domain: domain.to_owned(),
            path,
            tag: tag.map(str::to_owned),
            digest,
        })
    }

    /// The same name with the tag `latest` if it has neither tag nor digest.
    pub fn with_default_tag(mut self) -> Self {
        if self.tag.is_none() && self.digest.is_none() {
            self.tag = Some(DEFAULT_TAG.to_owned());
        }
        self
    }

    /// The registry's host, with a port if it has one.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The repository on its registry.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The tag, if it has one.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if it has one.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The repository as people write it, without tag and digest.
    pub fn familiar_name(&self) -> String {
        if self.domain == DEFAULT_DOMAIN {
            return self
                .path
                .strip_prefix(OFFICIAL)
                .filter(|p| !p.contains('/'))
                .unwrap_or(&self.path)
                .to_owned();
        }
        format!("{}/{}", self.domain, self.path)
    }

    /// The whole reference as people write it.
    pub fn familiar(&self) -> String {
        self.suffixed(self.familiar_name())
    }

    /// Whether both name the same repository.
    pub fn same_repository(&self, other: &Self) -> bool {
        self.domain == other.domain && self.path == other.path
    }

    fn suffixed(&self, mut name: String) -> String {
        if let Some(tag) = &self.tag {
            name.push(':');
            name.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            name.push('@');
            name.push_str(digest.as_str());
        }
        name
    }
}

impl fmt::Display for Reference {
    /// The full form, registry included.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.suffixed(format!("{}/{}", self.domain, self.path)))
    }
}

fn split_domain(name: &str) -> (&str, &str) {
    let Some((first, rest)) = name.split_once('/') else {
        return (DEFAULT_DOMAIN, name);
    };
    let is_host =
        first.contains(['.', ':']) || first == "localhost" || first.bytes().any(|b| b.is_ascii_uppercase());
    match is_host {
        true if first == OLD_DEFAULT_DOMAIN => (DEFAULT_DOMAIN, rest),
        true => (first, rest),
        false => (DEFAULT_DOMAIN, name),
    }
}

fn is_hex(text: &str) -> bool {
    text.bytes()
        .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn is_domain(domain: &str) -> bool {
    let (host, port) = match domain.strip_prefix('[').and_then(|d| d.split_once(']')) {
        Some((inside, rest)) => {
            if inside.is_empty() || !inside.bytes().all(|b| b.is_ascii_hexdigit() || b == b':') {
                return false;
            }
            (
                None,
                rest.strip_prefix(':')
                    .or(if rest.is_empty() { None } else { Some("") }),
            )
        }
        None => match domain.split_once(':') {
            Some((host, port)) => (Some(host), Some(port)),
            None => (Some(domain), None),
        },
    };
    let port_ok = port.is_none_or(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()));
    let label_ok = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    port_ok && host.is_none_or(|host| host.split('.').all(label_ok))
}

/// Lower-case letters and digits, with single dots, one or two underscores or any dashes between them.
fn is_path_component(component: &str) -> bool {
    let alphanumeric = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = component.as_bytes();
    if !bytes.first().is_some_and(alphanumeric) || !bytes.last().is_some_and(alphanumeric) {
        return false;
    }
    bytes.split(alphanumeric).all(|separator| {
        matches!(separator, b"" | b"." | b"_" | b"__") || separator.iter().all(|b| *b == b'-')
    })
}

fn is_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    tag.len() <= 128
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_completed_and_shortened() {
        for (text, full, familiar) in [
            ("alpine", "docker.io/library/alpine:latest", "alpine:latest"),
            ("docker.io/alpine:3", "docker.io/library/alpine:3", "alpine:3"),
            (
                "index.docker.io/library/alpine",
                "docker.io/library/alpine:latest",
                "alpine:latest",
            ),
            ("user/app:v1.2-x", "docker.io/user/app:v1.2-x", "user/app:v1.2-x"),
            ("localhost/app", "localhost/app:latest", "localhost/app:latest"),
            (
                "localhost:5000/app",
                "localhost:5000/app:latest",
                "localhost:5000/app:latest",
            ),
            (
                "ghcr.io/a/b/c__d--e.f",
                "ghcr.io/a/b/c__d--e.f:latest",
                "ghcr.io/a/b/c__d--e.f:latest",
            ),
            ("[::1]:5000/x", "[::1]:5000/x:latest", "[::1]:5000/x:latest"),
        ] {
            let reference = Reference::parse(text).unwrap().with_default_tag();
            assert_eq!(
                (reference.to_string(), reference.familiar()),
                (full.to_owned(), familiar.to_owned())
            );
        }
        let digest = Digest::of(b"x");
        let pinned = Reference::parse(&format!("alpine@{digest}"))
            .unwrap()
            .with_default_tag();
        assert_eq!(pinned.familiar(), format!("alpine@{digest}"));
    }

    #[test]
    fn bad_names_are_refused() {
        let hex = "a".repeat(64);
        let long = "a/".repeat(130) + "a";
        for bad in [
            "",
            ":",
            "Alpine",
            "a//b",
            "/a",
            "a/",
            "a:",
            "a:-x",
            "a b",
            "-a",
            "a..b",
            "a___b",
            "a@sha256:12",
            "a_",
            "a:tag:tag",
            "host:port/a",
            "ex_ample.com/a",
            &hex,
            &long,
            "a:\u{e9}",
        ] {
            assert!(Reference::parse(bad).is_err(), "{bad}");
        }
    }
}
