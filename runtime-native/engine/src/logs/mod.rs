//! Reads what a container wrote, of whatever log driver, from its end or beginning, once or as it grows.

pub mod driver;
mod entry;
mod files;
mod json;
mod reader;
mod watch;

pub use entry::Selection;
pub use reader::{Ending, Source, copy_log};
