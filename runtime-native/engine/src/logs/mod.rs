//! Reads what a container wrote: the json-file log, from its end or beginning, once or as it grows.

mod entry;
mod files;
mod reader;
mod watch;

pub use entry::Selection;
pub use reader::{Ending, copy_log};
