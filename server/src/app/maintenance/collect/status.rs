//! The status of collections, the same in all processes that serve a catalog.

use std::sync::{Arc, Mutex, PoisonError};

use seawall_api::problem::Code;
use serde::{Deserialize, Serialize};

use super::{CollectOptions, CollectPlan, CollectTotals, Collected};
use crate::app::AppError;
use crate::app::jobs::{PATIENCE_SECS, Running};
use crate::app::maintenance::collect::Collector;
use crate::catalog::jobs::{Job, JobKind};

/// The maximum length of a failure's text that is kept, in characters.
const DETAIL_LEN_MAX: usize = 8192;

/// The phase of a collection.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub enum Phase {
    /// No collection is running.
    #[default]
    Idle,
    /// The collection is reading everything reachable from releases.
    Marking,
    /// The collection is moving the reachable chunks of sparse packs.
    Repacking,
    /// The collection is listing dead content in the catalog.
    Condemning,
    /// The collection is waiting for older leases.
    Waiting,
    /// The collection is removing unreachable content.
    Sweeping,
}

/// The progress of the current collection, and the result of the last one.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct CollectStatus {
    /// The current phase.
    pub phase: Phase,
    /// The quantities of the current plan.
    pub planned: CollectTotals,
    /// The end of the last collection, in seconds since 1970-01-01 UTC, and its outcome; `None` if
    /// there was none.
    pub last: Option<(u64, Result<Collected, CollectFailure>)>,
    /// The request that the current round serves, if it was made during another round. If its
    /// runner dies, another process takes the request over.
    pub taken: Option<CollectOptions>,
}

/// The failure of a collection.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CollectFailure {
    /// The problem code.
    pub code: Code,
    /// The error and its causes.
    pub detail: String,
    /// The next step, if there is one.
    pub remedy: Option<String>,
}

impl CollectFailure {
    fn of(error: &AppError) -> Self {
        let detail = in_full(error).chars().take(DETAIL_LEN_MAX).collect();
        Self { code: error.code(), detail, remedy: error.remedy() }
    }
}

impl CollectStatus {
    /// Reads the progress of a job.
    pub(super) fn of(job: &Job) -> Self {
        serde_json::from_str(&job.progress).unwrap_or_default()
    }

    /// Returns the progress of a new collection after the job `before`.
    pub(super) fn beginning(before: Option<&Job>) -> String {
        let (taken, before) =
            before.map(|job| (Self::unserved(job), Self::of(job))).unwrap_or_default();
        Self { phase: Phase::Marking, taken, ..before }.text()
    }

    /// Returns the request that a job has not served, if there is one.
    fn unserved(job: &Job) -> Option<CollectOptions> {
        if job.end.is_some() {
            return None;
        }
        // A stop ends the requests before it.
        let taken = Self::of(job).taken.filter(|_| !job.is_stopped);
        match serde_json::from_str(&job.request) {
            Ok(request) => Some(taken.map_or(request, |taken| taken.with(request))),
            Err(_) => taken,
        }
    }

    /// Returns the request that the dead runner of a job left, if there is one.
    pub(super) fn abandoned(job: &Job, now_secs: u64) -> Option<CollectOptions> {
        Self::unserved(job).filter(|_| !job.is_alive(now_secs, PATIENCE_SECS))
    }

    fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Returns the status of a job at a time.
    fn at(job: &Job, now_secs: u64) -> Self {
        let mut status = Self::of(job);
        if !job.is_alive(now_secs, PATIENCE_SECS) {
            status.phase = Phase::Idle;
            if job.end.is_none() {
                let error = AppError::Interrupted { what: "the collection" };
                status.last = Some((job.beat_at_secs, Err(CollectFailure::of(&error))));
            }
        }
        status
    }

