//! The reasons to keep or delete a release: pins, hosts and policies.

pub(super) mod hosts;
pub(super) mod pins;
pub(super) mod policies;
