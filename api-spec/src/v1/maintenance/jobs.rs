//! Jobs: the long work of a registry.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The state of a job.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum JobState {
    /// The job is running.
    Running,
    /// The process that ran the job is gone.
    Interrupted,
    /// The job was stopped on request.
    Stopped,
    /// The job failed; see `failure`.
    Failed,
    /// The job is complete.
    Complete,
}

/// The newest job of a kind and subject.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// The kind: `backup`, `check`, `collection`, `deliver` or `retention`. Later versions may add
    /// kinds.
    pub kind: String,
    /// The subject: the webhook of `deliver`, the application of `retention`. Empty for the others.
    pub subject: String,
    /// The state.
    pub state: JobState,
    /// The start time, in seconds since 1970-01-01 UTC.
    pub started_at_secs: u64,
    /// The last sign of life of a job that has not ended, in seconds since 1970-01-01 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen_at_secs: Option<u64>,
    /// The end, in seconds since 1970-01-01 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at_secs: Option<u64>,
    /// The number of items done: objects checked, releases deleted, messages delivered.
    pub objects: u64,
    /// The number of bytes done.
    pub bytes: u64,
    /// The approximate number of bytes to do. 0 if unknown.
    pub total_bytes: u64,
    /// The reason for the failure or the stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// The end of the last complete job of this kind and subject, in seconds since 1970-01-01 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_complete_at_secs: Option<u64>,
}

/// The jobs of a registry.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Jobs {
    /// The jobs, by kind and subject, at most 1000.
    pub jobs: Vec<Job>,
}
