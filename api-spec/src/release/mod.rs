//! The release document, which defines a release byte for byte.
//!
//! A release is one JSON document in canonical form (RFC 8785). The document's BLAKE3 digest is the
//! release's identity. The document therefore carries no time, no host and no parent: the same
//! machines with the same disks under the same name are the same release, wherever pushed from.
//!
//! [`Release`] is the proven value, [`Document`] its plain parts.

use crate::digest::ReleaseDigest;
use crate::names::{ApplicationName, MachineName, Version};

mod document;

pub use document::{
    Architecture, Bus, Descriptor, Disk, Document, Firmware, Machine, Network, NetworkCard,
    NetworkModel, Parameter, Schema,
};

/// The maximum length of a release document, in bytes.
pub const RELEASE_LEN_MAX: usize = 4 << 20;
/// The maximum number of machines of a release.
pub const MACHINES_MAX: usize = 1024;
/// The maximum number of disks of a machine.
pub const DISKS_MAX: usize = 256;
/// The maximum number of annotations, parameters, networks or cards in one place.
pub const ENTRIES_MAX: usize = 1024;
/// The maximum length of an original descriptor, in bytes.
pub const DESCRIPTOR_LEN_MAX: usize = 4 << 20;
/// The maximum length of a key or text in a document, in bytes.
pub const TEXT_LEN_MAX: usize = 16 << 10;

/// The reason bytes or parts are not a release document.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRelease {
    /// The document is longer than [`RELEASE_LEN_MAX`].
    #[error("a release document has at most {RELEASE_LEN_MAX} bytes, not {0}")]
    TooLong(usize),
    /// The document is not JSON, or not of this schema.
    #[error("the release document does not follow its schema")]
    Schema(#[source] serde_json::Error),
    /// The document follows the schema, but its bytes are not canonical.
    #[error("the release document is not in canonical form (RFC 8785)")]
    NotCanonical,
    /// The document breaks a rule that the schema cannot express.
    #[error("{place}: {why}")]
    Rule {
        /// The place in the document.
        place: String,
        /// The broken rule.
        why: String,
    },
}

/// A release: a document that follows every rule, its bytes and its digest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Release {
    document: Document,
    bytes: Vec<u8>,
    digest: ReleaseDigest,
}

impl Release {
    /// Proves a document and fixes its bytes.
    ///
    /// # Errors
    /// If the document breaks a rule. The error names the place.
    pub fn new(document: Document) -> Result<Self, InvalidRelease> {
        document.check()?;
        let bytes = serde_json_canonicalizer::to_vec(&document).map_err(InvalidRelease::Schema)?;
        if bytes.len() > RELEASE_LEN_MAX {
            return Err(InvalidRelease::TooLong(bytes.len()));
        }
        let digest = ReleaseDigest::of(&bytes);
        Ok(Self { document, bytes, digest })
    }

    /// Parses a release document.
    ///
    /// # Errors
    /// If the bytes are not exactly the [`Self::bytes`] of some document.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidRelease> {
        if bytes.len() > RELEASE_LEN_MAX {
            return Err(InvalidRelease::TooLong(bytes.len()));
        }
        let document: Document = serde_json::from_slice(bytes).map_err(InvalidRelease::Schema)?;
        let release = Self::new(document)?;
        // One document, one digest: a second spelling would be a second release.
        if release.bytes != bytes {
            return Err(InvalidRelease::NotCanonical);
        }
        Ok(release)
    }

    /// Returns the canonical bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the release's identity.
    #[must_use]
    pub fn digest(&self) -> ReleaseDigest {
        self.digest
    }

    /// Returns the application of the release.
    #[must_use]
    pub fn application(&self) -> &ApplicationName {
        &self.document.application
    }

    /// Returns the version of the release.
    #[must_use]
    pub fn version(&self) -> &Version {
        &self.document.version
    }

    /// Returns the machines, ordered by name.
    #[must_use]
    pub fn machines(&self) -> &[Machine] {
        &self.document.machines
    }

    /// Returns the machine with a name.
    #[must_use]
    pub fn machine(&self, name: &MachineName) -> Option<&Machine> {
        self.document.machines.iter().find(|machine| machine.name == *name)
    }

    /// Returns every disk with its machine, in document order.
    pub fn disks(&self) -> impl Iterator<Item = (&Machine, &Disk)> {
        self.machines().iter().flat_map(|m| m.disks.iter().map(move |disk| (m, disk)))
    }

    /// Returns the parts of the document.
    #[must_use]
    pub fn document(&self) -> &Document {
        &self.document
    }
}

#[cfg(test)]
mod tests;
