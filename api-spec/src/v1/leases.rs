//! Leases: what a push relies on stays until its deadline.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::names::{ApplicationName, Version};

/// Asks for a lease.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "application": "team/webshop", "version": "1.0.0", "purpose": "push" }))]
pub struct OpenLease {
    /// The application that will be pushed to, or pulled from.
    pub application: ApplicationName,
    /// The version that will be published: a push that would pass the application's quota is then
    /// refused at once, but for one that was published before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// What it is for; to push where it is not given.
    #[serde(default)]
    pub purpose: LeasePurpose,
}

/// What a lease is for.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum LeasePurpose {
    /// To send a release and publish it.
    #[default]
    Push,
    /// To read one: what it needs is not collected meanwhile, even if it is deleted.
    Pull,
}

/// A lease.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Lease {
    /// Its name, for the requests that rely on it. Not guessable.
    pub id: String,
    /// How long it holds from now unless it is renewed, in seconds.
    pub ttl_secs: u64,
}
