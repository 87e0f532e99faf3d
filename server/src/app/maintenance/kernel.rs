//! The kernel of jobs: a heartbeat beside the work.
//!
//! The heartbeat runs on its own, because a single step may take minutes and a job without a
//! heartbeat is taken over. It saves progress that changed, and learns if the job was told to stop
//! or was taken by another runner.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::app::AppError;
use crate::catalog::Catalog;
use crate::catalog::jobs::{Job, JobEnd, JobEnded, RunnerState};
use crate::host::Host;

/// The time without a heartbeat after which a runner counts as dead, in seconds.
pub(in crate::app) const PATIENCE_SECS: u64 = 6;
/// The interval between heartbeats.
pub(in crate::app) const BEAT_EVERY: Duration = Duration::from_secs(PATIENCE_SECS / 6);

/// A claimed job, shared by the work and its heartbeat.
pub(in crate::app) struct Running {
    catalog: Catalog,
    host: Arc<dyn Host>,
    job: Mutex<Job>,
    is_changed: AtomicBool,
    changed: Notify,
    is_stopped: AtomicBool,
    /// Held during a heartbeat and the end, so that no heartbeat from before the end is heeded
    /// after it.
    turn: tokio::sync::Mutex<()>,
}

/// A heartbeat, until dropped.
pub(in crate::app) struct Heartbeat(JoinHandle<()>);

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Running {
    pub(in crate::app) fn new(catalog: Catalog, host: Arc<dyn Host>, job: Job) -> Arc<Self> {
        let (is_changed, changed, is_stopped, turn) = <_>::default();
        Arc::new(Self {
            catalog,
            host,
            job: Mutex::new(job),
            is_changed,
            changed,
            is_stopped,
            turn,
        })
    }

    /// Starts the heartbeat.
    pub(in crate::app) fn beating(self: &Arc<Self>) -> Heartbeat {
        let running = Arc::clone(self);
        Heartbeat(tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = tokio::time::sleep(BEAT_EVERY) => {}
                    () = running.changed.notified() => {}
                }
                match running.beat().await {
                    Ok(RunnerState::Lost) => return,
                    Ok(RunnerState::Going | RunnerState::Stopped) => {}
                    Err(error) => tracing::warn!(%error, "cannot record a job's heartbeat"),
                }
            }
        }))
    }

    fn with<T>(&self, work: impl FnOnce(&mut Job) -> T) -> T {
        work(&mut self.job.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the progress, which the heartbeat then saves.
    pub(in crate::app) fn tell(&self, progress: String) {
        self.with(|job| job.progress = progress);
        self.is_changed.store(true, Ordering::Release);
        self.changed.notify_one();
    }

    /// Records a heartbeat, with progress that changed.
    pub(in crate::app) async fn beat(&self) -> Result<RunnerState, AppError> {
        let _turn = self.turn.lock().await;
        let now_secs = self.host.now_secs();
        let is_changed = self.is_changed.swap(false, Ordering::AcqRel);
        let job = self.with(|job| job.clone());
        let state = match is_changed {
            true => self.catalog.save_job(job, now_secs).await,
            false => self.catalog.beat_job(job.id, now_secs).await,
        };
        if state.is_err() && is_changed {
            self.is_changed.store(true, Ordering::Release);
        }
        let state = state?;
        if state != RunnerState::Going {
            self.stop();
        }
        Ok(state)
    }

    /// Stops the work at its next step.
    pub(in crate::app) fn stop(&self) {
        self.is_stopped.store(true, Ordering::Release);
    }

    /// Returns whether the work is to stop.
    pub(in crate::app) fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Acquire)
    }

    /// Ends the job with its progress. Returns the request for the job to go on, if there is one.
    ///
    /// # Errors
    /// Fails if the catalog fails. The job later appears as interrupted.
    pub(in crate::app) async fn end(
        &self,
        failure: Option<String>,
    ) -> Result<Option<String>, AppError> {
        let _turn = self.turn.lock().await;
        let end = JobEnd { at_secs: self.host.now_secs(), failure };
        match self.catalog.end_job(self.with(|job| job.clone()), end).await? {
            JobEnded::Ended => Ok(None),
            JobEnded::Requested(request) => {
                self.is_stopped.store(false, Ordering::Release);
                Ok(Some(request))
            }
        }
    }
}
