//! Mirrors: standing orders to copy releases from or to another registry.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::names::{ApplicationPattern, ChannelName, MirrorName};

/// The direction in which a mirror copies.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MirrorDirection {
    /// From the other registry to this one.
    From,
    /// From this registry to the other one.
    To,
}

impl MirrorDirection {
    /// All directions.
    pub const ALL: [Self; 2] = [Self::From, Self::To];

    /// Returns the direction's text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::From => "from",
            Self::To => "to",
        }
    }
}

/// A request to add a mirror.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({
    "name": "site-east",
    "direction": "to",
    "url": "https://east.example",
    "applications": ["team/*"],
    "channels": ["stable"],
    "everySecs": 900
}))]
pub struct NewMirror {
    /// The name.
    pub name: MirrorName,
    /// The direction.
    pub direction: MirrorDirection,
    /// The http:// or https:// URL of the other registry.
    pub url: String,
    /// The applications to copy, at least one pattern.
    pub applications: Vec<ApplicationPattern>,
    /// The channels to copy, with the releases that they point at. Empty for all channels and all
    /// releases.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<ChannelName>,
    /// The interval between the starts of runs, in seconds.
    pub every_secs: u64,
    /// The maximum rate of copied data, in stored bytes per second. Absent for no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_sec_max: Option<u64>,
    /// True to delete releases in the target that were deleted in the source.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deletes: bool,
    /// True to move channels in the target that something else than this mirror moved.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overrides_channels: bool,
    /// The token for the other registry. Never returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// A number of releases and their data.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize, ToSchema)]
pub struct MirrorTotals {
    /// The number of releases.
    pub releases: u64,
    /// The data as stored and sent, in bytes.
    pub bytes: u64,
}

/// The lag of the target.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize, ToSchema)]
pub struct MirrorLag {
    /// The number of releases that the target lacks, as of the last comparison.
    pub releases: u64,
    /// The data that these releases would bring, in stored bytes.
    pub bytes: u64,
    /// The time since the start of the last complete run, in seconds; without one, since the mirror
    /// was added. What was released before that moment is in the target.
    pub secs: u64,
}

/// The status of a mirror, the same from all processes of the registry.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MirrorStatus {
    /// True while a run is in progress.
    pub running: bool,
    /// The start of the current or last run, in seconds since 1970-01-01 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_started_at_secs: Option<u64>,
    /// The end of the last complete run, in seconds since 1970-01-01 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_succeeded_at_secs: Option<u64>,
    /// The error of the last run. Absent after a complete run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// The releases and the data that the current or last run copied.
    pub copied: MirrorTotals,
    /// The releases and the data that all runs copied.
    pub copied_in_all: MirrorTotals,
    /// The number of releases that all runs deleted in the target.
    pub deleted_in_all: u64,
    /// The lag of the target.
    pub behind: MirrorLag,
    /// The channels and releases that the last run left alone, each with the reason; at most 100.
    #[serde(default)]
    pub left_alone: Vec<String>,
    /// The number of the last request for a run that has been served, or is being served.
    pub served: u64,
}

/// A mirror. The token is never returned.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Mirror {
    /// The name.
    pub name: MirrorName,
    /// The direction.
    pub direction: MirrorDirection,
    /// The URL of the other registry.
    pub url: String,
    /// The applications to copy.
    pub applications: Vec<ApplicationPattern>,
    /// The channels to copy. Empty for all channels and all releases.
    pub channels: Vec<ChannelName>,
    /// The interval between the starts of runs, in seconds.
    pub every_secs: u64,
    /// The maximum rate of copied data, in stored bytes per second. Absent for no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_sec_max: Option<u64>,
    /// True to delete releases in the target that were deleted in the source.
    pub deletes: bool,
    /// True to move channels in the target that something else than this mirror moved.
    pub overrides_channels: bool,
    /// True if the mirror has a token for the other registry.
    pub has_token: bool,
    /// The time when the mirror was added, in seconds since 1970-01-01 UTC.
    pub created_at_secs: u64,
    /// The name of the token that added the mirror. Empty without authentication.
    pub created_by: String,
    /// The status.
    pub status: MirrorStatus,
}

/// All mirrors, by name.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct MirrorPage {
    /// The mirrors.
    pub mirrors: Vec<Mirror>,
}

/// A request for a run, which a process that serves the registry begins within seconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct MirrorRequest {
    /// The number of the request, which `served` reaches when its run begins.
    pub request: u64,
}
