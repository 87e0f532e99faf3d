//! The report of a copy, and of a dry run.

use std::fmt;
use std::ops::Add;

use seawall_api::digest::ReleaseDigest;
use seawall_api::index::ChunkRef;
use seawall_api::names::{ApplicationName, Version};
use seawall_api::units::HumanBytes;
use seawall_store::read::Request;
use serde::Serialize;

use super::select::SelectedRelease;
use super::{Moved, MovedChannel};

/// An amount of data that travels to the target.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Amount {
    /// The number of chunks.
    pub chunks: u64,
    /// Their plain bytes.
    pub bytes: u64,
    /// Their bytes as stored and sent.
    pub stored_bytes: u64,
    /// The number of packs; 0 in a dry run.
    pub packs: u64,
}

impl Amount {
    /// Returns the amount that requests of the source would move.
    pub(super) fn planned(requests: &[Request<ChunkRef>]) -> Self {
        let frames = || requests.iter().flat_map(|request| &request.frames);
        Self {
            chunks: frames().count() as u64,
            bytes: frames().map(|frame| u64::from(frame.want.len)).sum(),
            stored_bytes: requests.iter().map(Request::stored_bytes).sum(),
            packs: 0,
        }
    }
}

impl Add for Amount {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            chunks: self.chunks + other.chunks,
            bytes: self.bytes + other.bytes,
            stored_bytes: self.stored_bytes + other.stored_bytes,
            packs: self.packs + other.packs,
        }
    }
}

/// A copied release.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CopiedRelease {
    /// The application.
    pub application: ApplicationName,
    /// The version.
    pub version: Version,
    /// The digest of the release document.
    pub digest: ReleaseDigest,
    /// True if the target had the release already.
    pub already_present: bool,
    /// The length of disk whose data the target had, or that is a hole, in bytes.
    pub held_bytes: u64,
    /// The data that the target lacked.
    pub sent: Amount,
}

impl CopiedRelease {
    /// Returns the report of a release that the target has.
    pub(super) fn already_there(selected: &SelectedRelease) -> Self {
        let SelectedRelease { application, version, digest } = selected.clone();
        let (held_bytes, sent) = (0, Amount::default());
        Self { application, version, digest, already_present: true, held_bytes, sent }
    }
}

/// The report of a copy.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CopyReport {
    /// The releases, in the order of the copy.
    pub releases: Vec<CopiedRelease>,
    /// The channels, by application and name.
    pub channels: Vec<MovedChannel>,
    /// What a standing copy left alone, each with the reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_alone: Vec<String>,
}

impl CopyReport {
    /// Returns everything that was sent.
    #[must_use]
    pub fn sent(&self) -> Amount {
        self.releases.iter().map(|release| release.sent).fold(Amount::default(), Add::add)
    }
}

impl fmt::Display for CopyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for release in &self.releases {
            let CopiedRelease { application, version, sent, .. } = release;
            write!(f, "{application}:{version}  ")?;
            match release.already_present {
                true => writeln!(f, "already there")?,
                false => writeln!(
                    f,
                    "{} new, {} as stored",
                    HumanBytes(sent.bytes),
                    HumanBytes(sent.stored_bytes)
                )?,
            }
        }
        for MovedChannel { application, channel, outcome, .. } in &self.channels {
            let outcome = match outcome {
                Moved::Created => "created",
                Moved::Moved => "moved",
                Moved::Unchanged => "already there",
            };
            writeln!(f, "channel {application}:{channel}  {outcome}")?;
        }
        let (count, sent) =
            (self.releases.iter().filter(|it| !it.already_present).count(), self.sent());
        write!(f, "{count} of {} releases, {}", self.releases.len(), HumanBytes(sent.stored_bytes))
    }
}
