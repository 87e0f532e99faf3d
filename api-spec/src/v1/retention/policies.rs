//! Retention: policies that decide which releases to delete.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::digest::ReleaseDigest;
use crate::names::{ApplicationName, ChannelName, Version};
use crate::problem::Problem;
use crate::v1::DeletedRelease;

/// A retention policy: a set of independent rules, each of which keeps releases.
///
/// A release stays as long as one rule keeps it. An empty policy removes the one in force. A policy
/// without `keepLast`, `keepYoungerSecs` and `keepSupersededSecs` marks no release for deletion.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({ "keepLast": 5, "keepYoungerSecs": 2_592_000 }))]
pub struct RetentionPolicy {
    /// The number of newest releases to keep, of the application or of the channel's history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_last: Option<u32>,
    /// The number of newest prereleases to keep, only beside `keepLast`, which then does not count
    /// prereleases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_last_prereleases: Option<u32>,
    /// The time for which to keep a release after its publication, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(deserialize_with = "crate::schema::number")]
    pub keep_younger_secs: Option<u64>,
    /// The time for which to keep a release after the channel (or any channel of the application)
    /// moved on from it, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(deserialize_with = "crate::schema::number")]
    pub keep_superseded_secs: Option<u64>,
    /// The time for which a host's release is kept after the deadline of the host's last report, in
    /// seconds. The longest time in any policy of the application applies, by default 30 days.
    /// Hosts within their deadline always count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(deserialize_with = "crate::schema::number")]
    pub keep_expired_hosts_secs: Option<u64>,
}

/// A policy in force.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Policy {
    /// The channel the policy applies to. Absent for the policy of the whole application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<ChannelName>,
    /// The policy.
    pub policy: RetentionPolicy,
    /// The time when the policy was set, in seconds since 1970-01-01 UTC.
    pub set_at_secs: u64,
    /// The name of the token that set the policy. Empty without authentication.
    pub set_by: String,
}

/// The policies of an application: its own first, then the ones of its channels, by name.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Policies {
    /// The policies.
    pub policies: Vec<Policy>,
}

/// The fate of a release.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum Fate {
    /// The release stays.
    Stays,
    /// The release is to be deleted.
    Goes,
}

/// The fate of a release, with reasons.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Verdict {
    /// The version.
    pub version: Version,
    /// The release's digest.
    pub digest: ReleaseDigest,
    /// The fate.
    pub fate: Fate,
    /// The reasons, in words.
    pub reasons: Vec<String>,
}

/// The effect of an application's policies on its releases now.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetentionPlan {
    /// The application.
    pub application: ApplicationName,
    /// The verdicts on all releases, newest first.
    pub verdicts: Vec<Verdict>,
    /// The bytes of the store freed by deleting and collecting the releases, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freed_bytes: Option<u64>,
}

/// A request to delete the releases that the plan marks for deletion.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplyRetention {
    /// The releases to delete, of the ones marked for deletion. Pass the releases of a plan that
    /// was reviewed. Absent for all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub releases: Option<Vec<ReleaseDigest>>,
}

/// A release that was to be deleted and stays.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct KeptRelease {
    /// The version.
    pub version: Version,
    /// The release's digest.
    pub digest: ReleaseDigest,
    /// The reason, in words.
    pub why: String,
}

/// The outcome of applying the policies.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetentionOutcome {
    /// The deleted releases.
    pub deleted: Vec<DeletedRelease>,
    /// The releases that gained a holder since the plan was made.
    pub kept: Vec<KeptRelease>,
    /// The bytes of the store that the collection started now is expected to free. Absent if
    /// nothing was deleted or the amount is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned_bytes: Option<u64>,
    /// The error that occurred after some releases were deleted. The remaining ones are unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Problem>,
}
