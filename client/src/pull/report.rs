//! The plan and the report of a pull.

use std::fmt;
use std::path::{Path, PathBuf};

use seawall_api::digest::{ContentDigest, ReleaseDigest};
use seawall_api::names::{ApplicationName, DiskName, MachineName, Version};
use seawall_api::release::Release;
use seawall_api::units::HumanBytes;
use serde::Serialize;

use crate::directory::{Described, DiskLayout, Lockfile};
use crate::fetch::FetchStats;
use crate::room::Room;

/// The plan of a pull.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PullPlan {
    /// The application.
    pub application: ApplicationName,
    /// The version.
    pub version: Version,
    /// The digest of the release document.
    pub release: ReleaseDigest,
    /// The total length of the disks to create in bytes, or zero if the disks exist.
    pub disk_bytes: u64,
    /// The sources of the chunks.
    pub transfer: FetchStats,
    /// The required and the free space, or `None` if the disks exist.
    #[serde(flatten)]
    pub room: Option<Room>,
    /// The descriptors for hosts, with the settings that each host cannot express.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub descriptors: Vec<Described>,
}

impl PullPlan {
    pub(super) fn of(
        release: &Release,
        layouts: &[DiskLayout],
        transfer: FetchStats,
        descriptors: Vec<Described>,
    ) -> Self {
        Self {
            descriptors,
            application: release.application().clone(),
            version: release.version().clone(),
            release: release.digest(),
            disk_bytes: layouts.iter().map(|layout| layout.index().disk_len().get()).sum(),
            transfer,
            room: None,
        }
    }
}

fn write_transfer(f: &mut fmt::Formatter<'_>, stats: &FetchStats) -> fmt::Result {
    let row = |f: &mut fmt::Formatter<'_>, bytes, what: fmt::Arguments<'_>| {
        write!(f, "\n  {:>10}  {what}", HumanBytes(bytes).to_string())
    };
    row(f, stats.seeded_bytes, format_args!("already on this host"))?;
    let (stored, count) = (HumanBytes(stats.fetched_stored_bytes), stats.requests);
    let requests = if count == 1 { "request" } else { "requests" };
    let what = format_args!("downloaded, as {stored} in {count} {requests}");
    row(f, stats.fetched_plain_bytes, what)
}

impl fmt::Display for PullPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let disks = HumanBytes(self.disk_bytes);
        write!(f, "{}:{} would make {disks} of disks", self.application, self.version)?;
        write_transfer(f, &self.transfer)?;
        self.room.iter().try_for_each(|room| write!(f, "\n  {room}"))?;
        self.descriptors.iter().try_for_each(|described| write!(f, "\n  {described}"))
    }
}

/// A pulled disk.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct PulledDisk {
    /// The machine.
    pub machine: MachineName,
    /// The name of the disk.
    pub disk: DiskName,
    /// The path of the file.
    pub path: PathBuf,
    /// The digest of the content, as `b3sum` of a raw disk prints it.
    pub content: ContentDigest,
}

/// The report of a pull.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PullReport {
    /// The application.
    pub application: ApplicationName,
    /// The version.
    pub version: Version,
    /// The digest of the release document.
    pub release: ReleaseDigest,
    /// The directory.
    pub directory: PathBuf,
    /// True if the release existed and its disks were verified.
    pub already_present: bool,
    /// The pulled disks.
    pub disks: Vec<PulledDisk>,
    /// The number of data bytes on the disks, without holes.
    pub data_bytes: u64,
    /// The sources of the chunks.
    pub transfer: FetchStats,
    /// The descriptors for hosts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub descriptors: Vec<Described>,
}

impl PullReport {
    pub(super) fn pulled(
        release: &Release,
        lock: &Lockfile,
        directory: PathBuf,
        data_bytes: u64,
        transfer: FetchStats,
    ) -> Self {
        let disks = lock.disks.iter().map(|disk| PulledDisk {
            machine: disk.machine.clone(),
            disk: disk.disk.clone(),
            path: directory.join(&disk.file),
            content: disk.content,
        });
        Self {
            application: release.application().clone(),
            version: release.version().clone(),
            release: release.digest(),
            already_present: false,
            disks: disks.collect(),
            directory,
            data_bytes,
            transfer,
            descriptors: Vec::new(),
        }
    }

    pub(super) fn present(release: &Release, lock: &Lockfile, directory: &Path) -> Self {
        let report = Self::pulled(release, lock, directory.to_owned(), 0, FetchStats::default());
        Self { already_present: true, ..report }
    }
}

impl fmt::Display for PullReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let directory = self.directory.display();
        let state = if self.already_present { "was there already, verified, in" } else { "is in" };
        write!(f, "{}:{} {state} {directory}\n  {}", self.application, self.version, self.release)?;
        for disk in &self.disks {
            let name = format_args!("{}/{}", disk.machine, disk.disk);
            write!(f, "\n  {name}  {}  {}", disk.path.display(), disk.content)?;
        }
        if !self.already_present {
            write_transfer(f, &self.transfer)?;
        }
        self.descriptors.iter().try_for_each(|described| write!(f, "\n  {described}"))
    }
}
