//! Tests that cross this crate's files.

mod elections;
mod stepped;
mod storage;
