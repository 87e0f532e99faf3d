//! The runs of mirrors, a job for each mirror.
//!
//! # Invariants
//!
//! 1. Of each mirror, one process copies at a time.
//! 2. A run that ends early leaves content without names, which the next one finds.
//!
//! # After a crash
//!
//! After the patience of the kernel, another process begins the run anew. It finds what arrived,
//! and copies the rest.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::Mirrors;
use super::carrier::{Amount, Carried, Carrier, Errand, Watch};
use super::status::{Progress, is_due};
use crate::app::AppError;
use crate::app::jobs::{self, Order, PATIENCE_SECS, Running, Step, Task, Work};
use crate::catalog::jobs::{Job, JobKind};
use crate::catalog::mirrors::Mirror;
use crate::tokens::Grants;

/// The interval of looks for a stop.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The maximum number of remarks about what a run left alone.
const LEFT_ALONE_MAX: usize = 100;
/// The maximum number of channels whose moves are noted.
const CHANNELS_MAX: usize = 20_000;
/// The maximum length of an error in the status, in bytes.
const ERROR_LEN_MAX: usize = 2048;

/// The means of a process to run mirrors.
#[derive(Clone)]
pub struct Means {
    /// The flow that copies.
    pub carrier: Arc<dyn Carrier>,
    /// The address at which this process reaches its registry.
    pub own_url: String,
    /// The rights to use the registry.
    pub grants: Arc<Grants>,
}

impl Mirrors {
    /// Returns the mirrors that are to run, and that no process runs.
    ///
    /// # Errors
    /// Fails if the catalog fails.
    pub async fn due(&self) -> Result<Vec<Mirror>, AppError> {
        if self.catalog.barrier().is_some() {
            return Ok(Vec::new());
        }
        let now_secs = self.host.now_secs();
        let rows = self.catalog.mirrors().await?;
        let due = rows.into_iter().filter(|row| is_due(row, now_secs));
        Ok(due.map(|row| row.mirror).collect())
    }

    /// Runs a mirror to the end of one run. Does nothing if another process runs it.
    ///
    /// # Errors
    /// Fails if the catalog fails.
    pub async fn run(&self, mirror: Mirror, means: Means) -> Result<(), AppError> {
        let name = JobKind::Mirror.of(mirror.name.as_str());
        let order = Order { name, patience_secs: PATIENCE_SECS, restart: true };
        let request_count = mirror.request_count;
        let begin = move |before: Option<&Job>| Progress::next(before, request_count).text();
        let Some((running, job)) = self.kernel.claim(order, begin).await? else { return Ok(()) };
        let progress = Arc::new(Mutex::new(Progress::of(&job)));
        let seen = Seen { running: Arc::clone(&running), progress };
        let work = Run { mirrors: self.clone(), mirror, means, seen: Arc::new(seen), job };
        Task { running, work }.run().await;
        Ok(())
    }
}

/// The progress of a run, as its flow reports it.
struct Seen {
    running: Arc<Running>,
    progress: Arc<Mutex<Progress>>,
}

impl Seen {
    fn read<T>(&self, look: impl FnOnce(&Progress) -> T) -> T {
        look(&self.progress.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note(&self, change: impl FnOnce(&mut Progress)) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut progress);
        self.running.note(progress.text());
    }
}

impl Watch for Seen {
    fn lacks(&self, amount: Amount) {
        self.note(|progress| {
            progress.behind = amount;
            progress.total_bytes = amount.bytes;
        });
    }

    fn sent(&self, bytes: u64) {
        self.note(|progress| {
            progress.bytes += bytes;
            progress.behind.bytes = progress.behind.bytes.saturating_sub(bytes);
        });
    }

    fn agreed(&self, channel: String, sequence: u64) {
        self.note(|progress| {
            // A channel that is not noted is left alone once it differs.
            if progress.channels.len() < CHANNELS_MAX || progress.channels.contains_key(&channel) {
                progress.channels.insert(channel, sequence);
            }
        });
    }

    fn copied(&self) {
        self.note(|progress| {
            progress.objects += 1;
            progress.behind.releases = progress.behind.releases.saturating_sub(1);
        });
    }
}

/// A run in progress.
struct Run {
    mirrors: Mirrors,
    mirror: Mirror,
    means: Means,
    seen: Arc<Seen>,
    job: Job,
}

impl Work for Run {
    const NAME: &'static str = "the run of a mirror";

    /// Copies everything. One step is the whole run, which ends at once if it is stopped.
    async fn step(&mut self) -> Result<Step, AppError> {
        let Means { carrier, own_url, grants } = &self.means;
        let grant = grants.open(&format!("mirror/{}", self.mirror.name))?;
        let channels = self.seen.read(|progress| progress.channels.clone());
        let (mirror, own_url) = (self.mirror.clone(), own_url.clone());
        let errand = Errand { mirror, channels, own_url, grant };
        let watch = Arc::clone(&self.seen) as Arc<dyn Watch>;
        let stopped = async {
            while !self.seen.running.is_stopped() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        let outcome = tokio::select! {
            outcome = carrier.carry(errand, watch) => outcome,
            () = stopped => return Err(AppError::Stopped { what: Self::NAME }),
        };
        let failed_before = self.settle(&outcome);
        let failure = outcome.as_ref().err().cloned();
        if failed_before != failure.is_some() {
            let Mirrors { catalog, host, .. } = &self.mirrors;
            let (mirror, failure) = (self.mirror.clone(), failure);
            catalog.log_mirror_state(mirror, failure, host.now_secs()).await?;
        }
        outcome.map(|_| Step::Done).map_err(|why| AppError::Failed { why })
    }

    /// Writes to the log what changed: a run that failed or recovered, or copied something.
    async fn ended(&mut self, outcome: Result<(), AppError>) {
        let mirror = &self.mirror.name;
        let progress = self.seen.read(Progress::clone);
        match outcome {
            Ok(()) if progress.objects > 0 => {
                let Progress { objects, bytes, .. } = progress;
                tracing::info!(%mirror, releases = objects, bytes, "a mirror has copied");
            }
            Ok(()) => tracing::debug!(%mirror, "a mirror found nothing to copy"),
            Err(AppError::Failed { why }) if progress.failure_count == 1 => {
                tracing::warn!(%mirror, why, "a mirror failed, and is tried again");
            }
            Err(AppError::Failed { why }) => tracing::debug!(%mirror, why, "a mirror still fails"),
            outcome => jobs::log(Self::NAME, &outcome),
        }
    }
}

impl Run {
    /// Puts the outcome of the run into the progress. Returns true if the run before had failed.
    fn settle(&self, outcome: &Result<Carried, String>) -> bool {
        let now_secs = self.mirrors.host.now_secs();
        let mut had_failed = false;
        self.seen.note(|progress| {
            had_failed = progress.failure_count > 0;
            match outcome {
                Ok(carried) => {
                    progress.deleted += carried.deleted;
                    progress.left_alone = carried.left_alone.clone();
                    progress.left_alone.truncate(LEFT_ALONE_MAX);
                    progress.behind = Amount::default();
                    progress.synced_at_secs = Some(self.job.started_at_secs);
                    progress.succeeded_at_secs = Some(now_secs);
                    progress.failure_count = 0;
                    progress.error = None;
                }
                Err(why) => {
                    progress.failure_count = progress.failure_count.saturating_add(1);
                    progress.error = Some(why[..why.floor_char_boundary(ERROR_LEN_MAX)].to_owned());
                }
            }
        });
        had_failed
    }
}
