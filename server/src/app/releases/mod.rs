//! Releases and channels: published, resolved, listed, compared and deleted.

pub mod channels;
pub mod deletion;
pub mod diff;
pub mod listings;
pub(super) mod publish;
pub(super) mod resolve;
