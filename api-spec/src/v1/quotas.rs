//! Quotas: what an application may have.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::names::ApplicationName;

/// Sets a quota. What is absent or null is not limited.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({ "dataBytesMax": 500_000_000_000_u64, "releaseCountMax": 100 }))]
pub struct SetQuota {
    /// The data of the disks of its releases together, in bytes.
    #[serde(default)]
    #[serde(deserialize_with = "crate::schema::number")]
    pub data_bytes_max: Option<u64>,
    /// How many releases.
    #[serde(default)]
    #[serde(deserialize_with = "crate::schema::number")]
    pub release_count_max: Option<u64>,
}

/// A quota, and what is used of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Quota {
    /// The application.
    pub application: ApplicationName,
    /// The data that its releases' disks may have together, in bytes; null is no limit.
    pub data_bytes_max: Option<u64>,
    /// The data that they have: each release counts in full, whatever it shares with others.
    pub data_bytes: u64,
    /// How many releases it may have; null is no limit.
    pub release_count_max: Option<u64>,
    /// How many it has.
    pub release_count: u64,
}
