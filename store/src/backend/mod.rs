//! Backends of the store port: a directory, and a bucket, which tests keep in memory.

mod bucket;
mod calls;
mod directory;

pub use bucket::Bucket;
pub use directory::Directory;
