//! The start, the stop and the status of checks, the same in all processes that serve a catalog.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use super::{Check, PAGE_COUNT, PHASES};
use crate::app::AppError;
use crate::app::jobs::{JobState, Order, PATIENCE_SECS, Task};
use crate::app::maintenance::fsck::Checker;
use crate::catalog::check::Findings;
use crate::catalog::jobs::{Job, JobKind};

/// The items that checks of this process examined.
#[derive(Default)]
pub(in crate::app) struct Tally {
    pub(super) objects: AtomicU64,
    pub(super) bytes: AtomicU64,
}

/// The parameters of a check.
#[derive(Clone, Copy, Debug)]
pub struct FsckOrder {
    /// The maximum read rate, in bytes per second; 0 for no limit.
    pub rate: u64,
    /// True to start over instead of resuming an interrupted check.
    pub restart: bool,
}

/// The progress of a check, which the next runner resumes. Migrations of the catalog write it, too.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct FsckProgress {
    /// Limit of the read rate, in bytes per second; 0 for no limit.
    pub rate: u64,
    /// The current phase, as a position in the list of phases.
    pub phase: u32,
    /// The number of objects and rows checked.
    pub objects: u64,
    /// The number of bytes read.
    pub bytes: u64,
    /// The approximate number of bytes to read, estimated at the start.
    pub total_bytes: u64,
    /// The number of objects that nothing needs.
    pub reclaimable_count: u64,
    /// Total length of those objects, in bytes.
    pub reclaimable_bytes: u64,
}

impl FsckProgress {
    pub(super) fn of(job: &Job) -> Option<Self> {
        serde_json::from_str(&job.progress).ok()
    }

    pub(super) fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The progress and the findings of the latest check.
#[derive(Clone, Debug)]
pub struct FsckStatus {
    /// The state of the check; `None` if there was none.
    pub state: Option<JobState>,
    /// The number of the check, from 1.
    pub run: u64,
    /// Start of the check, in seconds since 1970-01-01 UTC.
    pub started_at_secs: u64,
    /// End of the check, in seconds since 1970-01-01 UTC; `None` until the check has covered
    /// everything.
    pub completed_at_secs: Option<u64>,
    /// The reason the check failed, if it did.
    pub failure: Option<String>,
    /// The progress of the check.
    pub progress: FsckProgress,
    /// The name of the current phase.
    pub phase: &'static str,
    /// The findings of the check.
    pub found: Findings,
    /// The time of the last complete check, in seconds since 1970-01-01 UTC.
    pub last_complete_at_secs: Option<u64>,
}

impl FsckStatus {
    const NEVER: Self = Self {
        state: None,
        run: 0,
        started_at_secs: 0,
        completed_at_secs: None,
        failure: None,
        progress: FsckProgress {
            rate: 0,
            phase: 0,
            objects: 0,
            bytes: 0,
            total_bytes: 0,
            reclaimable_count: 0,
            reclaimable_bytes: 0,
        },
        phase: "",
        found: Findings { list: Vec::new(), damage: Vec::new() },
        last_complete_at_secs: None,
    };

    fn of(job: Job, found: Findings, now_secs: u64) -> Self {
        let state = JobState::of(&job, now_secs);
        let progress = FsckProgress::of(&job).unwrap_or_default();
        let phase = usize::try_from(progress.phase).ok().and_then(|at| PHASES.get(at));
        let (completed_at_secs, failure) = match job.end {
            Some(end) if state == JobState::Complete => (Some(end.at_secs), None),
            Some(end) if state == JobState::Failed => (None, end.failure),
            _ => (None, None),
        };
        Self {
            state: Some(state),
            run: job.id.run,
            started_at_secs: job.started_at_secs,
            completed_at_secs,
            failure,
            progress,
            phase: phase.map_or("", |(_, name)| name),
            found,
            last_complete_at_secs: None,
        }
    }
}

/// The figures of checks and backups, for monitoring.
#[derive(Clone, Debug, Default)]
pub struct FsckTally {
    /// The number of objects and rows checked by this process.
    pub objects: u64,
    /// The number of bytes read and hashed by this process.
    pub bytes: u64,
    /// The damage found by the latest check, by kind.
    pub damage: Vec<(String, u64)>,
    /// The number of releases with known damage, counted up to 1000.
    pub damaged_releases: u64,
    /// The time of the last complete check, in seconds since 1970-01-01 UTC.
    pub last_complete_at_secs: Option<u64>,
    /// The time of the last complete backup, in seconds since 1970-01-01 UTC.
    pub last_backup_at_secs: Option<u64>,
}

impl Checker {
    /// Starts a check, or resumes an interrupted one, in the background. Succeeds if a check
    /// already runs, which then serves the order.
    ///
    /// # Errors
    /// [`AppError::CheckRuns`] if a check runs and `order` demands a restart; also fails if the
    /// catalog fails.
    pub async fn start_fsck(self: &Arc<Self>, order: FsckOrder) -> Result<(), AppError> {
        let FsckOrder { rate, restart } = order;
        let total_bytes = self.catalog.packs_len().await?;
        let begin = FsckProgress { rate, total_bytes, ..FsckProgress::default() }.text();
        let job = Order { name: JobKind::Check.into(), patience_secs: PATIENCE_SECS, restart };
        match self.kernel.claim(job, move |_| begin.clone()).await? {
            Some((running, job)) => {
                let work = Check::resume(Arc::clone(self), Arc::clone(&running), job, rate);
                Task { running, work }.spawn()
            }
            None if restart => Err(AppError::CheckRuns),
            None => Ok(()),
        }
    }

    /// Stops the current check, in whichever process it runs.
    ///
    /// # Errors
    /// Fails if the catalog fails.
    pub async fn stop_fsck(&self) -> Result<(), AppError> {
        Ok(self.catalog.stop_job(JobKind::Check).await?)
    }

    /// Returns the progress of the latest check, and at most `limit` findings.
    ///
    /// # Errors
    /// Fails if the catalog fails.
    pub async fn fsck_status(&self, limit: u32) -> Result<FsckStatus, AppError> {
        let Some(job) = self.catalog.newest_job(JobKind::Check).await? else {
            return Ok(FsckStatus::NEVER);
        };
        let found = self.catalog.findings(job.id.run, limit).await?;
        let last_complete_at_secs = self.catalog.last_complete_job(JobKind::Check).await?;
        let status = FsckStatus::of(job, found, self.host.now_secs());
        Ok(FsckStatus { last_complete_at_secs, ..status })
    }

    /// Returns the figures of checks and backups.
    ///
    /// # Errors
    /// Fails if the catalog fails.
    pub async fn fsck_tally(&self) -> Result<FsckTally, AppError> {
        let status = self.fsck_status(0).await?;
        let damaged = self.catalog.damaged_releases(PAGE_COUNT).await?;
        Ok(FsckTally {
            objects: self.tally.objects.load(Ordering::Relaxed),
            bytes: self.tally.bytes.load(Ordering::Relaxed),
            damage: status.found.damage,
            damaged_releases: damaged.len() as u64,
            last_complete_at_secs: status.last_complete_at_secs,
            last_backup_at_secs: self.catalog.last_complete_job(JobKind::Backup).await?,
        })
    }
}
