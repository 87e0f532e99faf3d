//! What differs between two releases.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::digest::{ContentDigest, ReleaseDigest};
use crate::names::{DiskName, MachineName};

/// What differs between two releases, and what moving from one to the other costs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseDiff {
    /// The release compared from.
    pub from: ReleaseDigest,
    /// The release compared to.
    pub to: ReleaseDigest,
    /// Fields of the documents outside machines that differ.
    pub fields: Vec<FieldDiff>,
    /// Machines that differ, by name.
    pub machines: Vec<MachineDiff>,
    /// Distinct chunks that `to` has and `from` has not.
    pub download_chunks: u64,
    /// Their stored bytes: what a host on `from` must download to be on `to`.
    pub download_bytes: u64,
    /// Their plain bytes.
    pub new_plain_bytes: u64,
    /// Plain bytes of `to`'s data that `from` has somewhere.
    pub reused_plain_bytes: u64,
}

/// In which of two releases something is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Presence {
    /// Only in `to`.
    Added,
    /// Only in `from`.
    Removed,
    /// In both, and different.
    Changed,
}

/// A field that differs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct FieldDiff {
    /// Its path in the document, `memoryMib` or `annotations/owner`.
    pub field: String,
    /// Its value in `from`, as JSON text; absent where it is added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Its value in `to`, as JSON text; absent where it is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

/// A machine that differs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct MachineDiff {
    /// Its name.
    pub machine: MachineName,
    /// Where it is.
    pub presence: Presence,
    /// Descriptor fields that differ, outside disks.
    pub fields: Vec<FieldDiff>,
    /// Disks that differ, by name.
    pub disks: Vec<DiskDiff>,
}

/// A disk that differs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiskDiff {
    /// Its name.
    pub disk: DiskName,
    /// Where it is.
    pub presence: Presence,
    /// Fields other than content that differ.
    pub fields: Vec<FieldDiff>,
    /// Its content in `from`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<ContentDigest>,
    /// Its content in `to`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<ContentDigest>,
    /// Runs of `to` that hold other bytes than `from` at the same offset, at chunk granularity.
    pub changed_extents: u64,
    /// Bytes in those runs.
    pub changed_bytes: u64,
    /// Plain bytes of chunks that are nowhere in `from`.
    pub new_plain_bytes: u64,
}
