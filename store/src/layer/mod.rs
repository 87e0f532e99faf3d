//! Wrappers of the store port, each with one concern.

mod cache;
mod read_only;

pub use cache::{CacheAt, CacheTally, ReadCache};
pub use read_only::ReadOnly;
