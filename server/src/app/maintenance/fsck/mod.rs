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
//! 2. One check runs at a time, however many processes serve the directory: it is a job of the
//!    kernel, a phase each step.
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
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::TryStreamExt;
use seawall_store::port::{ObjectKind, ObjectName, ObjectStore};

use crate::app::AppError;
use crate::app::audit::DamageLog;
use crate::app::content::Content;
use crate::app::content::objects::{self, Found, Typed};
use crate::app::jobs::{Kernel, Running, Step, Work};
use crate::app::records::Records;
use crate::catalog::Catalog;
use crate::catalog::check::{Class, Finding};
use crate::catalog::collect::Grip;
use crate::catalog::jobs::{Job, RunnerState};
use crate::host::Host;

mod content;
mod findings;
mod footers;
mod names;
mod pace;
mod packs;
mod releases;
mod status;

use footers::Footers;
use pace::Pace;
pub(in crate::app) use status::Tally;
pub use status::{FsckOrder, FsckProgress, FsckStatus, FsckTally};

/// The default read rate, in bytes per second: half the throughput of a plain disk.
pub const RATE_DEFAULT: u64 = 128 << 20;
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

/// The checks.
pub struct Checker {
    store: Arc<dyn ObjectStore>,
    catalog: Catalog,
    host: Arc<dyn Host>,
    content: Arc<Content>,
    records: Records,
    damage: DamageLog,
    kernel: Kernel,
    /// The items that checks of this process examined.
    tally: Tally,
}

impl Checker {
    pub(in crate::app) fn new(content: &Arc<Content>, records: &Records, kernel: &Kernel) -> Self {
        Self {
            store: Arc::clone(&content.store),
            catalog: content.catalog.clone(),
            host: Arc::clone(&content.host),
            content: Arc::clone(content),
            records: records.clone(),
            damage: content.damage.clone(),
            kernel: kernel.clone(),
            tally: <_>::default(),
        }
    }
}

/// A check in progress.
struct Check {
    checker: Arc<Checker>,
    running: Arc<Running>,
    progress: FsckProgress,
    /// The last item checked in the current phase.
    cursor: String,
    /// The findings since the last save.
    found: Vec<Finding>,
    saved: Instant,
    pace: Pace,
    footers: Footers,
}

impl Work for Check {
    const NAME: &'static str = "the check";

    /// Runs one phase.
    async fn step(&mut self) -> Result<Step, AppError> {
        self.save().await?;
        let phase = usize::try_from(self.progress.phase).ok().and_then(|at| PHASES.get(at));
        let Some((phase, _)) = phase else { return Ok(Step::Done) };
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
        self.progress.phase += 1;
        self.cursor.clear();
        Ok(Step::Continue)
    }
}

impl Check {
    /// Resumes the check of a job at `rate` bytes per second.
    fn resume(checker: Arc<Checker>, running: Arc<Running>, job: Job, rate: u64) -> Self {
        // Without legible progress the check covers everything again.
        let (progress, cursor) =
            FsckProgress::of(&job).map_or_else(<_>::default, |progress| (progress, job.cursor));
        let progress = FsckProgress { rate, ..progress };
        let (found, footers, pace) = (Vec::new(), Footers::default(), Pace::new(rate));
        Self { checker, running, progress, cursor, found, saved: Instant::now(), pace, footers }
    }

    /// Runs the catalog engine's own check of its file.
    async fn catalog(&mut self) -> Result<(), AppError> {
        let faults = self.checker.catalog.check_rows().await?;
        if !faults.is_empty() {
            self.catalog_damage("catalog".to_owned(), faults.join("; ")).await;
        }
        self.done(String::new(), 0).await
    }

    /// Checks the remaining objects of a kind, in the order of their paths.
    async fn objects(&mut self, kind: ObjectKind) -> Result<(), AppError> {
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
    async fn listed(&self, kind: ObjectKind) -> Result<Vec<(String, ObjectName)>, AppError> {
        let names: Vec<_> = self.checker.store.list(kind).try_collect().await?;
        let mut listed: Vec<_> = names.into_iter().map(|name| (name.path(), name)).collect();
        listed.retain(|(path, _)| *path > self.cursor);
        listed.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        Ok(listed)
    }

    /// Reads an object, with its length in bytes.
    async fn read<D: Typed>(&self, digest: D) -> Result<Found<(D::Object, u64)>, AppError> {
        let decode = |bytes: &Bytes| Ok((D::decode(bytes)?, bytes.len() as u64));
        objects::read_with(&*self.checker.store, &digest.name(), decode).await
    }

    /// Reads the bytes of an object that has no type.
    async fn read_bytes(&self, name: &ObjectName) -> Result<Found<Bytes>, AppError> {
        objects::read_with(&*self.checker.store, name, |bytes| Ok(bytes.clone())).await
    }

    /// Counts one checked item. Saves at intervals, and throttles to the rate.
    async fn done(&mut self, cursor: String, len: u64) -> Result<(), AppError> {
        self.cursor = cursor;
        self.progress.objects += 1;
        self.progress.bytes = self.progress.bytes.saturating_add(len);
        self.checker.tally.objects.fetch_add(1, Ordering::Relaxed);
        self.checker.tally.bytes.fetch_add(len, Ordering::Relaxed);
        self.pace.read(len);
        loop {
            if self.saved.elapsed() >= SAVE_EVERY {
                self.save().await?;
            }
            let Some(pause) = self.pace.pause() else { return Ok(()) };
            tokio::time::sleep(pause.min(SAVE_EVERY)).await;
        }
    }

    /// Saves the progress and the findings since the last save, in one transaction. Fails if the
    /// check was told to stop, or was taken over.
    async fn save(&mut self) -> Result<(), AppError> {
        let found = std::mem::take(&mut self.found);
        self.saved = Instant::now();
        let catalog = &self.checker.catalog;
        let save = |job, now_secs| catalog.save_check(job, found, now_secs);
        match self.running.save(self.cursor.clone(), self.progress.text(), save).await? {
            RunnerState::Going => Ok(()),
            RunnerState::Stopped | RunnerState::Lost => Err(AppError::Stopped { what: Self::NAME }),
        }
    }

    /// Returns the grip for adding rows, which credits repairs to the registry.
    fn grip(&self) -> Grip {
        Grip { actor: Some(self.checker.content.actor(None)), ..Grip::ANY }
    }
}

const GONE: &str = "it is missing";

#[cfg(test)]
mod tests;
