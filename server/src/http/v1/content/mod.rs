//! What a release consists of: packs of chunks, indexes and descriptors; and leases, which protect
//! them.

pub(super) mod chunks;
pub(super) mod descriptors;
pub(super) mod indexes;
pub(super) mod leases;
pub(super) mod packs;
