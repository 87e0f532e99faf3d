//! Fsck, the check of the registry: reads and hashes every object, follows every reference, and
//! compares every row with the store, while pushes and pulls continue.
//!
//! A check is not a repair: it corrects only what follows from other data of the registry (a record
//! from its row, a row from its pack). Damaged content is quarantined, so that the next push or
//! repair brings it again, and the releases that need it are marked.
//!
//! # Invariants
//!
//! 1. Findings and progress are saved in one transaction: a killed check resumes where it was and
//!    reports nothing twice.
//! 2. One check runs at a time, however many processes serve the directory.
//! 3. An unreferenced object is reclaimable, never damage. An object that vanished together with
//!    its row is neither.
//! 4. A failing store ends the check and is not reported as damage.
//!
//! # Concurrency
//!
//! | running ↓ / starting → | upload, publish | pull | deletion of an object |
//! |---|---|---|---|
//! | fsck | an object without its row yet is reported as reclaimable | free | its row is read again before anything is reported |

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::TryStreamExt;
use seawall_store::error::StoreError;
use seawall_store::port::{ObjectKind, ObjectName};

use crate::app::content::objects::{self, Found, Typed};
use crate::app::maintenance::kernel::PATIENCE_SECS;
use crate::app::{AppError, Registry};
use crate::catalog::CatalogError;
use crate::catalog::check::{CheckRun, ClaimCheck, ClaimedCheck, Class, Finding, Findings};
use crate::catalog::collect::Grip;

mod beat;
mod content;
mod findings;
mod footers;
mod names;
mod pace;
mod packs;
mod releases;

use beat::Beat;
use footers::Footers;
use pace::Pace;

/// The default read rate, in bytes per second: half the throughput of a plain disk.
pub const RATE_DEFAULT: u64 = 128 << 20;
/// The time to wait for a stopped check to end before the next one starts.
const STOP_WAIT_MAX: Duration = Duration::from_secs(3);
/// The delay between polls for the end of a stopped check.
const STOP_PAUSE: Duration = Duration::from_millis(20);
/// The interval between saves of a check's progress.
const SAVE_EVERY: Duration = Duration::from_millis(500);
/// Rows per catalog query.
const PAGE_COUNT: u32 = 1000;
/// The maximum number of reclaimable objects listed. Further ones are only counted.
const RECLAIMABLE_NAMED: u64 = 1000;

/// The phases of a check, in order. Releases and indexes are checked before packs and leaves, so
/// that the bulk of the content is checked with its references known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Catalog,
    Names,
    Releases,
    Indexes,
    Packs,
    PackRows,
    Leaves,
    LeafRows,
    Documents,
    Descriptors,
    Moves,
}

const PHASES: [(Phase, &str); 11] = [
    (Phase::Catalog, "catalog"),
    (Phase::Names, "names"),
    (Phase::Releases, "releases"),
    (Phase::Indexes, "indexes"),
    (Phase::Packs, "packs"),
    (Phase::PackRows, "rows of packs"),
    (Phase::Leaves, "leaves"),
    (Phase::LeafRows, "rows of leaves"),
    (Phase::Documents, "release documents"),
    (Phase::Descriptors, "descriptors"),
    (Phase::Moves, "channels"),
];

/// The state of checks in this process; one per registry.
#[derive(Default)]
pub(in crate::app) struct Checks {
    is_running: AtomicBool,
    objects: AtomicU64,
    bytes: AtomicU64,
}

/// The right to run the one check of this process, released on drop.
struct Turn(Arc<Registry>);

impl Turn {
    fn take(registry: &Arc<Registry>) -> Option<Self> {
        let taken = registry.checks.is_running.swap(true, Ordering::AcqRel);
        (!taken).then(|| Self(Arc::clone(registry)))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.checks.is_running.store(false, Ordering::Release);
    }
}

/// The parameters of a check.
#[derive(Clone, Copy, Debug)]
pub struct FsckOrder {
    /// The maximum read rate, in bytes per second; 0 for no limit.
    pub rate: u64,
    /// True to start over instead of resuming an interrupted check.
    pub restart: bool,
}

/// The state of a check.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // as in the contract
pub enum FsckState {
    Never,
    Running,
    Interrupted,
    Stopped,
    Failed,
    Complete,
}

/// The progress and the findings of the latest check.
#[derive(Clone, Debug)]
pub struct FsckStatus {
    /// The state of the check.
    pub state: FsckState,
    /// The progress of the check.
    pub run: CheckRun,
    /// The name of the current phase.
    pub phase: &'static str,
    /// The findings of the check.
    pub found: Findings,
    /// The time of the last complete check, in seconds since 1970-01-01 UTC.
    pub last_complete_at_secs: Option<u64>,
}

/// The figures of checks, for monitoring.
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
}

