//! What keeps a release and what lets it go: pins, hosts and policies.

pub(super) mod hosts;
pub(super) mod pins;
pub(super) mod policies;
