//! The kernel of jobs: one runner among all processes, in steps, with a heartbeat beside them.
//!
//! A job is claimed in the catalog, runs on a thread of its own, and ends there: complete, failed,
//! or stopped. The heartbeat runs on its own, because a single step may take minutes and a job
//! without a heartbeat is taken over. It saves progress that changed, and learns if the job was
//! told to stop or was taken by another runner.
//!
//! # Invariants
//!
//! 1. Of each kind and subject, one job runs at a time, however many processes serve the catalog. A
//!    runner that lost its job saves nothing more.
//! 2. A runner has a new id for each claim, so that a job that was stopped and claimed again in the
//!    same process is not continued by its first runner.
//! 3. One transaction ends a job and takes the request for another round. A request is therefore
//!    served by a round that began after the request.
//!
//! # After a crash
//!
//! The job has no end and no heartbeat. After [`PATIENCE_SECS`] every process shows it as
//! interrupted. The next claim resumes it, or begins another one, as the kind of the job chooses. A
//! request that the dead runner had accepted stays in the row, for the next one.
//!
//! | kind | subject | begins | after a crash |
//! |---|---|---|---|
//! | `collection` | | a timer, a request, the end of `retention` | the next one collects the rest; a request beside it is taken over |
//! | `check` | | a request | the next request resumes it |
//! | `retention` | an application | a timer, a request | another process resumes it |
//! | `deliver` | a webhook | a due message | another process sends the message again |
//! | `mirror` | a mirror | an interval, a request | another process begins anew |
//! | `backup` | | a request, and runs as long as its answer | nothing: a copy is of one moment |

use std::error::Error;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::AppError;
use crate::catalog::jobs::{ClaimJob, Job, JobEnd, JobEnded, JobKind, JobName, RunnerState};
use crate::catalog::{Catalog, CatalogError};
use crate::host::Host;

mod status;

pub use status::{JobProgress, JobState, JobStatus};

/// The time without a heartbeat after which a runner counts as dead, in seconds.
pub(in crate::app) const PATIENCE_SECS: u64 = 6;
/// The interval between heartbeats.
const BEAT_EVERY: Duration = Duration::from_secs(PATIENCE_SECS / 6);

/// The work of a job, in steps.
///
/// A job that was told to stop ends after its present step. A step may take hours: one step of a
/// check is a whole phase, and one step of a collection the whole collection. Such a step tests for
/// a stop itself, and returns [`AppError::Stopped`].
pub(in crate::app) trait Work: Send + 'static {
    /// The name of the work, in messages.
    const NAME: &'static str;

    /// Does one step. An error ends the job as failed, or as stopped if it is
    /// [`AppError::Stopped`].
    async fn step(&mut self) -> Result<Step, AppError>;

    /// Prepares another round, because of a request that was made during the last one. By default
    /// does nothing: of most kinds, nobody requests another round.
    fn go_on(&mut self, _request: &str) {}

    /// Acts on the end of a round, which is recorded. By default writes it to the log.
    async fn ended(&mut self, outcome: Result<(), AppError>) {
        log(Self::NAME, &outcome);
    }
}

/// Writes the end of a job to the log.
pub(in crate::app) fn log(job: &str, outcome: &Result<(), AppError>) {
    match outcome {
        Ok(()) => tracing::info!("{job} is complete"),
        Err(AppError::Stopped { .. }) => tracing::info!("{job} was stopped"),
        Err(error) => tracing::error!(error = error as &dyn Error, "{job} failed"),
    }
}

/// The outcome of a step.
pub(in crate::app) enum Step {
    /// Another step follows.
    Continue,
    /// Another step follows after a pause.
    Wait(Duration),
    /// The work is done.
    Done,
}

/// The jobs of the catalog, as this process runs them.
#[derive(Clone)]
pub struct Kernel {
    pub(super) catalog: Catalog,
    pub(super) host: Arc<dyn Host>,
}

/// The way to claim a job.
#[derive(Clone)]
pub(in crate::app) struct Order {
    pub(in crate::app) name: JobName,
    /// The time without a heartbeat after which the last runner counts as dead, in seconds.
    pub(in crate::app) patience_secs: u64,
    /// True to start over instead of resuming a job that did not complete.
    pub(in crate::app) restart: bool,
}

impl Kernel {
    pub(in crate::app) fn new(catalog: Catalog, host: Arc<dyn Host>) -> Self {
        Self { catalog, host }
    }

