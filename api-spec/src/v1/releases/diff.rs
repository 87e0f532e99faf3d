//! Differences between two releases.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::digest::{ContentDigest, ReleaseDigest};
use crate::names::{DiskName, MachineName};

/// The differences between two releases, and the cost of moving from one to the other.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseDiff {
    /// The old release.
    pub from: ReleaseDigest,
    /// The new release.
    pub to: ReleaseDigest,
    /// The differing fields of the documents, outside machines.
    pub fields: Vec<FieldDiff>,
    /// The differing machines, by name.
    pub machines: Vec<MachineDiff>,
    /// The number of distinct chunks in `to` but not in `from`.
    pub download_chunks: u64,
    /// The stored bytes of these chunks: the download of a host that moves from `from` to `to`.
    pub download_bytes: u64,
    /// The plain bytes of these chunks.
    pub new_plain_bytes: u64,
    /// The plain bytes of data in `to` that are also present anywhere in `from`.
    pub reused_plain_bytes: u64,
}

/// The kind of a difference.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Presence {
    /// Present only in `to`.
    Added,
    /// Present only in `from`.
    Removed,
    /// Present in both, with different values.
    Changed,
}

/// A differing field.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct FieldDiff {
    /// The path of the field in the document, such as `memoryMib` or `annotations/owner`.
    pub field: String,
    /// The value in `from`, as JSON text. Absent for an added field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The value in `to`, as JSON text. Absent for a removed field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

/// A differing machine.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct MachineDiff {
    /// The machine's name.
    pub machine: MachineName,
    /// The kind of the difference.
    pub presence: Presence,
    /// The differing fields of the machine, outside disks.
    pub fields: Vec<FieldDiff>,
    /// The differing disks, by name.
    pub disks: Vec<DiskDiff>,
}

/// A differing disk.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiskDiff {
    /// The disk's name.
    pub disk: DiskName,
    /// The kind of the difference.
    pub presence: Presence,
    /// The differing fields other than the content.
    pub fields: Vec<FieldDiff>,
    /// The content in `from`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<ContentDigest>,
    /// The content in `to`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<ContentDigest>,
    /// The number of extents of `to` whose bytes differ from `from` at the same offset, at chunk
    /// granularity.
    pub changed_extents: u64,
    /// The length of these extents, in bytes.
    pub changed_bytes: u64,
    /// The plain bytes of chunks that are nowhere in `from`.
    pub new_plain_bytes: u64,
}
