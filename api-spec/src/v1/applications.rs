//! Applications.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::names::{ApplicationName, Version};

/// An application.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Application {
    /// Its name.
    pub name: ApplicationName,
    /// When its first release was published, seconds since 1970-01-01 UTC.
    pub created_at_secs: u64,
    /// How many releases it has.
    pub release_count: u64,
    /// The version published last, if any.
    pub newest: Option<Version>,
}

/// A page of applications, ordered by name.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationPage {
    /// The applications.
    pub applications: Vec<Application>,
    /// Pass as `after` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<ApplicationName>,
}
