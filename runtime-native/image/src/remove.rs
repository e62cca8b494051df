//! `docker rmi` and `docker image prune`.

use creel_storage::Digest;

use crate::error::{ErrorKind, ImageError, Result};
use crate::list::ImageFilter;
use crate::reference::Reference;
use crate::store::{ImageStore, State};

/// A container that uses an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageUse {
    pub container: String,
    pub running: bool,
}

/// One step of a removal, in the order it happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removed {
    /// A name is gone.
    Untagged(String),
    /// An image or a layer is gone; the digest of its configuration or its chain id.
    Deleted(Digest),
}

/// How to remove an image.
#[derive(Debug, Clone, Copy)]
pub struct RemoveOptions {
    /// Also one that a stopped container uses or that several repositories name.
    pub force: bool,
    /// Also its parents, as far as they have no name.
    pub prune_parents: bool,
}

impl Default for RemoveOptions {
    fn default() -> Self {
        Self {
            force: false,
            prune_parents: true,
        }
    }
}

/// What prune removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    pub removed: Vec<Removed>,
    /// Bytes of the unpacked layers that went.
    pub reclaimed: u64,
}

/// Says which container uses an image, a running one first.
pub type InUse<'a> = &'a dyn Fn(&Digest) -> Option<ImageUse>;

impl ImageStore {
    /// Removes a name, and with its last name the image; or all of an image when an id is given.
    pub fn remove(&self, name: &str, options: RemoveOptions, in_use: InUse<'_>) -> Result<Vec<Removed>> {
        let mut going = Going::default();
        self.change(|state| {
            going = Going::default();
            remove_named(state, name, options, in_use, &mut going)
        })?;
        self.finish_removal(going)
    }

