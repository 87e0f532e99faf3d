//! What a collection knows of chunks and packs: which chunks are reachable, what of a pack is, and
//! how the rest of a sparse pack becomes part of a new one.
//!
//! Not here: what reaches them (releases), and when something may go (leases); those are the
//! registry's.
//!
//! # Invariants
//!
//! 1. [`Marks`] errs on one side only: a chunk that was added is in it. One that was not is, with a
//!    probability of 2⁻⁶⁴ for each that was added.
//! 2. Repacking copies frames as they are; whoever keeps the new pack verifies it as any other.

mod marks;
mod repack;

pub use marks::{Marks, MarksBuilder};
pub use repack::{Liveness, Repack, RepackGroup, group};
