//! The documents of a depot: small files that say what it holds (docs/FORMAT.md).
//!
//! Nothing in a bucket or behind a web server is replaced on a condition, and a copy of a folder
//! may be torn. A document is therefore replaced whole, in two slots by turns. Each has a sequence
//! number and ends with the digest of its bytes. Readers fetch both slots and take the highest that
//! is complete.

mod identity;
mod listing;
mod slots;

pub use identity::{IDENTITY, Identity};
pub use listing::{Applications, ListedChannel, ListedDisk, ListedRelease, Releases};
pub use slots::{DOCUMENT_LEN_MAX, Document, Sealed, Slots};

#[cfg(test)]
mod tests;
