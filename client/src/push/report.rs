//! The report of a push.

use std::fmt;
use std::ops::AddAssign;

use seawall_api::digest::{ContentDigest, ReleaseDigest};
use seawall_api::names::{ApplicationName, DiskName, MachineName, Version};
use seawall_api::release::Release;
use seawall_api::units::HumanBytes;
use serde::Serialize;

use super::sources::Source;
use crate::disk::DiskSource;
use crate::ovf::Unmapped;

/// The amounts of reused and sent data, in plain bytes except where noted.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reuse {
    /// The number of disks that are unchanged since their last scan and held by the registry.
    pub unchanged_disks: u64,
    /// The bytes in leaves of the parent release.
    pub parent_bytes: u64,
    /// The bytes in leaves and chunks that the registry held from another release or an earlier
    /// attempt.
    pub registry_bytes: u64,
    /// The bytes in chunks that repeat within this push.
    pub repeated_bytes: u64,
    /// The bytes in sent chunks.
    pub sent_bytes: u64,
    /// The number of sent chunks.
    pub sent_chunks: u64,
    /// The stored bytes of the sent packs.
    pub sent_stored_bytes: u64,
    /// The number of sent packs.
    pub sent_packs: u64,
}

impl AddAssign for Reuse {
    fn add_assign(&mut self, other: Self) {
        self.unchanged_disks += other.unchanged_disks;
        self.parent_bytes += other.parent_bytes;
        self.registry_bytes += other.registry_bytes;
        self.repeated_bytes += other.repeated_bytes;
        self.sent_bytes += other.sent_bytes;
        self.sent_chunks += other.sent_chunks;
        self.sent_stored_bytes += other.sent_stored_bytes;
        self.sent_packs += other.sent_packs;
    }
}

/// A pushed disk.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct PushedDisk {
    /// The machine.
    pub machine: MachineName,
    /// The name of the disk.
    pub disk: DiskName,
    /// The length in bytes.
    pub len: u64,
    /// The digest of the content, as `b3sum` of the raw disk prints it.
    pub content: ContentDigest,
    /// True if the disk was not read, because its file is unchanged since its last scan.
    pub recalled: bool,
    /// The assumed format of the disk's file, and every file that was read for the disk.
    #[serde(flatten)]
    pub source: DiskSource,
}

/// The report of a push.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PushReport {
    /// The application.
    pub application: ApplicationName,
    /// The version.
    pub version: Version,
    /// The digest of the release document.
    pub digest: ReleaseDigest,
    /// True if the same release existed before.
    pub already_present: bool,
    /// The pushed disks.
    pub disks: Vec<PushedDisk>,
    /// The amounts of reused and sent data.
    pub reuse: Reuse,
    /// The parts of a package that the release does not carry, or carries changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unmapped: Vec<Unmapped>,
}

pub(super) fn of(
    release: &Release,
    sources: &[Source],
    already_present: bool,
    reuse: Reuse,
) -> PushReport {
    let disks = release.disks().zip(sources);
    PushReport {
        application: release.application().clone(),
        version: release.version().clone(),
        digest: release.digest(),
        already_present,
        disks: disks
            .map(|((machine, disk), source)| PushedDisk {
                machine: machine.name.clone(),
                disk: disk.name.clone(),
                len: disk.len,
                content: disk.content,
                recalled: source.is_recalled(),
                source: source.taken_for().clone(),
            })
            .collect(),
        reuse,
        unmapped: Vec::new(),
    }
}

impl fmt::Display for PushReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.already_present { "was there already" } else { "is published" };
        writeln!(f, "{}:{} {state}", self.application, self.version)?;
        writeln!(f, "  {}", self.digest)?;
        for disk in &self.disks {
            let how = if disk.recalled { ", not read: unchanged since its last scan" } else { "" };
            let (machine, name, len) = (&disk.machine, &disk.disk, HumanBytes(disk.len));
            writeln!(f, "  {machine}/{name}  {len}  {}{how}", disk.content)?;
            writeln!(f, "    read as {}", disk.source)?;
        }
        for unmapped in &self.unmapped {
            writeln!(f, "  not mapped: {unmapped}")?;
        }
        let reuse = &self.reuse;
        for (bytes, why) in [
            (reuse.parent_bytes, "unchanged since the parent release"),
            (reuse.registry_bytes, "already in the registry"),
            (reuse.repeated_bytes, "repeats within this push"),
        ] {
            if bytes > 0 {
                writeln!(f, "  {:>10}  {why}", HumanBytes(bytes).to_string())?;
            }
        }
        let sent = HumanBytes(reuse.sent_bytes).to_string();
        if reuse.sent_packs == 0 {
            return write!(f, "  {sent:>10}  sent");
        }
        let stored = HumanBytes(reuse.sent_stored_bytes);
        let counted =
            |count: u64, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        let chunks = counted(reuse.sent_chunks, "chunk");
        let packs = counted(reuse.sent_packs, "pack");
        write!(f, "  {sent:>10}  sent as {stored}: {chunks} in {packs}")
    }
}
