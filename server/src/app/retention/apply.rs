//! Application of retention policies: releases that no policy keeps are deleted, unless held.
//!
//! Nothing is deleted until somebody applies the plan, or a timer does. This is a job for each
//! application, a release at each step. The bytes of deleted releases are left to a collection,
//! which starts afterwards.
//!
//! # After a crash
//!
//! Another process takes the job over, makes the plan again, and deletes what is left of the
//! request. Between the first deletion and the start of the collection, the job says that it owes
//! a collection; whoever continues or replaces the job starts the collection.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use seawall_api::digest::ReleaseDigest;
use seawall_api::names::ApplicationName;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::Retention;
use super::policies::Verdict;
use crate::app::AppError;
use crate::app::jobs::{self, Order, PATIENCE_SECS, Running, Step, Task, Work};
use crate::app::maintenance::collect::CollectOptions;
use crate::catalog::collect::Tombstone;
use crate::catalog::jobs::{Job, JobKind};
use crate::catalog::retention::InventoryRelease;

/// The time to wait for another application of the same policies: enough for the job of a dead
/// process to be free.
const TURN_WAIT_MAX: Duration = Duration::from_secs(PATIENCE_SECS + 4);
/// The delay between attempts to claim the job.
const TURN_PAUSE: Duration = Duration::from_millis(100);

/// The verdicts of an application's policies on its releases.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RetentionPlan {
    /// The verdict on every release, newest first.
    pub verdicts: Vec<Verdict>,
    /// The bytes that a collection would free after the planned deletions.
    pub freed_bytes: u64,
}

impl RetentionPlan {
    /// Returns the releases to delete, newest first.
    pub fn going(&self) -> impl Iterator<Item = &InventoryRelease> {
        self.verdicts.iter().filter(|verdict| verdict.goes).map(|verdict| &verdict.release)
    }
}

/// The result of applying a plan.
#[derive(Default, Debug)]
pub struct RetentionOutcome {
    /// The deleted releases.
    pub deleted: Vec<Tombstone>,
    /// The releases that were to be deleted but are held, with their holders in words.
    pub kept: Vec<(InventoryRelease, String)>,
    /// The bytes that a collection would free now; `None` if unknown.
    pub planned_bytes: Option<u64>,
    /// An error after the first deletion: of another deletion, after which the remaining releases
    /// are unchanged, or of the start of the collection.
    pub failure: Option<AppError>,
}

impl Retention {
    /// Returns the verdicts of an application's policies on its releases now.
    ///
    /// # Errors
    /// [`AppError::NotFound`] if there is no such application.
    pub async fn plan(&self, application: &ApplicationName) -> Result<RetentionPlan, AppError> {
        let mut plan =
            RetentionPlan { verdicts: self.verdicts(application).await?, freed_bytes: 0 };
        let going: HashSet<_> = plan.going().map(|release| release.digest).collect();
        if !going.is_empty() {
            let collection =
                self.collector.plan_collection(&going, CollectOptions::default()).await?;
            plan.freed_bytes = collection.freed_bytes();
        }
        Ok(plan)
    }

    /// Deletes the releases that the plan does not keep, restricted to `only` if given. Starts a
    /// collection of their bytes, which takes longer than a request may. Waits while the policies
    /// of the application are being applied, in any process.
    ///
    /// # Errors
    /// [`AppError::NotFound`] if there is no such application; [`AppError::Busy`] after the time to
    /// wait; or an error before the first deletion.
    pub async fn apply(
        &self,
        application: &ApplicationName,
        only: Option<HashSet<ReleaseDigest>>,
        token: &str,
    ) -> Result<RetentionOutcome, AppError> {
        self.names.find_application(application).await?;
        let deadline = Instant::now() + TURN_WAIT_MAX;
        let claimed = loop {
            match self.claim(application, true).await? {
                Some(claimed) => break claimed,
                None if Instant::now() < deadline => tokio::time::sleep(TURN_PAUSE).await,
                None => return Err(AppError::Busy { what: "the policies are being applied" }),
            }
        };
        let (answer, answered) = oneshot::channel();
        let request = Request { only, token: token.to_owned() };
        let task = self.task(claimed, application.clone(), Some(request));
        // The job goes on if the client disconnects.
        Task { work: Applying { answer: Some(answer), ..task.work }, ..task }.spawn()?;
        answered.await.map_err(|_| AppError::Interrupted { what: Applying::NAME })?
    }

