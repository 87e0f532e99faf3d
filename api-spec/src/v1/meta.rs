//! About the registry itself.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What answers here.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServerVersion {
    /// Always `seawall`.
    pub name: String,
    /// The version of the program.
    pub version: String,
    /// The format epochs it reads and writes.
    pub epochs: Vec<u32>,
}

/// The state of the registry, for load balancers and monitors.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// `ok`, or what is wrong.
    pub status: String,
}
