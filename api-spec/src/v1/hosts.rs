//! Hosts: which of them runs which release.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::digest::ReleaseDigest;
use crate::names::{ApplicationName, ChannelName, HostName, Version};

/// The shortest time that a host may ask to be remembered for, in seconds.
pub const HOST_TTL_SECS_MIN: u64 = 60;
/// The longest, in seconds: 90 days.
pub const HOST_TTL_SECS_MAX: u64 = 90 * 24 * 3600;

/// A host says what it runs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct RenewHost {
    /// The application.
    pub application: ApplicationName,
    /// What tells two copies on one host apart: the directory, 1 to 1024 bytes.
    #[schema(min_length = 1, max_length = 1024, example = "/srv/webshop")]
    pub instance: String,
    /// The release it runs.
    pub release: ReleaseDigest,
    /// The channel it follows, where it follows one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<ChannelName>,
    /// How many disks it has of it.
    #[schema(maximum = 4_294_967_295_u32)]
    pub disks: u64,
    /// How long this holds, in seconds, 60 to 7776000 (90 days).
    #[schema(minimum = 60, maximum = 7_776_000)]
    pub ttl_secs: u64,
}

/// A release that a host runs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HostRun {
    /// The host.
    pub host: HostName,
    /// The application.
    pub application: ApplicationName,
    /// What tells two copies on one host apart: the directory.
    pub instance: String,
    /// The release.
    pub release: ReleaseDigest,
    /// That release's version.
    pub version: Version,
    /// When that release was published, seconds since 1970-01-01 UTC.
    pub published_at_secs: u64,
    /// The channel it follows, where it follows one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<ChannelName>,
    /// Where that channel points, where there is such a channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel_version: Option<Version>,
    /// How many moves that channel has made since it pointed at this release; absent where it never
    /// did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moves_behind: Option<u64>,
    /// How many disks it has of it.
    pub disks: u64,
    /// Since when it runs this release, seconds since 1970-01-01 UTC.
    pub since_secs: u64,
    /// When it said so last.
    pub renewed_at_secs: u64,
    /// Until when that holds.
    pub deadline_secs: u64,
    /// The deadline has passed: it may not run it any more.
    pub is_expired: bool,
}

/// A page of hosts, by name, then application and instance.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HostPage {
    /// What they run.
    pub hosts: Vec<HostRun>,
    /// Pass as `after` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<HostName>,
}
