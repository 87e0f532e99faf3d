//! OVF packages: a descriptor and its files, side by side or in one archive (OVA).
//!
//! [`Package`] opens one for a push: what its descriptor says becomes a [`ReleaseSpec`], its disks
//! are read where they lie, and what a release has no place for is reported ([`Unmapped`]). The
//! descriptor itself is kept by the registry byte for byte.
//!
//! # Invariants
//!
//! 1. A package is hostile: parsers are total, what they hold is bounded by named limits, and
//!    nothing outside of the package is read, whatever its descriptor, archive or disks name.
//! 2. Nothing is extracted: a disk is a range of the package's file. Only what is compressed is
//!    inflated, to a file without a name.
//! 3. What of the descriptor a release does not carry is reported. A disk that no machine gets
//!    ends the push.
//! 4. A number, a unit or a format that cannot be read is an error or is reported; no default
//!    stands in for it.
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

/// What a descriptor is called in a release document.
pub const MEDIA_TYPE: &str = "application/ovf+xml";

#[cfg(test)]
mod tests;