    /// Removes all images without a name, or with `all` those that no container uses, as far as the filter fits.
    pub fn prune(&self, filter: &ImageFilter, all: bool, in_use: InUse<'_>) -> Result<Pruned> {
        let mut filter = filter.clone();
        if !all {
            filter.dangling = Some(true);
        }
        let before = self.layers_size();
        let mut removed = Vec::new();
        for image in self.list(&filter, false)? {
            if in_use(&image.id).is_some() {
                continue;
            }
            let names = match image.repo_tags.is_empty() && image.repo_digests.is_empty() {
                true => vec![image.id.to_string()],
                false => image.repo_tags.into_iter().chain(image.repo_digests).collect(),
            };
            for name in names {
                match self.remove(&name, RemoveOptions::default(), in_use) {
                    Ok(steps) => removed.extend(steps),
                    // A container or another name came in between.
                    Err(error) if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::NotFound) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(Pruned {
            removed,
            reclaimed: before.saturating_sub(self.layers_size()),
        })
    }

    /// Bytes of all unpacked layers.
    pub fn layers_size(&self) -> u64 {
        self.driver.layers().iter().map(|layer| layer.size).sum()
    }

    fn finish_removal(&self, going: Going) -> Result<Vec<Removed>> {
        let mut removed = going.steps;
        let gone = self.collect(going.blobs, going.layers)?;
        removed.extend(gone.into_iter().map(Removed::Deleted));
        Ok(removed)
    }
}

/// What a removal has taken out of the metadata so far.
#[derive(Default)]
struct Going {
    steps: Vec<Removed>,
    blobs: Vec<Digest>,
    layers: Vec<(usize, Digest)>,
}

fn remove_named(
    state: &mut State,
    name: &str,
    options: RemoveOptions,
    in_use: InUse<'_>,
    going: &mut Going,
) -> Result<()> {
    let id = state.find(name)?;
    let references = state.references_of(&id);
    let asked = Reference::parse(name).map(Reference::with_default_tag);
    let is_name = asked.as_ref().is_ok_and(|asked| references.contains(asked));
    let by_id =
        !is_name && (id.as_str() == name || id.hex().starts_with(name) || id.as_str().starts_with(name));
    if by_id {
        if is_single(&references) {
            check(state, &id, options.force, true, in_use)?;
            untag_all(state, &id, going);
        }
        return delete(
            state,
            &id,
            options.force,
            options.prune_parents,
            false,
            in_use,
            going,
        );
    }
    if !options.force
        && is_single(&references)
        && let Some(user) = in_use(&id)
    {
        let text = format!(
            "conflict: unable to remove repository reference \"{name}\" (must force) - container {} is using its \
             referenced image {}",
            short(&user.container),
            id.short()
        );
        return Err(ImageError::new(ErrorKind::Conflict, text));
    }
    let asked = asked?;
    let exact = references
        .iter()
        .find(|r| **r == asked)
        .or_else(|| references.first())
        .cloned();
    let Some(reference) = exact else {
        return Err(ImageError::no_such_image(name));
    };
    untag(state, &reference, going);
    let rest = state.references_of(&id);
    let tag_left = rest
        .iter()
        .any(|r| r.digest().is_none() && r.same_repository(&reference));
    if reference.digest().is_none() && !tag_left {
        // Names by digest in the same repository do not outlive its last tag.
        for other in rest.iter().filter(|r| r.same_repository(&reference)) {
            untag(state, other, going);
        }
    }
    if !state.references_of(&id).is_empty() {
        return Ok(());
    }
    delete(
        state,
        &id,
        options.force,
        options.prune_parents,
        true,
        in_use,
        going,
    )
}

/// Takes an image out. With `quiet`, one that is still needed stays without an error.
fn delete(
    state: &mut State,
    id: &Digest,
    force: bool,
    prune: bool,
    quiet: bool,
    in_use: InUse<'_>,
    going: &mut Going,
) -> Result<()> {
    if let Err(error) = check(state, id, force, false, in_use) {
        let dangling = state.references_of(id).is_empty() && !state.has_children(id);
        if quiet && (!dangling || in_use(id).is_some()) {
            return Ok(());
        }
        return Err(error);
    }
    untag_all(state, id, going);
    let Some(record) = state.metadata.images.remove(id) else {
        return Ok(());
    };
    going.blobs.extend(record.blobs(id).cloned());
    if let Some(config) = state.configs.remove(id) {
        going.layers.extend(config.chain_ids().into_iter().enumerate());
    }
    going.steps.push(Removed::Deleted(id.clone()));
    match record.parent {
        Some(parent) if prune && state.metadata.images.contains_key(&parent) => {
            delete(state, &parent, false, true, true, in_use, going)
        }
        _ => Ok(()),
    }
}

/// Says why an image must stay. Names count as a reason unless `names_go` or `force`.
fn check(state: &State, id: &Digest, force: bool, names_go: bool, in_use: InUse<'_>) -> Result<()> {
    let conflict = |hard: bool, why: String| {
        let how = if hard {
            "cannot be forced"
        } else {
            "must be forced"
        };
        let text = format!("conflict: unable to delete {} ({how}) - {why}", id.short());
        Err(ImageError::new(ErrorKind::Conflict, text))
    };
    if state.has_children(id) {
        return conflict(true, "image has dependent child images".to_owned());
    }
    match in_use(id) {
        Some(user) if user.running => {
            return conflict(
                true,
                format!(
                    "image is being used by running container {}",
                    short(&user.container)
                ),
            );
        }
        Some(user) if !force => {
            return conflict(
                false,
                format!(
                    "image is being used by stopped container {}",
                    short(&user.container)
                ),
            );
        }
        _ => {}
    }
    if !force && !names_go && !state.references_of(id).is_empty() {
        return conflict(false, "image is referenced in multiple repositories".to_owned());
    }
    Ok(())
}

fn untag(state: &mut State, reference: &Reference, going: &mut Going) {
    if state.metadata.references.remove(&reference.to_string()).is_some() {
        going.steps.push(Removed::Untagged(reference.familiar()));
    }
}

fn untag_all(state: &mut State, id: &Digest, going: &mut Going) {
    for reference in state.references_of(id) {
        untag(state, &reference, going);
    }
}

/// Whether the names are one: at most one tag, and any digests in its repository.
fn is_single(references: &[Reference]) -> bool {
    let Some(first) = references.first() else {
        return true;
    };
    references.iter().filter(|r| r.digest().is_none()).count() <= 1
        && references.iter().all(|r| r.same_repository(first))
}

fn short(container: &str) -> &str {
    container.get(..12).unwrap_or(container)
}