    /// Applies the policies of every application that has some.
    ///
    /// # Errors
    /// Fails if the catalog fails. A failure of one application is logged.
    pub async fn apply_all(&self) -> Result<(), AppError> {
        for application in self.catalog.applications_with_policies().await? {
            if let Err(error) = self.apply(&application, None, "").await {
                tracing::error!(%error, %application, "cannot apply the retention policies");
            }
        }
        Ok(())
    }

    /// Resumes the jobs of processes that died.
    ///
    /// # Errors
    /// Fails if the catalog fails, or the system has no thread to give.
    pub async fn take_over(&self) -> Result<(), AppError> {
        if self.catalog.barrier().is_some() {
            return Ok(());
        }
        let now_secs = self.host.now_secs();
        for job in self.catalog.unfinished_jobs(JobKind::Retention).await? {
            let is_abandoned = !job.is_stopped && !job.is_alive(now_secs, PATIENCE_SECS);
            let Ok(application) = job.subject.parse() else { continue };
            if is_abandoned && let Some(claimed) = self.claim(&application, false).await? {
                let request = serde_json::from_str(&claimed.1.cursor).ok();
                self.task(claimed, application, request).spawn()?;
            }
        }
        Ok(())
    }

    async fn claim(
        &self,
        application: &ApplicationName,
        restart: bool,
    ) -> Result<Option<(Arc<Running>, Job)>, AppError> {
        let name = JobKind::Retention.of(application.as_str());
        let order = Order { name, patience_secs: PATIENCE_SECS, restart };
        let begin = |before: Option<&Job>| {
            // Of a job that was replaced, nobody started the collection.
            let before = before.filter(|job| !job.is_complete()).map(Progress::of);
            let owes_collection = before.is_some_and(|before| before.owes_collection);
            Progress { owes_collection, objects: 0 }.text()
        };
        self.kernel.claim(order, begin).await
    }

    fn task(
        &self,
        (running, job): (Arc<Running>, Job),
        application: ApplicationName,
        request: Option<Request>,
    ) -> Task<Applying> {
        let progress = Progress::of(&job);
        let work = Applying {
            retention: self.clone(),
            running: Arc::clone(&running),
            application,
            request,
            progress,
            inherits_debt: progress.owes_collection,
            left: None,
            outcome: RetentionOutcome::default(),
            answer: None,
        };
        Task { running, work }
    }
}

/// The releases to delete, and who wants it. Saved as the cursor of the job before the first
/// deletion.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Request {
    /// The releases to which deletions are restricted.
    only: Option<HashSet<ReleaseDigest>>,
    /// The name of the token used; empty for the registry's timer.
    token: String,
}

/// The progress of a job.
#[derive(Clone, Copy, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
struct Progress {
    /// The number of deleted releases.
    objects: u64,
    /// True if releases may have been deleted whose bytes are not being collected.
    owes_collection: bool,
}

impl Progress {
    fn of(job: &Job) -> Self {
        serde_json::from_str(&job.progress).unwrap_or_default()
    }

    fn text(self) -> String {
        serde_json::to_string(&self).unwrap_or_default()
    }
}

