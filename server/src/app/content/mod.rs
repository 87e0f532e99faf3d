//! Packs, leaves, indexes and descriptors, and the leases that protect them.

mod chunks;
pub(super) mod descriptors;
pub(super) mod indexes;
pub mod leases;
pub(super) mod objects;
pub(super) mod packs;
mod proof;