impl Registry {
    /// Starts a check, or resumes an interrupted one, in the background.
    ///
    /// # Errors
    /// [`AppError::CheckRuns`] if a check runs and `order` demands a restart; [`AppError::Busy`] if
    /// a stopped check has not ended yet; or the error of the catalog.
    pub async fn start_fsck(self: &Arc<Self>, order: FsckOrder) -> Result<(), AppError> {
        let Some(turn) = self.turn().await? else { return runs_already(order) };
        let claim = ClaimCheck {
            runner: self.runner,
            now_secs: self.host.now_secs(),
            patience_secs: PATIENCE_SECS,
            rate: order.rate,
            restart: order.restart,
        };
        let ClaimedCheck::Yours(mut run) = self.catalog.claim_check(claim).await? else {
            return runs_already(order);
        };
        if run.total_bytes == 0 {
            run.total_bytes = self.catalog.packs_len().await?;
            self.catalog.save_check(run.clone(), vec![]).await?;
        }
        tokio::spawn(Check::new(turn, run).run());
        Ok(())
    }

    /// Takes the turn to check. Waits briefly for a check that is over but has not returned its
    /// turn. Returns `None` if a check is still running.
    async fn turn(self: &Arc<Self>) -> Result<Option<Turn>, AppError> {
        let deadline = Instant::now() + STOP_WAIT_MAX;
        loop {
            if let Some(turn) = Turn::take(self) {
                return Ok(Some(turn));
            }
            let run = self.catalog.check_run().await?;
            let is_over = |run: &CheckRun| {
                run.is_stopped || run.completed_at_secs.is_some() || run.failure.is_some()
            };
            if !run.as_ref().is_some_and(is_over) {
                return Ok(None);
            }
            if Instant::now() >= deadline {
                return Err(AppError::Busy { what: "the stopped check has not ended yet" });
            }
            tokio::time::sleep(STOP_PAUSE).await;
        }
    }

    /// Stops the current check, in whichever process it runs.
    ///
    /// # Errors
    /// Fails if the catalog fails.
    pub async fn stop_fsck(&self) -> Result<(), AppError> {
        Ok(self.catalog.stop_check().await?)
    }

    /// Returns the progress of the latest check, and at most `limit` findings.
    ///
    /// # Errors
    /// Fails if the catalog fails.
    pub async fn fsck_status(&self, limit: u32) -> Result<FsckStatus, AppError> {
        let run = self.catalog.check_run().await?;
        let last_complete_at_secs = self.catalog.last_complete_check().await?;
        let Some(run) = run else {
            let (state, found) = (FsckState::Never, Findings::default());
            let run = CheckRun::default();
            return Ok(FsckStatus { state, run, phase: "", found, last_complete_at_secs });
        };
        let found = self.catalog.findings(run.run, limit).await?;
        let is_alive = run.beat_at_secs.saturating_add(PATIENCE_SECS) > self.host.now_secs();
        let state = if run.completed_at_secs.is_some() {
            FsckState::Complete
        } else if run.failure.is_some() {
            FsckState::Failed
        } else if run.is_stopped {
            FsckState::Stopped
        } else if is_alive {
            FsckState::Running
        } else {
            FsckState::Interrupted
        };
        let phase = PHASES.get(run.phase as usize).map_or("", |(_, name)| name);
        Ok(FsckStatus { state, run, phase, found, last_complete_at_secs })
    }

    /// Returns the figures of checks.
    ///
    /// # Errors
    /// Fails if the catalog fails.
    pub async fn fsck_tally(&self) -> Result<FsckTally, AppError> {
        let status = self.fsck_status(0).await?;
        let damaged = self.catalog.damaged_releases(PAGE_COUNT).await?;
        Ok(FsckTally {
            objects: self.checks.objects.load(Ordering::Relaxed),
            bytes: self.checks.bytes.load(Ordering::Relaxed),
            damage: status.found.damage,
            damaged_releases: damaged.len() as u64,
            last_complete_at_secs: status.last_complete_at_secs,
        })
    }
}

/// Responds to an order while a check runs: fails if the order demands a restart, and otherwise
/// succeeds, because the running check serves the order.
fn runs_already(order: FsckOrder) -> Result<(), AppError> {
    if order.restart { Err(AppError::CheckRuns) } else { Ok(()) }
}

/// The reason for the early end of a check.
enum Halt {
    /// The check was stopped, or taken over by another process.
    Stopped,
    Failed(AppError),
}

impl From<AppError> for Halt {
    fn from(error: AppError) -> Self {
        Self::Failed(error)
    }
}

