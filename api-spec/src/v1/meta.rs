//! Metadata of the registry itself.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The identity of the server.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServerVersion {
    /// The name, always `seawall`.
    pub name: String,
    /// The version of the server.
    pub version: String,
    /// The format epochs that the server reads and writes.
    pub epochs: Vec<u32>,
}

/// The state of the registry, for load balancers and monitoring.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// `ok`, or the problem.
    pub status: String,
}
