//! Jobs: claim, heartbeat, progress, stop and end.

use super::super::engine::Access;
use super::super::model::jobs::{ClaimJob, Job, JobEnd, JobEnded, JobId, JobKind, RunnerState};
use super::super::rules::maintenance::jobs;
use super::super::tx::Tx;
use super::super::{Catalog, CatalogError};

impl Catalog {
    /// Returns the newest job of a kind.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn newest_job(&self, kind: JobKind) -> Result<Option<Job>, CatalogError> {
        self.read("read a job's status", move |tx| jobs::newest(tx, kind)).await
    }

    /// Returns the time of the last complete job of a kind, in seconds since 1970-01-01 UTC.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn last_complete_job(&self, kind: JobKind) -> Result<Option<u64>, CatalogError> {
        self.read("read a job's end", move |tx| jobs::last_complete(tx, kind)).await
    }

    /// Claims a job for a runner: resumes the newest if it did not complete, or else begins one
    /// with the progress that `begin` makes of the newest. A request that a dead runner left stays
    /// with a resumed job; a new one has it from `begin`. Returns `None` while another runner is
    /// alive.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn claim_job(
        &self,
        claim: ClaimJob,
        begin: impl Fn(Option<&Job>) -> String + Send + 'static,
    ) -> Result<Option<Job>, CatalogError> {
        self.write("claim a job", move |tx| jobs::claim(tx, &claim, &begin)).await
    }

    /// Records a heartbeat, so that a slow step is not taken for a dead runner. Returns the
    /// state of the runner.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn beat_job(&self, id: JobId, now_secs: u64) -> Result<RunnerState, CatalogError> {
        self.write("record a job's heartbeat", move |tx| jobs::beat(tx, &id, now_secs)).await
    }

    /// Saves the progress of a job, with a heartbeat. Saves nothing unless the runner is to go on.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn save_job(&self, job: Job, now_secs: u64) -> Result<RunnerState, CatalogError> {
        self.write("save a job's progress", move |tx| jobs::save(tx, &job, now_secs)).await
    }

    /// Tells the running job to stop, and drops the request for it to go on.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn stop_job(&self, kind: JobKind) -> Result<(), CatalogError> {
        self.write("stop a job", move |tx| jobs::stop(tx, kind)).await
    }

    /// Requests that the running job goes on when it is done. `merge` makes the request from the
    /// earlier one. Returns false if no runner is alive.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn request_job(
        &self,
        kind: JobKind,
        now_secs: u64,
        patience_secs: u64,
        merge: impl Fn(&str) -> String + Send + 'static,
    ) -> Result<bool, CatalogError> {
        let work = move |tx: &mut dyn Tx| jobs::request(tx, kind, now_secs, patience_secs, &merge);
        self.write("request a job", work).await
    }

    /// Ends a job with its last progress, unless it was requested to go on: then takes the request.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn end_job(&self, job: Job, end: JobEnd) -> Result<JobEnded, CatalogError> {
        // The job may be the one that makes room on a full disk.
        self.run(Access::Free, "end a job", move |tx| jobs::end(tx, &job, &end)).await
    }
}
