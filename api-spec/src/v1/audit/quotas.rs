//! Quotas: limits per application.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::names::ApplicationName;

/// A request to set a quota. Absent or null means unlimited.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({ "dataBytesMax": 500_000_000_000_u64, "releaseCountMax": 100 }))]
pub struct SetQuota {
    /// The maximum amount of disk data in all releases together, in bytes.
    #[serde(default)]
    #[serde(deserialize_with = "crate::schema::number")]
    pub data_bytes_max: Option<u64>,
    /// The maximum number of releases.
    #[serde(default)]
    #[serde(deserialize_with = "crate::schema::number")]
    pub release_count_max: Option<u64>,
}

/// A quota and its current usage.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Quota {
    /// The application.
    pub application: ApplicationName,
    /// The maximum amount of disk data in all releases together, in bytes. Null for no limit.
    pub data_bytes_max: Option<u64>,
    /// The amount of disk data, in bytes. Each release counts in full, even if it shares data with
    /// others.
    pub data_bytes: u64,
    /// The maximum number of releases. Null for no limit.
    pub release_count_max: Option<u64>,
    /// The number of releases.
    pub release_count: u64,
}
