//! Pins, hosts and policies: the reasons to keep a release, and the releases to delete.

pub mod hosts;
pub mod pins;
pub mod policies;
