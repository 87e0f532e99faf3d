//! Collections: removal of everything that no release reaches.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::digest::ReleaseDigest;
use crate::problem::Problem;

/// A request to start a collection.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({ "livePercentMin": 60 }))]
pub struct StartCollection {
    /// The rewrite threshold, in percent (0 to 100, default 60): a pack with a smaller reachable
    /// part is rewritten. 100 leaves nothing unreachable, 0 rewrites nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 100)]
    pub live_percent_min: Option<u8>,
    /// The maximum rate of copying during rewrites, in bytes per second. Unlimited by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(deserialize_with = "crate::schema::number")]
    pub rate_max: Option<u64>,
    /// True to collect even if nothing was deleted and no push failed since the last collection.
    #[serde(default)]
    pub force: bool,
}

/// The phase of a collection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum CollectionPhase {
    /// No collection is running.
    Idle,
    /// The collection reads everything that releases reach.
    Marking,
    /// The collection rewrites packs with a small reachable part.
    Repacking,
    /// The collection records the objects to remove. From now on, no push starts to rely on them.
    Condemning,
    /// The collection waits for pushes and pulls that started earlier.
    Waiting,
    /// The collection removes the recorded objects.
    Sweeping,
}

/// The totals of a collection.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CollectionTotals {
    /// The number of packs to remove.
    pub packs: u64,
    /// The length of these packs, in bytes.
    pub pack_bytes: u64,
    /// The number of packs written to replace rewritten ones.
    pub repacked: u64,
    /// The length of the new packs, in bytes.
    pub repacked_bytes: u64,
    /// The number of leaves, indexes, descriptors and release documents to remove.
    pub objects: u64,
    /// The length of these objects, in bytes.
    pub object_bytes: u64,
    /// The net reduction of the store, in bytes.
    pub freed_bytes: u64,
}

/// The result of a dry run: the effect of a collection now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CollectionPlan {
    /// The number of distinct chunks that releases reach.
    pub reachable_chunks: u64,
    /// The totals of the collection.
    pub totals: CollectionTotals,
}

/// The outcome of a collection.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CollectionOutcome {
    /// The time of the outcome, in seconds since 1970-01-01 UTC.
    pub at_secs: u64,
    /// False if the collection was skipped because nothing was deleted and no push failed.
    pub has_looked: bool,
    /// The totals of the removed objects.
    pub totals: CollectionTotals,
    /// The number of leases the collection waits for.
    pub waits_for_leases: u64,
    /// The time when the last of these leases ends unless renewed, in seconds since 1970-01-01 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_until_secs: Option<u64>,
    /// The error, if the collection failed. No reachable object was removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Problem>,
}

/// The progress of a collection.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Collection {
    /// The current phase.
    pub phase: CollectionPhase,
    /// The totals of the planned removal, as far as known.
    pub planned: CollectionTotals,
    /// The outcome of the last collection. Absent if there was none since the registry started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<CollectionOutcome>,
}

/// The storage used by one release alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseUsage {
    /// The release.
    pub digest: ReleaseDigest,
    /// The stored bytes of chunks that no other release reaches. Deleting the release frees them.
    pub own_bytes: u64,
}

/// The storage used by releases.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// The releases of the registry, all of them.
    pub releases: Vec<ReleaseUsage>,
    /// The stored bytes of chunks that several releases reach.
    pub shared_bytes: u64,
    /// The stored bytes of chunks that no release reaches. A collection removes them.
    pub unreachable_bytes: u64,
}
