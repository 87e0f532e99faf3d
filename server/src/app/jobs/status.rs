//! The status of jobs, the same in all processes that serve a catalog.

use serde::Deserialize;

use super::{Kernel, PATIENCE_SECS};
use crate::app::AppError;
use crate::catalog::jobs::{Job, JobKind};

/// The state of a job.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // as in the contract
pub enum JobState {
    Running,
    Interrupted,
    Stopped,
    Failed,
    Complete,
}

impl JobState {
    pub(in crate::app) fn of(job: &Job, now_secs: u64) -> Self {
        match &job.end {
            Some(end) if end.failure.is_none() => Self::Complete,
            _ if job.is_stopped => Self::Stopped,
            Some(_) => Self::Failed,
            None if job.is_alive(now_secs, PATIENCE_SECS) => Self::Running,
            None => Self::Interrupted,
        }
    }
}

/// The quantities that jobs of all kinds have in their progress, under these names.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Deserialize)]
#[serde(default)]
pub struct JobProgress {
    /// The number of items that are done.
    pub objects: u64,
    /// The number of bytes that are done.
    pub bytes: u64,
    /// The number of bytes to do; 0 if unknown.
    pub total_bytes: u64,
}

/// The newest job of a kind and subject.
#[derive(Clone, Debug)]
pub struct JobStatus {
    /// The job.
    pub job: Job,
    /// The state of the job.
    pub state: JobState,
    /// The progress of the job.
    pub progress: JobProgress,
    /// The end of the last complete job of this kind and subject, in seconds since 1970-01-01 UTC.
    pub last_complete_at_secs: Option<u64>,
}

impl Kernel {
    /// Lists the newest job of each kind and subject, from at most `limit` rows.
    ///
    /// # Errors
    /// Fails if the catalog fails.
    pub async fn list(&self, limit: u32) -> Result<Vec<JobStatus>, AppError> {
        let now_secs = self.host.now_secs();
        let status = |(job, last_complete_at_secs)| JobStatus {
            state: JobState::of(&job, now_secs),
            progress: serde_json::from_str(&job.progress).unwrap_or_default(),
            job,
            last_complete_at_secs,
        };
        Ok(self.catalog.jobs(limit).await?.into_iter().map(status).collect())
    }

    /// Asks the running job of a kind and subject to stop at its next step, in whichever process it
    /// runs. Without one, nothing happens.
    ///
    /// # Errors
    /// [`AppError::NotFound`] if there is no such kind; [`AppError::Invalid`] for deliveries, which
    /// end only with their webhook.
    pub async fn stop(&self, kind: &str, subject: &str) -> Result<(), AppError> {
        match JobKind::ALL.into_iter().find(|known| known.name() == kind) {
            None => Err(AppError::not_found(format!("a job of the kind `{kind}`"))),
            Some(JobKind::Deliver) => Err(AppError::rule(
                "deliveries go on for as long as there is a webhook: `seawall webhooks remove`",
            )),
            Some(kind) => Ok(self.catalog.stop_job(kind.of(subject)).await?),
        }
    }
}
