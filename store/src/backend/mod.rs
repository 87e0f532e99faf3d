//! Backends of the store port: a directory, and a bucket of a service or in memory.

mod bucket;
mod calls;
mod directory;
mod files;
mod marker;
pub mod s3;

pub use bucket::Bucket;
pub use directory::Directory;
pub use files::{Files, Listed};

pub use crate::port::Conditions;
