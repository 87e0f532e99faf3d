//! The parts of a collection that concern chunks and packs: the set of reachable chunks, the
//! reachable share of a pack, and repacking of sparse packs.
//!
//! Reachability (releases) and the time of removal (leases) are the registry's.
//!
//! # Invariants
//!
//! 1. [`Marks`] has no false negatives. A chunk that was not added is a false positive with a
//!    probability of 2⁻⁶⁴ for each chunk that was.
//! 2. Repacking copies frames unchanged. The new pack is verified like any other when it is stored.

mod marks;
mod repack;

pub use marks::{Marks, MarksBuilder};
pub use repack::{Liveness, Repack, RepackGroup, group};
