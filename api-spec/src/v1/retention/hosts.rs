//! Hosts, and the releases they run.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::digest::ReleaseDigest;
use crate::names::{ApplicationName, ChannelName, HostName, Version};

/// The shortest time to live of a host's report, in seconds.
pub const HOST_TTL_SECS_MIN: u64 = 60;
/// The longest time to live of a host's report, in seconds: 90 days.
pub const HOST_TTL_SECS_MAX: u64 = 90 * 24 * 3600;

/// A host's report of the release it runs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct RenewHost {
    /// The application.
    pub application: ApplicationName,
    /// The directory, 1 to 1024 bytes. Distinguishes several copies on one host.
    #[schema(min_length = 1, max_length = 1024, example = "/srv/webshop")]
    pub instance: String,
    /// The release.
    pub release: ReleaseDigest,
    /// The channel the host follows, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<ChannelName>,
    /// The number of disks of the release on the host.
    #[schema(maximum = 4_294_967_295_u32)]
    pub disks: u64,
    /// The validity of the report, in seconds: 60 to 7776000 (90 days).
    #[schema(minimum = 60, maximum = 7_776_000)]
    pub ttl_secs: u64,
}

/// A release on a host.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HostRun {
    /// The host.
    pub host: HostName,
    /// The application.
    pub application: ApplicationName,
    /// The directory. Distinguishes several copies on one host.
    pub instance: String,
    /// The release.
    pub release: ReleaseDigest,
    /// The version of the release.
    pub version: Version,
    /// The publish time of the release, in seconds since 1970-01-01 UTC.
    pub published_at_secs: u64,
    /// The channel the host follows, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<ChannelName>,
    /// The version the channel points to, if the channel exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel_version: Option<Version>,
    /// The number of moves of the channel since its last move to this release. Absent if the
    /// channel never pointed to the release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moves_behind: Option<u64>,
    /// The number of disks of the release on the host.
    pub disks: u64,
    /// The time of the first report of this release, in seconds since 1970-01-01 UTC.
    pub since_secs: u64,
    /// The time of the last report, in seconds since 1970-01-01 UTC.
    pub renewed_at_secs: u64,
    /// The end of the report's validity, in seconds since 1970-01-01 UTC.
    pub deadline_secs: u64,
    /// True if the report has expired. The host may no longer run the release.
    pub is_expired: bool,
}

/// A page of hosts, ordered by name, application and instance.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HostPage {
    /// The releases on the hosts of the page.
    pub hosts: Vec<HostRun>,
    /// The value of `after` for the next page. Absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<HostName>,
}
