//! A collection as a job, which runs to its end, however long older leases take.

use std::sync::Arc;
use std::time::Duration;

use super::status::{CollectStatus, RunningCollection, merged};
use super::{CollectOptions, Phase};
use crate::app::AppError;
use crate::app::jobs::{Order, PATIENCE_SECS, Step, Task, Work};
use crate::app::maintenance::collect::Collector;
use crate::catalog::engine::Claim;
use crate::catalog::jobs::JobKind;

/// The pause between checks for the end of older leases.
const WAIT_PAUSE: Duration = Duration::from_secs(2);
/// The pause between attempts to obtain the right to sweep.
const BUSY_PAUSE: Duration = Duration::from_millis(50);

/// A collection in progress.
struct Collection {
    collector: Arc<Collector>,
    watched: Arc<RunningCollection>,
    options: CollectOptions,
    /// The right to sweep. It ends with the process, so whoever obtains it knows that no other
    /// collection is running.
    claim: Option<Claim>,
    /// True until the first outcome of a round that was requested during another one.
    is_continued: bool,
}

impl Drop for Collection {
    fn drop(&mut self) {
        self.collector.collecting.clear(&self.watched);
    }
}

impl Collector {
    /// Starts a collection in the background. If one is already running, in any process, another
    /// round follows.
    ///
    /// # Errors
    /// Fails if the catalog fails, or the system has no thread to give.
    pub async fn start_collecting(
        self: &Arc<Self>,
        options: CollectOptions,
    ) -> Result<(), AppError> {
        match self.begin_collecting(options).await? {
            Some(task) => task.spawn(),
            None => Ok(()),
        }
    }

    /// Begins a collection. If one is already running, in any process, requests another round with
    /// these options, because its plan lacks releases deleted in the meantime, and returns `None`.
    async fn begin_collecting(
        self: &Arc<Self>,
        options: CollectOptions,
    ) -> Result<Option<Task<Collection>>, AppError> {
        self.catalog.make_room().await?;
        loop {
            let claim = self.catalog.claim_collecting().await?;
            let merge = move |earlier: &str| merged(earlier, options);
            if claim.is_none() && self.kernel.request(JobKind::Collection, merge).await? {
                return Ok(None);
            }
            if let Some(task) = self.claim_collection(claim, options).await? {
                return Ok(Some(task));
            }
        }
    }

    /// Claims the job of collecting, with the requests that a dead runner left.
    async fn claim_collection(
        self: &Arc<Self>,
        claim: Option<Claim>,
        options: CollectOptions,
    ) -> Result<Option<Task<Collection>>, AppError> {
        // With the right to sweep, the job of a dead runner is replaced without waiting.
        let patience_secs = if claim.is_some() { 0 } else { PATIENCE_SECS };
        let order = Order { name: JobKind::Collection.into(), patience_secs, restart: true };
        let claimed = self.kernel.claim(order, CollectStatus::beginning).await?;
        let Some((running, job)) = claimed else { return Ok(None) };
        let taken = CollectStatus::of(&job).taken;
        let options = taken.map_or(options, |taken| taken.with(options));
        let watched = Arc::new(RunningCollection::new(Arc::clone(&running), &job));
        self.collecting.set(Arc::clone(&watched));
        let collector = Arc::clone(self);
        let work = Collection { collector, watched, options, claim, is_continued: false };
        Ok(Some(Task { running, work }))
    }

    /// Starts the collection that was requested of a process that has died since. Without one,
    /// nothing happens.
    ///
    /// # Errors
    /// Fails if the catalog fails, or the system has no thread to give.
    pub async fn take_over_collecting(self: &Arc<Self>) -> Result<(), AppError> {
        match self.abandoned_collection().await? {
            Some(task) => task.spawn(),
            None => Ok(()),
        }
    }

    async fn abandoned_collection(self: &Arc<Self>) -> Result<Option<Task<Collection>>, AppError> {
        if self.catalog.barrier().is_some() || self.abandoned_request().await?.is_none() {
            return Ok(None);
        }
        // Under the right to sweep, no other process takes the same request.
        let Some(claim) = self.catalog.claim_collecting().await? else { return Ok(None) };
        let Some(options) = self.abandoned_request().await? else { return Ok(None) };
        self.claim_collection(Some(claim), options).await
    }

    async fn abandoned_request(&self) -> Result<Option<CollectOptions>, AppError> {
        let job = self.catalog.newest_job(JobKind::Collection).await?;
        let now_secs = self.host.now_secs();
        Ok(job.and_then(|job| CollectStatus::abandoned(&job, now_secs)))
    }
}

impl Work for Collection {
    const NAME: &'static str = "the collection";

    /// Collects as much as possible now.
    async fn step(&mut self) -> Result<Step, AppError> {
        let outcome = self.collector.collect_under(&mut self.claim, self.options).await;
        // A request, here or in another process, is finishing an abandoned sweep.
        if matches!(outcome, Err(AppError::Busy { .. })) && !self.watched.running.is_stopped() {
            return Ok(Step::Wait(BUSY_PAUSE));
        }
        let now_secs = self.collector.host.now_secs();
        self.watched.change(|status| status.record(now_secs, &outcome, self.is_continued));
        self.is_continued = false;
        let done = outcome?;
        if done.waits_for.is_some() {
            return Ok(Step::Wait(WAIT_PAUSE));
        }
        tracing::info!(
            freed_bytes = done.swept.freed_bytes(),
            looked = done.has_looked,
            "collected"
        );
        Ok(Step::Done)
    }

    fn go_on(&mut self, request: &str) {
        self.options = serde_json::from_str(request).unwrap_or_default();
        self.watched.change(|status| {
            status.phase = Phase::Marking;
            status.taken = Some(self.options);
        });
        self.is_continued = true;
    }
}

#[cfg(test)]
mod tests;
