//! The content engine of Seawall, which turns disk images into chunks, packs and indexes, and back.
//!
//! The engine knows no HTTP, no application, no channel and no user (docs/ARCHITECTURE.md,
//! invariant 2).

pub mod backend;
pub mod chunker;
pub mod codec;
pub mod content;
pub mod error;
pub mod gc;
pub mod image;
pub mod kind;
pub mod layer;
pub mod new_file;
pub mod pack;
pub mod port;
pub mod read;
pub mod scan;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod unfinished;
