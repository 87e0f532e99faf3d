//! Checks of a whole registry, and their findings.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::digest::ReleaseDigest;
use crate::names::{ApplicationName, Version};

/// A request to check every object, reference and row.
///
/// Resumes the last check if it did not complete. Otherwise starts a new one.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({ "rateBytesPerSec": 50_000_000, "restart": false }))]
pub struct StartFsck {
    /// The maximum read rate, in bytes per second. 0 for no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(deserialize_with = "crate::schema::number")]
    pub rate_bytes_per_sec: Option<u64>,
    /// True to start over instead of resuming an incomplete check.
    #[serde(default)]
    pub restart: bool,
}

/// The state of a check.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum FsckState {
    /// There was no check yet.
    Never,
    /// The check is running.
    Running,
    /// The process that ran the check is gone. Starting a check resumes it.
    Interrupted,
    /// The check was stopped on request. Starting a check resumes it.
    Stopped,
    /// The store or the catalog failed; see `failure`. Starting a check resumes it.
    Failed,
    /// The check is complete.
    Complete,
}

/// The class of a finding.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum FindingClass {
    /// Something required is missing or does not match its name.
    Damage,
    /// Damage, repaired at once from the registry's own data.
    Mended,
    /// Unreferenced data. This is not damage.
    Reclaimable,
}

/// A finding of a check.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The kind of object: `pack`, `leaf`, `index`, `release`, `descriptor`, `name` or `catalog`.
    pub kind: String,
    /// The object: its path in the store, or the row.
    pub object: String,
    /// The problem with the object.
    pub what: String,
    /// The class of the finding.
    pub class: FindingClass,
}

/// The progress and the findings of a check.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Fsck {
    /// The state of the check.
    pub state: FsckState,
    /// The number of the check, from 1. 0 if there was none.
    pub run: u64,
    /// The current phase.
    pub phase: String,
    /// The start time, in seconds since 1970-01-01 UTC.
    pub started_at_secs: u64,
    /// The time of completion, in seconds since 1970-01-01 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at_secs: Option<u64>,
    /// The number of objects and rows checked.
    pub objects: u64,
    /// The bytes of objects read and hashed.
    pub bytes: u64,
    /// The approximate number of bytes to read, as of the start.
    pub total_bytes: u64,
    /// The number of findings of damage, repaired or not.
    pub damage_count: u64,
    /// The number of unreferenced objects.
    pub reclaimable_count: u64,
    /// The bytes of unreferenced objects.
    pub reclaimable_bytes: u64,
    /// The findings: damage first, then some examples of unreferenced data.
    pub findings: Vec<Finding>,
    /// The number of findings of damage omitted from this answer.
    pub findings_left_out: u64,
    /// The error that ended the check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// The completion time of the last complete check, in seconds since 1970-01-01 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_complete_at_secs: Option<u64>,
}

/// An object that a release needs and that is missing or damaged.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LostObject {
    /// The path of the object in the store.
    pub object: String,
    /// The problem with the object.
    pub what: String,
    /// The disks that need the object, as `machine/disk`, in the order of the document. Pushing any
    /// release with the content of these disks restores the object. Empty if the whole release
    /// needs the object, or if the document cannot be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disks: Vec<String>,
}

/// A release that cannot be pulled completely.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DamagedRelease {
    /// The application.
    pub application: ApplicationName,
    /// The version.
    pub version: Version,
    /// The release's digest.
    pub digest: ReleaseDigest,
    /// The missing or damaged objects. Empty for a sound release.
    pub lost: Vec<LostObject>,
}

/// The releases known to be damaged.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Damage {
    /// The releases, at most 1000.
    pub releases: Vec<DamagedRelease>,
    /// True if more releases are damaged than listed.
    pub is_cut: bool,
}

/// The maximum number of damaged releases per answer.
pub const DAMAGED_RELEASES_MAX: u32 = 1000;
/// The maximum number of findings per answer.
pub const FINDINGS_MAX: u32 = 10_000;
