//! Leases: protection from collection for the objects of a push or pull.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::names::{ApplicationName, Version};

/// A request to open a lease.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "application": "team/webshop", "version": "1.0.0", "purpose": "push" }))]
pub struct OpenLease {
    /// The application to push to or pull from.
    pub application: ApplicationName,
    /// The version to publish. A push that exceeds the application's quota is then refused at once,
    /// unless the version was published before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// The purpose. The default is a push.
    #[serde(default)]
    pub purpose: LeasePurpose,
}

/// The purpose of a lease.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum LeasePurpose {
    /// Sending and publishing a release.
    #[default]
    Push,
    /// Reading a release. The release's objects are not collected meanwhile, even if it is deleted.
    Pull,
}

/// A lease.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Lease {
    /// The unguessable id of the lease, for the requests that rely on it.
    pub id: String,
    /// The time until the lease ends unless renewed, in seconds.
    pub ttl_secs: u64,
}