    /// Records the outcome of a round. Adds the quantities of the round before if both belong to
    /// the same collection.
    pub(super) fn record(
        &mut self,
        now_secs: u64,
        outcome: &Result<Collected, AppError>,
        is_continued: bool,
    ) {
        let mut outcome = outcome.as_ref().map(|done| *done).map_err(CollectFailure::of);
        if let (Ok(done), Some((_, Ok(before)))) = (&mut outcome, &self.last)
            && (before.waits_for.is_some() || is_continued)
        {
            done.swept += before.swept;
            done.has_looked |= before.has_looked;
        }
        if matches!(outcome, Ok(Collected { waits_for: Some(_), .. })) {
            self.phase = Phase::Waiting;
        } else {
            self.taken = None;
        }
        self.last = Some((now_secs, outcome));
    }
}

/// A collection that this process runs as a job, with its progress.
pub(super) struct RunningCollection {
    pub(super) running: Arc<Running>,
    status: Mutex<CollectStatus>,
}

impl RunningCollection {
    pub(super) fn new(running: Arc<Running>, job: &Job) -> Self {
        Self { running, status: Mutex::new(CollectStatus::of(job)) }
    }

    /// Changes the status that all processes see.
    pub(super) fn change(&self, change: impl FnOnce(&mut CollectStatus)) {
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        let before = status.clone();
        change(&mut status);
        if *status != before {
            self.running.tell(status.text());
        }
    }
}

/// The job that this process runs, if any.
#[derive(Default)]
pub(in crate::app) struct Collecting {
    job: Mutex<Option<Arc<RunningCollection>>>,
}

impl Collecting {
    fn job(&self) -> Option<Arc<RunningCollection>> {
        self.job.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set(&self, job: Arc<RunningCollection>) {
        *self.job.lock().unwrap_or_else(PoisonError::into_inner) = Some(job);
    }

    /// Removes a job that has ended.
    pub(super) fn clear(&self, over: &Arc<RunningCollection>) {
        let mut job = self.job.lock().unwrap_or_else(PoisonError::into_inner);
        job.take_if(|job| Arc::ptr_eq(job, over));
    }

    pub(super) fn enter(&self, phase: Phase) {
        if let Some(job) = self.job() {
            job.change(|status| status.phase = phase);
        }
    }

    pub(super) fn planned(&self, plan: &CollectPlan) {
        if let Some(job) = self.job() {
            job.change(|status| status.planned = plan.totals());
        }
    }

    /// Fails if the collection was asked to stop.
    pub(super) fn check_stop(&self) -> Result<(), AppError> {
        match self.job() {
            Some(job) if job.running.is_stopped() => {
                Err(AppError::Stopped { what: "the collection" })
            }
            _ => Ok(()),
        }
    }
}

/// Merges the request of `options` with an earlier one.
pub(super) fn merged(earlier: &str, options: CollectOptions) -> String {
    let earlier = serde_json::from_str::<CollectOptions>(earlier);
    let merged = earlier.map_or(options, |earlier| earlier.with(options));
    serde_json::to_string(&merged).unwrap_or_default()
}

/// Formats an error with its causes.
fn in_full(error: &AppError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

impl Collector {
    /// Returns the progress of the current collection, or the result of the last one.
    ///
    /// # Errors
    /// Fails if the catalog fails.
    pub async fn collect_status(&self) -> Result<CollectStatus, AppError> {
        let job = self.catalog.newest_job(JobKind::Collection).await?;
        let now_secs = self.host.now_secs();
        Ok(job.map(|job| CollectStatus::at(&job, now_secs)).unwrap_or_default())
    }

    /// Asks the running collection to stop at its next step, in whichever process it runs. Without
    /// one, nothing happens.
    ///
    /// # Errors
    /// Fails if the catalog fails.
    pub async fn stop_collecting(&self) -> Result<(), AppError> {
        self.catalog.stop_job(JobKind::Collection).await?;
        if let Some(job) = self.collecting.job() {
            job.running.stop();
        }
        Ok(())
    }
}
