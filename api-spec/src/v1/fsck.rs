//! Checks of a whole registry, and what they found.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::digest::ReleaseDigest;
use crate::names::{ApplicationName, Version};

/// Asks to check every object, reference and row: begins, or goes on where a check broke off.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({ "rateBytesPerSec": 50_000_000, "restart": false }))]
pub struct StartFsck {
    /// Read at most this many bytes of objects a second; 0 for as fast as one reader goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(deserialize_with = "crate::schema::number")]
    pub rate_bytes_per_sec: Option<u64>,
    /// Begin anew, even where a check broke off.
    #[serde(default)]
    pub restart: bool,
}

/// What a check does now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum FsckState {
    /// There was none yet.
    Never,
    /// It reads.
    Running,
    /// Whoever ran it is gone: starting it goes on where it broke off.
    Interrupted,
    /// It was told to stop: starting it goes on.
    Stopped,
    /// The store or the catalog failed it; `failure` says how. Starting it goes on.
    Failed,
    /// It has looked at everything.
    Complete,
}

/// What is to be made of a finding.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum FindingClass {
    /// Something that is needed is gone or is not what its name says.
    Damage,
    /// The same, and it was mended at once from what the registry itself knows.
    Mended,
    /// Nobody needs it: not damage.
    Reclaimable,
}

/// Something that a check found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// `pack`, `leaf`, `index`, `release`, `descriptor`, `name` or `catalog`.
    pub kind: String,
    /// Which one: its path in the store, or the row.
    pub object: String,
    /// What is wrong with it.
    pub what: String,
    /// What is to be made of it.
    pub class: FindingClass,
}

/// How far a check is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Fsck {
    /// What it does.
    pub state: FsckState,
    /// Counts checks from 1; 0 where there was none.
    pub run: u64,
    /// What it looks at now.
    pub phase: String,
    /// When it began, seconds since 1970-01-01 UTC.
    pub started_at_secs: u64,
    /// When it had looked at everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at_secs: Option<u64>,
    /// Objects and rows it has looked at.
    pub objects: u64,
    /// Bytes of objects it has read and hashed.
    pub bytes: u64,
    /// About how many there were to read when it began.
    pub total_bytes: u64,
    /// How many findings are damage, be it mended or not.
    pub damage_count: u64,
    /// How many objects nobody needs.
    pub reclaimable_count: u64,
    /// Their bytes.
    pub reclaimable_bytes: u64,
    /// What it found: damage first; of what is reclaimable some examples.
    pub findings: Vec<Finding>,
    /// Findings of damage that this answer has no room for.
    pub findings_left_out: u64,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// When the last check that came to its end did so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_complete_at_secs: Option<u64>,
}

/// Something that a release needs and the registry does not hold, or not as it should be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LostObject {
    /// Its path in the store.
    pub object: String,
    /// What is wrong with it.
    pub what: String,
    /// The disks of the release that need it, as `machine/disk`, in the order of its document: to
    /// push any release with the content of these brings it back. Empty where all of the release
    /// needs it, or the document cannot be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disks: Vec<String>,
}

/// A release that cannot be pulled whole.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DamagedRelease {
    /// Its application.
    pub application: ApplicationName,
    /// Its version.
    pub version: Version,
    /// Its identity.
    pub digest: ReleaseDigest,
    /// What it lacks; none when it is whole.
    pub lost: Vec<LostObject>,
}

/// Every release that is known to be damaged.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Damage {
    /// The releases; at most [`DAMAGED_RELEASES_MAX`] of them.
    pub releases: Vec<DamagedRelease>,
    /// There are more.
    pub is_cut: bool,
}

/// The most damaged releases one answer names.
pub const DAMAGED_RELEASES_MAX: u32 = 1000;
/// The most findings one answer names.
pub const FINDINGS_MAX: u32 = 10_000;
