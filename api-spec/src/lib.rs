//! Seawall's contract: the data that crosses a process or release boundary.
//!
//! Defines names, digests, the on-disk formats of epoch 1 and the bodies of the HTTP API. The crate
//! is pure data: no file, no socket, no clock, no randomness, no async runtime
//! (docs/ARCHITECTURE.md, invariant 1).

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
