//! The report of a verification.

use std::fmt;
use std::path::PathBuf;

use seawall_api::digest::{ContentDigest, ReleaseDigest};
use seawall_api::names::{ApplicationName, DiskName, MachineName, Version};
use seawall_api::release::Release;
use seawall_api::units::HumanBytes;
use serde::Serialize;

/// A damaged object.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Damage {
    /// The object: a file, a pack, a leaf, a chunk.
    pub object: String,
    /// The defect.
    pub what: String,
}

impl Damage {
    pub(super) fn new(object: impl fmt::Display, what: impl fmt::Display) -> Self {
        Self { object: object.to_string(), what: what.to_string() }
    }

    /// Returns damage described by an error and its causes.
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

/// The state of a verified disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DiskState {
    /// Every byte was read and matches the release.
    Intact,
    /// The disk differs and was written after the pull, hence by a guest.
    Modified,
    /// The disk cannot be read, or differs without having been written.
    Damaged,
}

/// A verified disk.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifiedDisk {
    /// The machine.
    pub machine: MachineName,
    /// The name of the disk.
    pub disk: DiskName,
    /// The expected digest of the content.
    pub content: ContentDigest,
    /// The state of the disk.
    pub state: DiskState,
    /// The file of the disk in a pulled directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
}

/// The report of a verification.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifyReport {
    /// The application.
    pub application: ApplicationName,
    /// The version.
    pub version: Version,
    /// The digest of the release document.
    pub release: ReleaseDigest,
    /// The verified disks.
    pub disks: Vec<VerifiedDisk>,
    /// The number of hashed bytes of data.
    pub hashed_bytes: u64,
    /// Disks modified by guests.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub modified: Vec<Damage>,
    /// All damage, empty if the release is intact.
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

    /// Returns the state of the release: the worst state of its disks.
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
