//! Bundles: files that carry releases to where there is no network (docs/FORMAT.md).
//!
//! A bundle is a depot in one file or several: a copy writes it, and a copy reads it. One that was
//! made for a site which tells what it holds leaves out those chunks.
//!
//! # Invariants
//!
//! 1. A part that opens is complete, and in the order that it was written in. Its records are
//!    proven when they are read: nothing in a bundle is trusted.
//! 2. A bundle has its name once it is complete. One that was interrupted leaves no file.
//! 3. An import is a copy: a release appears in the registry as one, and an import that was
//!    interrupted goes on.

mod error;
mod format;
mod have;
mod read;
mod write;

pub use error::BundleError;
pub use format::{Part, ReadAt};
pub use have::{HAVE_LEN_MAX, Have, HeldRelease};
pub use read::{Bundle, CheckedPart, check};
pub use write::BundleWriter;

#[cfg(test)]
mod tests;
