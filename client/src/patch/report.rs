//! The plan and the report of a patch.

use std::fmt;
use std::path::{Path, PathBuf};

use seawall_api::digest::ReleaseDigest;
use seawall_api::names::{ApplicationName, Version};
use seawall_api::units::HumanBytes;
use serde::Serialize;

use super::plan::Sums;
use crate::directory::{Described, Lockfile};
use crate::fetch::FetchStats;
use crate::room::Room;

/// One side of a patch.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Side {
    /// The version.
    pub version: Version,
    /// The digest of the release document.
    pub digest: ReleaseDigest,
}

impl Side {
    fn of(lock: &Lockfile) -> Self {
        Self { version: lock.version.clone(), digest: lock.release }
    }
}

/// The plan of a patch.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PatchPlan {
    /// The application.
    pub application: ApplicationName,
    /// The current release of the directory.
    pub from: Side,
    /// The planned release of the directory.
    pub to: Side,
    /// The planned changes of the disks.
    pub disks: Sums,
    /// The planned transfer.
    pub transfer: FetchStats,
    /// The minimum space for the journal and the disks, and the free space.
    #[serde(flatten)]
    pub room: Option<Room>,
    /// The disks in use by another process, which a patch would refuse.
    pub in_use: Vec<PathBuf>,
}

impl PatchPlan {
    pub(super) fn of(old: &Lockfile, new: &Lockfile, disks: Sums, transfer: FetchStats) -> Self {
        Self {
            application: new.application.clone(),
            from: Side::of(old),
            to: Side::of(new),
            disks,
            transfer,
            room: None,
            in_use: Vec::new(),
        }
    }
}

fn write_sums(f: &mut fmt::Formatter<'_>, sums: &Sums, transfer: &FetchStats) -> fmt::Result {
    let stored = HumanBytes(transfer.fetched_stored_bytes);
    for (bytes, what) in [
        (sums.in_place_bytes, "unchanged".to_owned()),
        (sums.moved_bytes, "moved".to_owned()),
        (sums.fetched_bytes, format!("downloaded, as {stored}")),
        (sums.punched_bytes, "freed".to_owned()),
    ] {
        write!(f, "\n  {:>10}  {what}", HumanBytes(bytes).to_string())?;
    }
    Ok(())
}

impl fmt::Display for PatchPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.from.digest == self.to.digest {
            let version = &self.to.version;
            return write!(f, "{}: {version} is there already: nothing to do", self.application);
        }
        write!(f, "{}: {} would become {}", self.application, self.from.version, self.to.version)?;
        write_sums(f, &self.disks, &self.transfer)?;
        self.room.iter().try_for_each(|room| write!(f, "\n  {room}"))?;
        self.in_use.iter().try_for_each(|path| {
            write!(
                f,
                "\n  {} is in use: stop the process that has it open before the patch",
                path.display()
            )
        })
    }
}

/// The report of a patch.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PatchReport {
    /// The application.
    pub application: ApplicationName,
    /// The old release of the directory.
    pub from: Side,
    /// The new release of the directory.
    pub to: Side,
    /// The directory.
    pub directory: PathBuf,
    /// True if an interrupted patch was completed first.
    pub rolled_forward: bool,
    /// The changes of the disks.
    pub disks: Sums,
    /// The transfer.
    pub transfer: FetchStats,
    /// The rewritten descriptors for hosts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub descriptors: Vec<Described>,
    /// The guests' overlays on disks of the old release, which were set aside.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub overlays: Vec<PathBuf>,
}

impl PatchReport {
    pub(super) fn patched(
        old: &Lockfile,
        new: &Lockfile,
        directory: &Path,
        disks: Sums,
        transfer: FetchStats,
    ) -> Self {
        Self {
            application: new.application.clone(),
            from: Side::of(old),
            to: Side::of(new),
            directory: directory.to_owned(),
            rolled_forward: false,
            disks,
            transfer,
            descriptors: Vec::new(),
            overlays: Vec::new(),
        }
    }
}

impl fmt::Display for PatchReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let directory = self.directory.display();
        let (application, from, to) = (&self.application, &self.from.version, &self.to.version);
        if self.rolled_forward {
            writeln!(f, "{directory}: an interrupted patch was completed")?;
        }
        if self.from.digest == self.to.digest && !self.rolled_forward {
            return write!(
                f,
                "{application}: {to} is in {directory} already\n  {}",
                self.to.digest
            );
        }
        write!(f, "{application}: {from} is now {to} in {directory}\n  {}", self.to.digest)?;
        write_sums(f, &self.disks, &self.transfer)?;
        self.descriptors.iter().try_for_each(|described| write!(f, "\n  {described}"))?;
        self.overlays.iter().try_for_each(|aside| {
            let aside = aside.display();
            write!(f, "\n  the overlays on {from} are kept in {aside}; the start scripts use ")?;
            write!(f, "them again after a patch back to {from}")
        })
    }
}
