//! Releases.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::digest::ReleaseDigest;
use crate::names::{ChannelName, MachineName, PinName, Version};

/// A release as a listing shows it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseSummary {
    /// Its version.
    pub version: Version,
    /// Its identity.
    pub digest: ReleaseDigest,
    /// When it was published, seconds since 1970-01-01 UTC.
    pub published_at_secs: u64,
    /// Who published it: the name of the token used; empty without authentication.
    pub published_by: String,
    /// Its machines.
    pub machines: Vec<MachineName>,
    /// Sum of its disks' lengths, in bytes.
    pub disk_bytes: u64,
    /// Sum of its disks' data, holes left out and repeats counted, in bytes.
    pub data_bytes: u64,
    /// The channels that point at it now.
    pub channels: Vec<ChannelName>,
    /// What it is known to lack, by path in the store; absent when it is whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<String>,
    /// The channels that pointed at it a few moves ago, and may want to go back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recent_on: Vec<ChannelName>,
    /// Its pins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pins: Vec<PinName>,
    /// How many hosts run it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub host_count: u64,
}

/// Whether a count may be left out.
#[allow(clippy::trivially_copy_pass_by_ref)] // serde wants it so
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// A release that was deleted: its version is never used again.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeletedRelease {
    /// Its version.
    pub version: Version,
    /// Its identity.
    pub digest: ReleaseDigest,
    /// When it was deleted, seconds since 1970-01-01 UTC.
    pub deleted_at_secs: u64,
    /// Who deleted it: the name of the token used; empty without authentication.
    pub deleted_by: String,
}

/// A page of releases, newest first.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleasePage {
    /// The releases.
    pub releases: Vec<ReleaseSummary>,
    /// Pass as `after` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Version>,
}

/// The answer to a publish: 201 when the release is new, 200 when it was there.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Published {
    /// The release's identity.
    pub digest: ReleaseDigest,
    /// It was published before, with this very content.
    pub already_present: bool,
}