impl From<CatalogError> for Halt {
    fn from(error: CatalogError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<StoreError> for Halt {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

/// A check in progress.
struct Check {
    registry: Arc<Registry>,
    run: CheckRun,
    /// The findings since the last save.
    found: Vec<Finding>,
    saved: Instant,
    pace: Pace,
    footers: Footers,
    _turn: Turn,
}

impl Check {
    fn new(turn: Turn, run: CheckRun) -> Self {
        let registry = Arc::clone(&turn.0);
        let pace = Pace::new(run.rate);
        let (found, footers) = (Vec::new(), Footers::default());
        Self { registry, run, found, saved: Instant::now(), pace, footers, _turn: turn }
    }

    async fn run(mut self) {
        tracing::info!(
            run = self.run.run,
            phase = self.run.phase,
            "a check of the store is running"
        );
        let _beat = Beat::start(Arc::clone(&self.registry), self.run.run);
        match self.phases().await {
            Ok(()) => tracing::info!(run = self.run.run, "a check of the store is complete"),
            Err(Halt::Stopped) => {
                tracing::info!(run = self.run.run, "the check of the store was stopped")
            }
            Err(Halt::Failed(error)) => {
                tracing::error!(%error, "the check of the store failed");
                self.run.failure = Some(error.to_string());
                // If the catalog itself failed, the check later appears as interrupted.
                let _ = self.save().await;
            }
        }
    }

    async fn phases(&mut self) -> Result<(), Halt> {
        while let Some((phase, _)) = PHASES.get(self.run.phase as usize) {
            self.save().await?;
            match phase {
                Phase::Catalog => self.catalog().await?,
                Phase::Names => self.objects(ObjectKind::Name).await?,
                Phase::Releases => self.releases().await?,
                Phase::Indexes => self.objects(ObjectKind::Index).await?,
                Phase::Packs => self.objects(ObjectKind::Pack).await?,
                Phase::PackRows => self.pack_rows().await?,
                Phase::Leaves => self.objects(ObjectKind::Leaf).await?,
                Phase::LeafRows => self.leaf_rows().await?,
                Phase::Documents => self.objects(ObjectKind::Release).await?,
                Phase::Descriptors => self.descriptors().await?,
                Phase::Moves => self.moves().await?,
            }
            self.run.phase += 1;
            self.run.cursor.clear();
        }
        self.run.completed_at_secs = Some(self.registry.host.now_secs());
        self.save().await
    }

    /// Runs the catalog engine's own check of its file.
    async fn catalog(&mut self) -> Result<(), Halt> {
        let faults = self.registry.catalog.check_rows().await?;
        if !faults.is_empty() {
            self.catalog_damage("catalog".to_owned(), faults.join("; ")).await;
        }
        self.done(String::new(), 0).await
    }

    /// Checks the remaining objects of a kind, in the order of their paths.
    async fn objects(&mut self, kind: ObjectKind) -> Result<(), Halt> {
        for (path, name) in self.listed(kind).await? {
            let len = match &name {
                ObjectName::Pack(digest) => self.pack(*digest).await?,
                ObjectName::Leaf(digest) => self.leaf(*digest).await?,
                ObjectName::Index(digest) => self.index(*digest).await?,
                ObjectName::Release(digest) => self.document(*digest).await?,
                ObjectName::Name(_) => self.record(&name).await?,
                ObjectName::Descriptor(_) => 0,
            };
            self.done(path, len).await?;
        }
        Ok(())
    }

    /// Lists the remaining objects of a kind, in the order of their paths.
    async fn listed(&self, kind: ObjectKind) -> Result<Vec<(String, ObjectName)>, Halt> {
        let names: Vec<_> = self.registry.store.list(kind).try_collect().await?;
        let mut listed: Vec<_> = names.into_iter().map(|name| (name.path(), name)).collect();
        listed.retain(|(path, _)| *path > self.run.cursor);
        listed.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        Ok(listed)
    }

    /// Reads an object, with its length in bytes.
    async fn read<D: Typed>(&self, digest: D) -> Result<Found<(D::Object, u64)>, Halt> {
        let decode = |bytes: &Bytes| Ok((D::decode(bytes)?, bytes.len() as u64));
        Ok(objects::read_with(&*self.registry.store, &digest.name(), decode).await?)
    }

    /// Reads the bytes of an object that has no type.
    async fn read_bytes(&self, name: &ObjectName) -> Result<Found<Bytes>, Halt> {
        Ok(objects::read_with(&*self.registry.store, name, |bytes| Ok(bytes.clone())).await?)
    }

    /// Counts one checked item. Saves at intervals, and throttles to the rate.
    async fn done(&mut self, cursor: String, len: u64) -> Result<(), Halt> {
        self.run.cursor = cursor;
        self.run.objects += 1;
        self.run.bytes = self.run.bytes.saturating_add(len);
        self.registry.checks.objects.fetch_add(1, Ordering::Relaxed);
        self.registry.checks.bytes.fetch_add(len, Ordering::Relaxed);
        self.pace.read(len);
        loop {
            if self.saved.elapsed() >= SAVE_EVERY {
                self.save().await?;
            }
            let Some(pause) = self.pace.pause() else { return Ok(()) };
            tokio::time::sleep(pause.min(SAVE_EVERY)).await;
        }
    }

    async fn save(&mut self) -> Result<(), Halt> {
        self.run.beat_at_secs = self.registry.host.now_secs();
        let found = std::mem::take(&mut self.found);
        self.saved = Instant::now();
        match self.registry.catalog.save_check(self.run.clone(), found).await? {
            true => Ok(()),
            false => Err(Halt::Stopped),
        }
    }

    /// Returns the grip for adding rows, which credits repairs to the registry.
    fn grip(&self) -> Grip {
        Grip { actor: Some(self.registry.content.actor(None)), ..Grip::ANY }
    }
}

const GONE: &str = "it is missing";

#[cfg(test)]
mod tests;
