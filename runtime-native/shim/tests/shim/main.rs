//! Containers under real shims.

mod common;
mod confinement;
mod crowd;
mod lifecycle;
mod peer;
mod streams;
