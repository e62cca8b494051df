//! `docker images`, `docker image inspect` and `docker history`.

use std::sync::Arc;

use creel_storage::Digest;
use globset::GlobBuilder;

use crate::config::ImageConfig;
use crate::error::{ImageError, Result};
use crate::reference::Reference;
use crate::store::{Image, ImageStore, State};
use crate::time;

/// One line of `docker images`.
#[derive(Debug, Clone)]
pub struct ImageSummary {
    pub id: Digest,
    pub parent: Option<Digest>,
    /// `app:1`; those that a reference filter asked for, if there is one.
    pub repo_tags: Vec<String>,
    /// `app@sha256:…`
    pub repo_digests: Vec<String>,
    /// Seconds since 1970.
    pub created: i64,
    /// Bytes of the unpacked layers.
    pub size: u64,
    pub config: Arc<ImageConfig>,
}

/// All that `docker image inspect` shows beside the configuration.
#[derive(Debug, Clone)]
pub struct ImageDetail {
    pub image: Image,
    pub repo_tags: Vec<String>,
    pub repo_digests: Vec<String>,
    /// RFC 3339; empty when the image does not say.
    pub created: String,
    /// RFC 3339 of when the image last got a name on this node; empty when never.
    pub last_tagged: String,
}

/// One line of `docker history`, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryLine {
    /// The image's id on the newest line, `<missing>` on all others.
    pub id: String,
    /// Seconds since 1970.
    pub created: i64,
    pub created_by: String,
    pub comment: String,
    pub size: u64,
    pub tags: Vec<String>,
}

/// The filters of `docker images`. All that are given must fit; within one kind one suffices, but every label must.
#[derive(Debug, Clone, Default)]
pub struct ImageFilter {
    /// Patterns as `app`, `app:1.*`, `reg.example/*/app`.
    pub references: Vec<String>,
    pub dangling: Option<bool>,
    /// `name` or `name=value`.
    pub labels: Vec<String>,
    /// An image; only those made before it.
    pub before: Vec<String>,
    /// An image; only those made after it.
    pub since: Vec<String>,
    /// Seconds since 1970; only those made before.
    pub until: Option<i64>,
}

impl ImageStore {
    /// The images that fit, newest first. Without `all`, those that are only steps of another stay out.
    pub fn list(&self, filter: &ImageFilter, all: bool) -> Result<Vec<ImageSummary>> {
        let state = self.read_state();
        let patterns = filter
            .references
            .iter()
            .map(|p| Pattern::new(p))
            .collect::<Result<Vec<_>>>()?;
        let created_of = |name: &String| state.find(name).map(|id| state.created(&id));
        let before = filter
            .before
            .iter()
            .map(created_of)
            .collect::<Result<Vec<_>>>()?
            .into_iter()
            .min();
        let since = filter
            .since
            .iter()
            .map(created_of)
            .collect::<Result<Vec<_>>>()?
            .into_iter()
            .max();
        let mut list = Vec::new();
        for (id, record) in &state.metadata.images {
            let Some(config) = state.configs.get(id) else {
                continue;
            };
            let created = state.created(id);
            let in_time = before.is_none_or(|b| created < b)
                && since.is_none_or(|s| created > s)
                && filter.until.is_none_or(|u| created.0 < u);
            let labels = &config.config.labels;
            let labelled = filter.labels.iter().all(|label| match label.split_once('=') {
                Some((key, value)) => labels.get(key).is_some_and(|v| v == value),
                None => labels.contains_key(label),
            });
            let mut references = state.references_of(id);
            let dangling = references.is_empty();
            let is_step = dangling && state.has_children(id);
            if !patterns.is_empty() {
                references.retain(|reference| patterns.iter().any(|p| p.fits(reference)));
                if references.is_empty() {
                    continue;
                }
            }
            if !in_time
                || !labelled
                || filter
                    .dangling
                    .is_some_and(|wanted| wanted != (dangling && !is_step))
                || (is_step && !all)
            {
                continue;
            }
            let (repo_tags, repo_digests) = split_names(&references);
            list.push(ImageSummary {
                id: id.clone(),
                parent: record.parent.clone(),
                repo_tags,
                repo_digests,
                created: created.0,
                size: record.size,
                config: Arc::clone(config),
            });
        }
        list.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.id.cmp(&b.id)));
        Ok(list)
    }

    /// One image in full.
    pub fn inspect(&self, name: &str) -> Result<ImageDetail> {
        let state = self.read_state();
        let id = state.find(name)?;
        let image = state.image(&id).ok_or_else(|| ImageError::no_such_image(name))?;
        let (repo_tags, repo_digests) = split_names(&state.references_of(&id));
        Ok(ImageDetail {
            repo_tags,
            repo_digests,
            created: image.config.created.clone().unwrap_or_default(),
            last_tagged: image
                .record
                .tagged_at
                .map(|at| time::format((at, 0)))
                .unwrap_or_default(),
            image,
        })
    }

    /// How an image came to be, newest step first.
    pub fn history(&self, name: &str) -> Result<Vec<HistoryLine>> {
        let detail = self.inspect(name)?;
        let image = &detail.image;
        let mut layers = image.layers.iter();
        let mut lines: Vec<HistoryLine> = Vec::new();
        for step in &image.config.history {
            let layer = if step.empty_layer { None } else { layers.next() };
            let size = layer
                .and_then(|chain| self.driver.layer(chain))
                .map_or(0, |layer| layer.size);
            lines.push(HistoryLine {
                id: "<missing>".to_owned(),
                created: step.created.as_deref().and_then(time::parse).map_or(0, |t| t.0),
                created_by: step.created_by.clone().unwrap_or_default(),
                comment: step.comment.clone().unwrap_or_default(),
                size,
                tags: Vec::new(),
            });
        }
        lines.reverse();
        if let Some(newest) = lines.first_mut() {
            newest.id = image.id.to_string();
            newest.tags = detail.repo_tags;
        }
        Ok(lines)
    }
}

impl State {
    /// When an image says it was made, to the nanosecond.
    fn created(&self, id: &Digest) -> (i64, u32) {
        let created = self.configs.get(id).and_then(|config| config.created.as_deref());
        created.and_then(time::parse).unwrap_or((0, 0))
    }

    pub(crate) fn has_children(&self, id: &Digest) -> bool {
        self.metadata
            .images
            .values()
            .any(|record| record.parent.as_ref() == Some(id))
    }
}

/// The names with a tag, and those with a digest.
fn split_names(references: &[Reference]) -> (Vec<String>, Vec<String>) {
    let (digests, tags): (Vec<_>, Vec<_>) = references.iter().partition(|r| r.digest().is_some());
    let names = |list: Vec<&Reference>| list.into_iter().map(Reference::familiar).collect();
    (names(tags), names(digests))
}

/// A `reference=` filter: a pattern over the familiar name, with or without its tag.
struct Pattern(globset::GlobMatcher);

impl Pattern {
    fn new(text: &str) -> Result<Self> {
        GlobBuilder::new(text)
            .literal_separator(true)
            .build()
            .map(|glob| Self(glob.compile_matcher()))
            .map_err(|e| ImageError::invalid(format!("invalid reference pattern {text:?}: {}", e.kind())))
    }

    fn fits(&self, reference: &Reference) -> bool {
        self.0.is_match(reference.familiar()) || self.0.is_match(reference.familiar_name())
    }
}
