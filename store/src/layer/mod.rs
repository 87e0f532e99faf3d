//! Wrappers of the store port, one concern each.

mod read_only;

pub use read_only::ReadOnly;
