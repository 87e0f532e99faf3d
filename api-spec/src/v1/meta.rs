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
    /// The id of the registry, the same from all its processes and after a move. Absent if the
    /// catalog does not tell.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub registry: Option<String>,
}

/// The state of the registry, for load balancers and monitoring.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// `ok`, or the problem.
    pub status: String,
    /// The bucket's behaviour for writes on the condition that an object is absent: `honoured` or
    /// `ignored`. Both are safe. Absent if the objects are not in a bucket, or it was not tried.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub conditional_writes: Option<String>,
}
