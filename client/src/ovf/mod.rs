//! OVF packages: a descriptor and its files, side by side or in one archive (OVA).
//!
//! [`Package`] opens a package for a push. The descriptor becomes a [`ReleaseSpec`], disks are read
//! in place, and the parts without a place in a release are reported ([`Unmapped`]). The registry
//! keeps the descriptor itself, byte for byte.
//!
//! # Invariants
//!
//! 1. A package is hostile: parsers are total, their results are bounded by named limits, and
//!    nothing outside of the package is read, whatever names its descriptor, archive or disks
//!    contain.
//! 2. Nothing is extracted: a disk is a range of the package's file. Only compressed disks are
//!    inflated, to an unnamed file.
//! 3. Every part of the descriptor that a release cannot carry is reported. A disk without a
//!    machine fails the push.
//! 4. An unreadable number, unit or format is an error or is reported. No default replaces it
//!    silently.
//!
//! [`ReleaseSpec`]: crate::spec::ReleaseSpec

pub(crate) mod describe;
mod envelope;
mod error;
mod names;
pub(crate) mod package;
mod read;
mod text;
pub mod write;

pub use envelope::{
    AttachedDisk, Card, Envelope, FileReference, OvfNetwork, Property, Unmapped, VirtualDisk,
    VirtualSystem,
};
pub use error::OvfError;
pub use names::HREF_LEN_MAX;
pub(crate) use package::tar;
pub use package::{Package, Survey, manifest};
pub use read::{FILES_MAX, parse};

/// The media type of a descriptor in a release document.
pub const MEDIA_TYPE: &str = "application/ovf+xml";

#[cfg(test)]
mod tests;
