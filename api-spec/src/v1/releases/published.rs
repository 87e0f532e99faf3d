//! Releases.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::digest::ReleaseDigest;
use crate::names::{ChannelName, MachineName, PinName, Version};

/// A release in a listing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseSummary {
    /// The version.
    pub version: Version,
    /// The release's digest.
    pub digest: ReleaseDigest,
    /// The publish time, in seconds since 1970-01-01 UTC.
    pub published_at_secs: u64,
    /// The name of the publisher's token. Empty without authentication.
    pub published_by: String,
    /// The machines.
    pub machines: Vec<MachineName>,
    /// The total length of the disks, in bytes.
    pub disk_bytes: u64,
    /// The total data of the disks, in bytes, without holes and with repeats counted.
    pub data_bytes: u64,
    /// The channels that point to the release now.
    pub channels: Vec<ChannelName>,
    /// The missing or damaged objects, by path in the store. Absent for a sound release.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<String>,
    /// The channels that pointed to the release a few moves ago and may need to roll back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recent_on: Vec<ChannelName>,
    /// The names of the release's pins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pins: Vec<PinName>,
    /// The number of hosts that run the release.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub host_count: u64,
}

/// Returns true if a count is omitted from the JSON text.
#[allow(clippy::trivially_copy_pass_by_ref)] // serde wants it so
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// A deleted release. The version is never used again.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeletedRelease {
    /// The version.
    pub version: Version,
    /// The release's digest.
    pub digest: ReleaseDigest,
    /// The time of deletion, in seconds since 1970-01-01 UTC.
    pub deleted_at_secs: u64,
    /// The name of the token that deleted the release. Empty without authentication.
    pub deleted_by: String,
}

/// A page of releases, newest first.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleasePage {
    /// The releases.
    pub releases: Vec<ReleaseSummary>,
    /// The value of `after` for the next page. Absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Version>,
}

/// The answer to a publish: 201 for a new release, 200 for one published before.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Published {
    /// The release's identity.
    pub digest: ReleaseDigest,
    /// True if the same release was published before.
    pub already_present: bool,
}
