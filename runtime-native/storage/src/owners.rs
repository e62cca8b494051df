use std::fmt;
use std::sync::Arc;

type Ids = (u32, u32);

/// The user and group that a file is told or given to have, for those it has or was to have: an archive speaks of the ids
/// inside a container, its running processes' files have those outside.
#[derive(Clone)]
pub struct Owners(Arc<dyn Fn(Ids) -> Ids + Send + Sync>);

impl Owners {
    /// By a function of user and group.
    pub fn new(convert: impl Fn(Ids) -> Ids + Send + Sync + 'static) -> Self {
        Self(Arc::new(convert))
    }

    pub(crate) fn of(&self, ids: Ids) -> Ids {
        (self.0)(ids)
    }
}

impl fmt::Debug for Owners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Owners")
    }
}
