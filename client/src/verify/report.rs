//! What a verification found.

use std::fmt;
use std::path::PathBuf;

use seawall_api::digest::{ContentDigest, ReleaseDigest};
use seawall_api::names::{ApplicationName, DiskName, MachineName, Version};
use seawall_api::release::Release;
use seawall_api::units::HumanBytes;
use serde::Serialize;

/// Something that is not what its name says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Damage {
    /// The object: a file, a pack, a leaf, a chunk.
    pub object: String,
    /// What is wrong with it.
    pub what: String,
}

impl Damage {
    pub(super) fn new(object: impl fmt::Display, what: impl fmt::Display) -> Self {
        Self { object: object.to_string(), what: what.to_string() }
    }

    /// Damage that an error tells of, with the chain of its causes.
    pub(super) fn from_error(object: impl fmt::Display, error: &dyn std::error::Error) -> Self {
        let mut what = error.to_string();
        let mut next = error.source();
        while let Some(cause) = next {
            what.push_str(": ");
            what.push_str(&cause.to_string());
            next = cause.source();
        }
        Self::new(object, what)
    }
}

/// What a verification says of a disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DiskState {
    /// It holds the bytes of its release: every one was read.
    Intact,
    /// It holds other bytes, and was written to since it was pulled: a guest's work.
    Modified,
    /// Bytes of it are lost: it cannot be read, or changed without being written to.
    Damaged,
}

/// A disk that was verified.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifiedDisk {
    /// Its machine.
    pub machine: MachineName,
    /// Its name.
    pub disk: DiskName,
    /// The identity it should have.
    pub content: ContentDigest,
    /// Whether it has it.
    pub state: DiskState,
    /// The file, of a pulled directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
}

/// What a verification found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifyReport {
    /// The application.
    pub application: ApplicationName,
    /// The version.
    pub version: Version,
    /// The release's identity.
    pub release: ReleaseDigest,
    /// Its disks.
    pub disks: Vec<VerifiedDisk>,
    /// Bytes of data that were hashed.
    pub hashed_bytes: u64,
    /// What guests changed; none when nothing was written to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub modified: Vec<Damage>,
    /// All that is damaged; none when all is well.
    pub damage: Vec<Damage>,
}

impl VerifyReport {
    pub(super) fn new(release: &Release) -> Self {
        Self {
            application: release.application().clone(),
            version: release.version().clone(),
            release: release.digest(),
            disks: Vec::new(),
            hashed_bytes: 0,
            modified: Vec::new(),
            damage: Vec::new(),
        }
    }

    /// Returns the state of the whole: the worst of its disks.
    #[must_use]
    pub fn state(&self) -> DiskState {
        if !self.damage.is_empty() {
            DiskState::Damaged
        } else if self.modified.is_empty() {
            DiskState::Intact
        } else {
            DiskState::Modified
        }
    }
}

impl fmt::Display for VerifyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state() {
            DiskState::Intact => "is intact",
            DiskState::Modified => "is modified: a guest wrote to it",
            DiskState::Damaged => "is DAMAGED",
        };
        let hashed = HumanBytes(self.hashed_bytes);
        write!(f, "{}:{} {state}; {hashed} hashed", self.application, self.version)?;
        write!(f, "\n  {}", self.release)?;
        for disk in &self.disks {
            let state = match disk.state {
                DiskState::Intact => "intact  ",
                DiskState::Modified => "modified",
                DiskState::Damaged => "DAMAGED ",
            };
            write!(f, "\n  {state}  {}/{}  {}", disk.machine, disk.disk, disk.content)?;
        }
        for modified in &self.modified {
            write!(f, "\n  modified: {}: {}", modified.object, modified.what)?;
        }
        for damage in &self.damage {
            write!(f, "\n  damaged: {}: {}", damage.object, damage.what)?;
        }
        Ok(())
    }
}
