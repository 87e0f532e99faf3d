//! Retention: which releases stay, and which go.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::DeletedRelease;
use crate::digest::ReleaseDigest;
use crate::names::{ApplicationName, ChannelName, Version};
use crate::problem::Problem;

/// What keeps releases, each rule on its own: a release stays while one of them keeps it. A policy
/// without a rule that keeps is none, and removes the one that was set.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({ "keepLast": 5, "keepYoungerSecs": 2_592_000 }))]
pub struct RetentionPolicy {
    /// The newest this many: of the application, or of those that the channel pointed at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_last: Option<u32>,
    /// The newest this many prereleases; where it is given, `keepLast` counts no prereleases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_last_prereleases: Option<u32>,
    /// Those published less than this many seconds ago.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(deserialize_with = "crate::schema::number")]
    pub keep_younger_secs: Option<u64>,
    /// Those that the channel, or any channel of the application, left less than this many seconds
    /// ago.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(deserialize_with = "crate::schema::number")]
    pub keep_superseded_secs: Option<u64>,
    /// How long the release of a host that has not been heard of since its deadline stays; 30 days
    /// where no policy of the application says so. Hosts within their deadline always count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(deserialize_with = "crate::schema::number")]
    pub keep_expired_hosts_secs: Option<u64>,
}

/// A policy, and who set it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Policy {
    /// The channel whose releases it is for; absent for all of the application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<ChannelName>,
    /// What it keeps.
    pub policy: RetentionPolicy,
    /// When it was set, seconds since 1970-01-01 UTC.
    pub set_at_secs: u64,
    /// Who set it: the name of the token used; empty without authentication.
    pub set_by: String,
}

/// The policies of an application: its own first, then those of its channels by name.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Policies {
    /// The policies.
    pub policies: Vec<Policy>,
}

/// What becomes of a release.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum Fate {
    /// It stays.
    Stays,
    /// It goes.
    Goes,
}

/// What becomes of a release, and why.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Verdict {
    /// Its version.
    pub version: Version,
    /// Its identity.
    pub digest: ReleaseDigest,
    /// What becomes of it.
    pub fate: Fate,
    /// Why, in words.
    pub reasons: Vec<String>,
}

/// What the policies of an application make of its releases now.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetentionPlan {
    /// The application.
    pub application: ApplicationName,
    /// Every release, newest first.
    pub verdicts: Vec<Verdict>,
    /// What deleting and collecting those that go would free, in bytes of the store; absent where
    /// the registry cannot tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freed_bytes: Option<u64>,
}

/// Asks to delete what the plan says goes.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplyRetention {
    /// Of what goes, only these: those of a plan that somebody read. All of it where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub releases: Option<Vec<ReleaseDigest>>,
}

/// A release that was to go, and stays.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct KeptRelease {
    /// Its version.
    pub version: Version,
    /// Its identity.
    pub digest: ReleaseDigest,
    /// Why it stays, in words.
    pub why: String,
}

/// What was deleted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetentionOutcome {
    /// The releases that are gone.
    pub deleted: Vec<DeletedRelease>,
    /// Those that were to go, and that somebody began to hold meanwhile.
    pub kept: Vec<KeptRelease>,
    /// What the collection that begins now is to free, in bytes of the store; absent where nothing
    /// was deleted, or the registry cannot tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned_bytes: Option<u64>,
    /// What failed when something was deleted already: the rest is as it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Problem>,
}
