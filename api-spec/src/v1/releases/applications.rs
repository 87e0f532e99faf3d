//! Applications.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::names::{ApplicationName, Version};

/// An application.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Application {
    /// The application's name.
    pub name: ApplicationName,
    /// The time of the first publication, in seconds since 1970-01-01 UTC.
    pub created_at_secs: u64,
    /// The number of releases.
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
    /// The value of `after` for the next page. Absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<ApplicationName>,
}
