//! An engine of its own for each test, asked over its socket as creeld does, on the real kernel.

mod errors;
mod host;
mod image;
mod kills;
mod lifecycle;
mod mounts;
mod networks;
mod policies;
mod recovery;
mod requests;
mod speed;
mod streams;
mod test_engine;