/// An application of policies in progress.
struct Applying {
    retention: Retention,
    running: Arc<Running>,
    application: ApplicationName,
    /// `None` if the first runner died before it saved the request. Then nothing was deleted, and
    /// nothing will be.
    request: Option<Request>,
    progress: Progress,
    /// True if a runner that died or failed owes a collection.
    inherits_debt: bool,
    /// The releases to delete, the next one last; `None` before the plan.
    left: Option<Vec<InventoryRelease>>,
    outcome: RetentionOutcome,
    /// The way to the client; `None` if there is none, as after a crash.
    answer: Option<oneshot::Sender<Result<RetentionOutcome, AppError>>>,
}

impl Work for Applying {
    const NAME: &'static str = "the application of retention policies";

    /// Makes the plan, then deletes one release at a time, then starts the collection.
    async fn step(&mut self) -> Result<Step, AppError> {
        let Some(left) = &mut self.left else {
            self.left = Some(self.planned().await?);
            return Ok(Step::Continue);
        };
        let (Some(release), Some(request)) = (left.pop(), &self.request) else {
            if !self.outcome.deleted.is_empty() {
                let (collector, options) = (&self.retention.collector, <_>::default());
                let plan = collector.plan_collection(&HashSet::new(), options).await;
                // The collection reports the error itself.
                self.outcome.planned_bytes = plan.ok().map(|plan| plan.freed_bytes());
            }
            self.collect().await;
            return Ok(Step::Done);
        };
        let (releases, token) = (&self.retention.releases, request.token.clone());
        match releases.delete(&self.application, &release.version, token).await {
            Ok(tombstone) => {
                self.outcome.deleted.push(tombstone);
                self.progress.objects += 1;
                self.running.note(self.progress.text());
            }
            Err(AppError::Held { holders, .. }) => self.outcome.kept.push((release, holders)),
            // Another request deleted the release first.
            Err(AppError::Gone { .. } | AppError::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
        Ok(Step::Continue)
    }

    /// Answers the client, which must learn of the completed deletions.
    async fn ended(&mut self, outcome: Result<(), AppError>) {
        jobs::log(Self::NAME, &outcome);
        if outcome.is_err() {
            self.collect().await;
        }
        let mut done = std::mem::take(&mut self.outcome);
        let answer = match outcome {
            Ok(()) => Ok(done),
            Err(error) if done.deleted.is_empty() => Err(error),
            Err(error) => {
                done.failure = Some(error);
                Ok(done)
            }
        };
        if let Some(client) = self.answer.take() {
            // The client may have disconnected.
            let _ = client.send(answer);
        }
    }
}

impl Applying {
    /// Returns the releases to delete, the next one last. Saves the request before the first
    /// deletion, so that another process can resume.
    async fn planned(&mut self) -> Result<Vec<InventoryRelease>, AppError> {
        let Some(Request { only, .. }) = &self.request else { return Ok(Vec::new()) };
        let verdicts = self.retention.verdicts(&self.application).await?.into_iter().rev();
        let is_meant = |release: &InventoryRelease| {
            only.as_ref().is_none_or(|only| only.contains(&release.digest))
        };
        let going = verdicts.filter(|verdict| verdict.goes && is_meant(&verdict.release));
        let going: Vec<_> = going.map(|verdict| verdict.release).collect();
        if !going.is_empty() {
            self.progress.owes_collection = true;
            let cursor = serde_json::to_string(&self.request).unwrap_or_default();
            let catalog = &self.retention.catalog;
            let save = |job, now_secs| catalog.save_job(job, now_secs);
            self.running.save(cursor, self.progress.text(), save).await?;
        }
        Ok(going)
    }

    /// Starts a collection if releases were deleted, here or by a runner that died.
    async fn collect(&mut self) {
        if self.outcome.deleted.is_empty() && !self.inherits_debt {
            return;
        }
        match self.retention.collector.start_collecting(CollectOptions::default()).await {
            Ok(()) => {
                self.progress.owes_collection = false;
                self.running.note(self.progress.text());
            }
            Err(error) => drop(self.outcome.failure.get_or_insert(error)),
        }
    }
}

#[cfg(test)]
mod tests;
