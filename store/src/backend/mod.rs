//! Backends of the store port: a directory, and memory for tests. S3-compatible stores fit the same
//! adapter.

mod objects;
mod path;

pub use objects::{Objects, directory, memory};