    /// Claims a job. `begin` makes the progress of a new one from the one before. Returns `None`
    /// while another runner is alive.
    ///
    /// # Errors
    /// Fails if the catalog fails, or the system provides no random bytes.
    pub(in crate::app) async fn claim(
        &self,
        order: Order,
        begin: impl Fn(Option<&Job>) -> String + Send + 'static,
    ) -> Result<Option<(Arc<Running>, Job)>, AppError> {
        let runner = self.host.random().ok_or_else(|| AppError::Internal {
            action: "name the runner of a job",
            source: "the system provides no random bytes".into(),
        })?;
        let Order { name, patience_secs, restart } = order;
        let now_secs = self.host.now_secs();
        let claim = ClaimJob { name, runner, now_secs, patience_secs, restart };
        let Some(job) = self.catalog.claim_job(claim, begin).await? else { return Ok(None) };
        let running = Running::new(self.catalog.clone(), Arc::clone(&self.host), job.clone());
        Ok(Some((running, job)))
    }

    /// Requests that the running job goes on when it is done, in whichever process it runs. `merge`
    /// makes the request from an earlier one. Returns false if no runner is alive.
    ///
    /// # Errors
    /// Fails if the catalog fails.
    pub(in crate::app) async fn request(
        &self,
        kind: JobKind,
        merge: impl Fn(&str) -> String + Send + 'static,
    ) -> Result<bool, AppError> {
        let now_secs = self.host.now_secs();
        Ok(self.catalog.request_job(kind, now_secs, PATIENCE_SECS, merge).await?)
    }
}

/// A claimed job with its work, ready to run.
pub(in crate::app) struct Task<W> {
    pub(in crate::app) running: Arc<Running>,
    pub(in crate::app) work: W,
}

impl<W: Work> Task<W> {
    /// Runs the job on a thread of its own.
    ///
    /// # Errors
    /// Fails if the system has no thread to give. The job then appears as interrupted.
    pub(in crate::app) fn spawn(self) -> Result<(), AppError> {
        let internal = |source| AppError::Internal { action: "start a job", source };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.map_err(|error| internal(error.into()))?;
        let name = format!("seawall-{}", self.running.kind().name());
        let work = move || runtime.block_on(self.run());
        let thread = std::thread::Builder::new().name(name).spawn(work);
        thread.map(|_| ()).map_err(|error| internal(error.into()))
    }

    /// Runs the job to its end, and on for as long as it is requested.
    pub(in crate::app) async fn run(self) {
        let Self { running, mut work } = self;
        let job = running.kind().name();
        let _heartbeat = running.beating();
        loop {
            let outcome = steps(&running, &mut work).await;
            let end = running.end(outcome.as_ref().err().map(ToString::to_string)).await;
            work.ended(outcome).await;
            match end {
                Ok(None) => return,
                Ok(Some(request)) => work.go_on(&request),
                // The job later appears as interrupted.
                Err(error) => return tracing::error!(%error, job, "cannot record the end of a job"),
            }
        }
    }
}

/// Works until the work is done or told to stop.
async fn steps<W: Work>(running: &Running, work: &mut W) -> Result<(), AppError> {
    loop {
        match work.step().await? {
            Step::Done => return Ok(()),
            Step::Continue => {}
            Step::Wait(pause) if !running.is_stopped() => tokio::time::sleep(pause).await,
            Step::Wait(_) => {}
        }
        if running.is_stopped() {
            return Err(AppError::Stopped { what: W::NAME });
        }
    }
}

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
struct Heartbeat(JoinHandle<()>);

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Running {
    fn new(catalog: Catalog, host: Arc<dyn Host>, job: Job) -> Arc<Self> {
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

    fn kind(&self) -> JobKind {
        self.with(|job| job.id.kind)
    }

    /// Starts the heartbeat.
    fn beating(self: &Arc<Self>) -> Heartbeat {
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

    /// Changes the progress, which the heartbeat saves at once.
    pub(in crate::app) fn tell(&self, progress: String) {
        self.note(progress);
        self.changed.notify_one();
    }

    /// Changes the progress, which the next heartbeat saves.
    pub(in crate::app) fn note(&self, progress: String) {
        self.with(|job| job.progress = progress);
        self.is_changed.store(true, Ordering::Release);
    }

    /// Saves a cursor and progress at once, in the transaction of `save`. Until then neither is
    /// part of the job: what `save` records beside them is never ahead or behind.
    pub(in crate::app) async fn save<F>(
        &self,
        cursor: String,
        progress: String,
        save: impl FnOnce(Job, u64) -> F,
    ) -> Result<RunnerState, AppError>
    where
        F: Future<Output = Result<RunnerState, CatalogError>>,
    {
        let _turn = self.turn.lock().await;
        let job = Job { cursor, progress, ..self.with(|job| job.clone()) };
        let state = save(job.clone(), self.host.now_secs()).await?;
        match state {
            RunnerState::Going => self.with(|saved| *saved = job),
            RunnerState::Stopped | RunnerState::Lost => self.stop(),
        }
        Ok(state)
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
