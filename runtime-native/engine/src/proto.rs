//! The generated contract, proto/creel/engine/v1.
#![allow(missing_docs, clippy::all)]

tonic::include_proto!("creel.engine.v1");
