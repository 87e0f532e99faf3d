//! The release document: what a release is, byte for byte.
//!
//! A release is one JSON document in canonical form (RFC 8785). Its BLAKE3 digest is the
//! release's identity, so it carries no time, no host and no parent: the same machines with the
//! same disks under the same name are the same release wherever they are pushed from.
//!
//! [`Release`] is the proven value; [`Document`] its plain parts.

use crate::digest::ReleaseDigest;
use crate::names::{ApplicationName, MachineName, Version};

mod document;

pub use document::{
    Architecture, Bus, Descriptor, Disk, Document, Firmware, Machine, Network, NetworkCard,
    NetworkModel, Parameter, Schema,
};

/// The longest release document, in bytes.
pub const RELEASE_LEN_MAX: usize = 4 << 20;
/// The most machines of a release.
pub const MACHINES_MAX: usize = 1024;
/// The most disks of a machine.
pub const DISKS_MAX: usize = 256;
/// The most annotations, parameters, networks or cards in one place.
pub const ENTRIES_MAX: usize = 1024;
/// The longest original descriptor, in bytes.
pub const DESCRIPTOR_LEN_MAX: usize = 4 << 20;
/// The longest key or text in a document, in bytes.
pub const TEXT_LEN_MAX: usize = 16 << 10;

/// Why bytes or parts are not a release document.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRelease {
    /// More bytes than [`RELEASE_LEN_MAX`].
    #[error("a release document has at most {RELEASE_LEN_MAX} bytes, not {0}")]
    TooLong(usize),
    /// Not JSON, or not of this schema.
    #[error("the release document does not follow its schema")]
    Schema(#[source] serde_json::Error),
    /// JSON of the right schema whose bytes are not the canonical ones.
    #[error("the release document is not in canonical form (RFC 8785)")]
    NotCanonical,
    /// A rule that the schema cannot say.
    #[error("{place}: {why}")]
    Rule {
        /// Where in the document.
        place: String,
        /// The rule it breaks.
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
    /// When it breaks a rule; the error names the place.
    pub fn new(document: Document) -> Result<Self, InvalidRelease> {
        document.check()?;
        let bytes = serde_json_canonicalizer::to_vec(&document).map_err(InvalidRelease::Schema)?;
        if bytes.len() > RELEASE_LEN_MAX {
            return Err(InvalidRelease::TooLong(bytes.len()));
        }
        let digest = ReleaseDigest::of(&bytes);
        Ok(Self { document, bytes, digest })
    }

    /// Reads a release's bytes.
    ///
    /// # Errors
    /// When they are not exactly what [`Self::bytes`] gives for some document.
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

    /// The canonical bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The release's identity.
    #[must_use]
    pub fn digest(&self) -> ReleaseDigest {
        self.digest
    }

    /// The application it is a release of.
    #[must_use]
    pub fn application(&self) -> &ApplicationName {
        &self.document.application
    }

    /// Its version.
    #[must_use]
    pub fn version(&self) -> &Version {
        &self.document.version
    }

    /// Its machines, ordered by name.
    #[must_use]
    pub fn machines(&self) -> &[Machine] {
        &self.document.machines
    }

    /// The machine of that name.
    #[must_use]
    pub fn machine(&self, name: &MachineName) -> Option<&Machine> {
        self.document.machines.iter().find(|machine| machine.name == *name)
    }

    /// Every disk with the machine it belongs to, in document order.
    pub fn disks(&self) -> impl Iterator<Item = (&Machine, &Disk)> {
        self.machines().iter().flat_map(|m| m.disks.iter().map(move |disk| (m, disk)))
    }

    /// The parts.
    #[must_use]
    pub fn document(&self) -> &Document {
        &self.document
    }
}

#[cfg(test)]
mod tests;
