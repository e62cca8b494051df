//! nf_tables over netlink: expressions, and batches that the kernel takes whole or not at all.

mod batch;
mod expression;

pub(crate) use batch::{Batch, Data, Element, Hook, Map, Nft};
pub(crate) use expression::{Expr, Verdict, ct, meta, rules};

/// The table of the node, and of each sandbox.
pub(crate) const TABLE: &str = "creel";
