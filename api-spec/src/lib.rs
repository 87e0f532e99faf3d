//! Seawall's contract: what crosses a process or a release boundary.
//!
//! Names, digests, the formats at rest of epoch 1 and the bodies of the HTTP API. Pure data: no
//! file, no socket, no clock, no randomness, no async runtime (docs/ARCHITECTURE.md, invariant 1).

pub mod audit;
pub mod content;
pub mod digest;
pub mod index;
pub mod moment;
pub mod names;
pub mod problem;
pub mod reference;
pub mod release;
mod schema;
pub mod units;
pub mod v1;
