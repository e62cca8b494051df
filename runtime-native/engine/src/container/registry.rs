//! All containers of the node: by id, by a prefix of one, by name.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, RwLock};

use super::Container;
use crate::error::{EngineError, ErrorCode, Result};
use crate::ids;

/// The containers of the node, and the names that are taken.
#[derive(Default)]
pub struct Registry {
    inner: RwLock<Inner>,
}

#[derive(Default)]
struct Inner {
    by_id: BTreeMap<String, Arc<Container>>,
    names: HashMap<String, String>,
}

impl Registry {
    /// Takes `name` for the container `id`, or an own one when it is empty.
    pub fn reserve(&self, name: &str, id: &str) -> Result<String> {
        let mut inner = self.inner.write().expect("no panic while locked");
        if !name.is_empty() {
            ids::check_name(name)?;
            if let Some(owner) = inner.names.get(name) {
                return Err(name_in_use(name, owner));
            }
            inner.names.insert(name.into(), id.into());
            return Ok(name.into());
        }
        for attempt in 0..100 {
            let name = ids::random_name(attempt);
            if !inner.names.contains_key(&name) {
                inner.names.insert(name.clone(), id.into());
                return Ok(name);
            }
        }
        inner.names.insert(id.into(), id.into());
        Ok(id.into())
    }

    /// Gives up a name, if it is still `id`'s.
    pub fn release(&self, name: &str, id: &str) {
        let mut inner = self.inner.write().expect("no panic while locked");
        if inner.names.get(name).is_some_and(|owner| owner == id) {
            inner.names.remove(name);
        }
    }

    /// Makes a container visible.
    pub fn insert(&self, container: Arc<Container>) {
        self.inner
            .write()
            .expect("no panic while locked")
            .by_id
            .insert(container.id.clone(), container);
    }

    /// Forgets a container and its name.
    pub fn remove(&self, id: &str) {
        let mut inner = self.inner.write().expect("no panic while locked");
        if let Some(container) = inner.by_id.remove(id) {
            let name = container.name();
            if inner.names.get(&name).is_some_and(|owner| owner == id) {
                inner.names.remove(&name);
            }
        }
    }

    /// The container that `reference` means: an id, a name (a leading slash is allowed), or a unique prefix of an id.
    pub fn find(&self, reference: &str) -> Result<Arc<Container>> {
        let inner = self.inner.read().expect("no panic while locked");
        if let Some(container) = inner.by_id.get(reference) {
            return Ok(container.clone());
        }
        let missing = || {
            EngineError::new(
                ErrorCode::NoSuchContainer,
                format!("No such container: {reference}"),
            )
        };
        let name = reference.strip_prefix('/').unwrap_or(reference);
        if let Some(id) = inner.names.get(name) {
            return inner.by_id.get(id).cloned().ok_or_else(missing);
        }
        if reference.is_empty() {
            return Err(missing());
        }
        let mut matching = inner
            .by_id
            .range(reference.to_owned()..)
            .take_while(|(id, _)| id.starts_with(reference));
        let Some((_, first)) = matching.next() else {
            return Err(missing());
        };
        if matching.next().is_some() {
            let text = format!("multiple IDs found with provided prefix: {reference}");
            return Err(EngineError::new(ErrorCode::AmbiguousId, text));
        }
        Ok(first.clone())
    }

    /// All containers.
    pub fn all(&self) -> Vec<Arc<Container>> {
        self.inner
            .read()
            .expect("no panic while locked")
            .by_id
            .values()
            .cloned()
            .collect()
    }
}

fn name_in_use(name: &str, owner: &str) -> EngineError {
    EngineError::new(
        ErrorCode::NameInUse,
        format!(
            "Conflict. The container name \"/{name}\" is already in use by container \"{owner}\". You have to remove \
             (or rename) that container to be able to reuse that name."
        ),
    )
}
