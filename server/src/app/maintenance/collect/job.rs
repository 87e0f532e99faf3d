//! A collection as a job, which runs to its end, however long older leases take.

use std::sync::Arc;
use std::time::Duration;

use super::status::{CollectStatus, Watched, merged};
use super::{CollectOptions, Phase};
use crate::app::maintenance::kernel::{PATIENCE_SECS, Running};
use crate::app::{AppError, Registry};
use crate::catalog::jobs::{ClaimJob, JobKind};
use crate::catalog::tx::Claim;

/// The pause between checks for the end of older leases.
const WAIT_PAUSE: Duration = Duration::from_secs(2);
/// The pause between attempts to obtain the right to sweep.
const BUSY_PAUSE: Duration = Duration::from_millis(50);

/// A collection to run.
pub struct CollectJob {
    registry: Arc<Registry>,
    watched: Arc<Watched>,
    options: CollectOptions,
    /// The right to sweep. It ends with the process, so whoever obtains it knows that no other
    /// collection is running.
    claim: Option<Claim>,
}

impl Drop for CollectJob {
    fn drop(&mut self) {
        self.registry.collecting.set(None);
    }
}

impl Registry {
    /// Begins a collection. If one is already running, in any process, requests another round with
    /// these options, because its plan lacks releases deleted in the meantime, and returns `None`.
    ///
    /// # Errors
    /// Fails if the catalog fails.
    pub async fn begin_collecting(
        self: &Arc<Self>,
        options: CollectOptions,
    ) -> Result<Option<CollectJob>, AppError> {
        let (kind, runner) = (JobKind::Collection, self.runner);
        self.catalog.make_room().await?;
        loop {
            let claim = self.catalog.claim_collecting().await?;
            // With the right to sweep, the job of a dead runner is replaced without waiting.
            let patience_secs = if claim.is_some() { 0 } else { PATIENCE_SECS };
            let now_secs = self.host.now_secs();
            let order = ClaimJob { kind, runner, now_secs, patience_secs, restart: true };
            let merge = move |earlier: &str| merged(earlier, options);
            if claim.is_none() && self.catalog.request_job(order, merge).await?.is_some() {
                return Ok(None);
            }
            let Some(job) = self.catalog.claim_job(order, CollectStatus::beginning).await? else {
                continue;
            };
            let (catalog, host) = (self.catalog.clone(), Arc::clone(&self.host));
            let running = Running::new(catalog, host, job.clone());
            let watched = Arc::new(Watched::new(running, &job));
            let registry = Arc::clone(self);
            return Ok(Some(CollectJob { registry, watched, options, claim }));
        }
    }
}

impl CollectJob {
    /// Collects until no older leases remain and no further round is requested.
    pub async fn run(mut self) {
        let _heartbeat = self.watched.running.beating();
        self.registry.collecting.set(Some(Arc::clone(&self.watched)));
        let mut is_continued = false;
        loop {
            self.round(is_continued).await;
            match self.watched.running.end(None).await {
                Ok(None) => return,
                Ok(Some(request)) => {
                    self.options = serde_json::from_str(&request).unwrap_or_default();
                    self.watched.change(|status| status.phase = Phase::Marking);
                    is_continued = true;
                }
                Err(error) => return tracing::error!(%error, "cannot record the collection"),
            }
        }
    }

    /// Collects until no older leases remain.
    async fn round(&mut self, mut is_continued: bool) {
        loop {
            let outcome = self.registry.collect_under(&mut self.claim, self.options).await;
            let is_stopped = self.watched.running.is_stopped();
            // A request, here or in another process, is finishing an abandoned sweep.
            if matches!(outcome, Err(AppError::Busy { .. })) && !is_stopped {
                tokio::time::sleep(BUSY_PAUSE).await;
                continue;
            }
            let now_secs = self.registry.host.now_secs();
            self.watched.change(|status| status.record(now_secs, &outcome, is_continued));
            is_continued = false;
            match outcome {
                Ok(done) if done.waits_for.is_some() && !is_stopped => {
                    tokio::time::sleep(WAIT_PAUSE).await;
                }
                Ok(done) => {
                    let freed_bytes = done.swept.freed_bytes();
                    return tracing::info!(freed_bytes, looked = done.has_looked, "collected");
                }
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    return tracing::error!(error, "not collected");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
