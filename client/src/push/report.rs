//! What a push did.

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

/// What was reused and what was sent, in plain bytes of data unless it says otherwise.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reuse {
    /// In disks that did not change since they were scanned, and that the registry holds.
    pub unchanged_disks: u64,
    /// In leaves of the parent release.
    pub parent_bytes: u64,
    /// In leaves and chunks that the registry held for any release, or from an earlier try.
    pub registry_bytes: u64,
    /// In chunks that occur more than once in this push.
    pub repeated_bytes: u64,
    /// In chunks that were sent.
    pub sent_bytes: u64,
    /// Chunks that were sent.
    pub sent_chunks: u64,
    /// Bytes of the packs that carried them.
    pub sent_stored_bytes: u64,
    /// Packs that carried them.
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

/// A disk of a push.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct PushedDisk {
    /// Its machine.
    pub machine: MachineName,
    /// Its name.
    pub disk: DiskName,
    /// Its length in bytes.
    pub len: u64,
    /// Its identity; `b3sum` of the raw disk prints it.
    pub content: ContentDigest,
    /// It was not read: its file did not change since the last scan.
    pub recalled: bool,
    /// What its file was taken for, and every file that was read for it.
    #[serde(flatten)]
    pub source: DiskSource,
}

/// What a push did.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PushReport {
    /// The application.
    pub application: ApplicationName,
    /// The version.
    pub version: Version,
    /// The release's identity.
    pub digest: ReleaseDigest,
    /// The same release was there before.
    pub already_present: bool,
    /// Its disks.
    pub disks: Vec<PushedDisk>,
    /// What was reused and what was sent.
    pub reuse: Reuse,
    /// What of a package the release does not carry, or carries changed.
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
            writeln!(f, "    taken for {}", disk.source)?;
        }
        for Unmapped { section, machine, what, why } in &self.unmapped {
            let of = machine.as_ref().map_or(String::new(), |machine| format!(" of {machine}"));
            writeln!(f, "  not mapped: {section}{of}: {what}: {why}")?;
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
