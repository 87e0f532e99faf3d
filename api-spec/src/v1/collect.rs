//! Collections: what no release reaches any more goes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::digest::ReleaseDigest;
use crate::problem::Problem;

/// Asks for a collection.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({ "livePercentMin": 60 }))]
pub struct StartCollection {
    /// Packs of which less than this is reachable are rewritten, in percent, 0 to 100; 60 where it
    /// is not given. 100 leaves nothing unreachable, 0 rewrites nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 100)]
    pub live_percent_min: Option<u8>,
    /// How much may be copied for that, in bytes per second; no limit where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(deserialize_with = "crate::schema::number")]
    pub rate_max: Option<u64>,
    /// Looks even where nothing was deleted and no push failed since the last one.
    #[serde(default)]
    pub force: bool,
}

/// What a collection does now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum CollectionPhase {
    /// None runs.
    Idle,
    /// It reads what releases reach.
    Marking,
    /// It rewrites packs of which little is reachable.
    Repacking,
    /// It writes down what goes: from now on, no push begins to rely on it.
    Condemning,
    /// It waits for pushes and pulls that began before.
    Waiting,
    /// It removes what goes.
    Sweeping,
}

/// Quantities of a collection.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CollectionTotals {
    /// Packs that go.
    pub packs: u64,
    /// Their length, in bytes.
    pub pack_bytes: u64,
    /// Packs written for what was reachable in some of them.
    pub repacked: u64,
    /// Their length, in bytes.
    pub repacked_bytes: u64,
    /// Leaves, indexes, descriptors and release documents that go.
    pub objects: u64,
    /// Their length, in bytes.
    pub object_bytes: u64,
    /// By how much the store shrinks, in bytes.
    pub freed_bytes: u64,
}

/// What a collection would do now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CollectionPlan {
    /// How many distinct chunks releases reach.
    pub reachable_chunks: u64,
    /// What would go.
    pub totals: CollectionTotals,
}

/// How a collection ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CollectionOutcome {
    /// When, seconds since 1970-01-01 UTC.
    pub at_secs: u64,
    /// Whether it looked: where nothing was deleted and no push failed, it does not.
    pub has_looked: bool,
    /// What went.
    pub totals: CollectionTotals,
    /// How many leases it waits for.
    pub waits_for_leases: u64,
    /// When the last of them ends, unless it is renewed, seconds since 1970-01-01 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_until_secs: Option<u64>,
    /// Why it failed; then nothing that is reachable is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Problem>,
}

/// How far a collection is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Collection {
    /// What it does now.
    pub phase: CollectionPhase,
    /// What it is going to remove, as far as it knows.
    pub planned: CollectionTotals,
    /// How the last one ended; absent when there was none since the registry started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<CollectionOutcome>,
}

/// What a release occupies alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseUsage {
    /// The release.
    pub digest: ReleaseDigest,
    /// The stored bytes of chunks that no other release reaches: what deleting it frees.
    pub own_bytes: u64,
}

/// What releases occupy in the store.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Every release of the registry.
    pub releases: Vec<ReleaseUsage>,
    /// The stored bytes of chunks that several releases reach.
    pub shared_bytes: u64,
    /// The stored bytes of chunks that none reaches: a collection removes them.
    pub unreachable_bytes: u64,
}
