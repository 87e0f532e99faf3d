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
pub(crate) mod disk;
mod envelope;
mod error;
mod files;
mod hardware;
mod item;
pub mod manifest;
mod names;
mod package;
mod parse;
mod product;
mod references;
mod scratch;
mod storage;
mod stream;
mod system;
pub(crate) mod tar;
mod text;
mod units;
pub mod write;
mod xml;
mod zip;

pub use envelope::{
    AttachedDisk, Card, Envelope, FileReference, OvfNetwork, Property, Unmapped, VirtualDisk,
    VirtualSystem,
};
pub use error::OvfError;
pub use names::HREF_LEN_MAX;
pub use package::{Package, Survey};
pub use parse::{FILES_MAX, parse};

/// The media type of a descriptor in a release document.
pub const MEDIA_TYPE: &str = "application/ovf+xml";

#[cfg(test)]
mod tests;
