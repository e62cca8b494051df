//! Networks on the real kernel, each test in namespaces of its own.

mod bridge;
mod common;
mod names;
mod overlay;
