//! The content of releases (packs of chunks, indexes and descriptors), and the leases that protect
//! it.

pub(super) mod chunks;
pub(super) mod descriptors;
pub(super) mod indexes;
pub(super) mod leases;
pub(super) mod packs;
