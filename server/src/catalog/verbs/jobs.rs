//! Jobs: claim, heartbeat, progress, stop and end.

use super::super::engine::Access;
use super::super::model::jobs::{
    ClaimJob, Job, JobEnd, JobEnded, JobId, JobKind, JobName, RunnerState,
};
use super::super::rules::maintenance::jobs;
use super::super::tx::Tx;
use super::super::{Catalog, CatalogError};

impl Catalog {
    /// Returns the newest job of a name.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn newest_job(&self, name: impl Into<JobName>) -> Result<Option<Job>, CatalogError> {
        let name = name.into();
        self.read("read a job's status", move |tx| jobs::newest(tx, &name)).await
    }

    /// Lists the newest job of each name by kind and subject, each with the time of the last
    /// complete one, in seconds since 1970-01-01 UTC. Reads at most `limit` rows.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn jobs(&self, limit: u32) -> Result<Vec<(Job, Option<u64>)>, CatalogError> {
        self.read("list jobs", move |tx| jobs::list(tx, limit)).await
    }

    /// Lists the jobs of a kind that have not ended, by subject.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn unfinished_jobs(&self, kind: JobKind) -> Result<Vec<Job>, CatalogError> {
        self.read("list unfinished jobs", move |tx| jobs::unfinished(tx, kind)).await
    }

    /// Returns the time of the last complete job of a name, in seconds since 1970-01-01 UTC.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn last_complete_job(
        &self,
        name: impl Into<JobName>,
    ) -> Result<Option<u64>, CatalogError> {
        let name = name.into();
        self.read("read a job's end", move |tx| jobs::last_complete(tx, &name)).await
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
    pub async fn stop_job(&self, name: impl Into<JobName>) -> Result<(), CatalogError> {
        let name = name.into();
        self.write("stop a job", move |tx| jobs::stop(tx, &name)).await
    }

    /// Requests that the running job goes on when it is done. `merge` makes the request from the
    /// earlier one. Returns false if no runner is alive.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn request_job(
        &self,
        name: impl Into<JobName>,
        now_secs: u64,
        patience_secs: u64,
        merge: impl Fn(&str) -> String + Send + 'static,
    ) -> Result<bool, CatalogError> {
        let name = name.into();
        let work = move |tx: &mut dyn Tx| jobs::request(tx, &name, now_secs, patience_secs, &merge);
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
