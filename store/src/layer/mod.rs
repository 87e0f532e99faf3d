//! Wrappers of the store port, each with one concern.

mod read_only;

pub use read_only::ReadOnly;
