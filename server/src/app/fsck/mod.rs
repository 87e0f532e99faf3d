//! Fsck: every object is read and hashed, every reference followed, every row held against the
//! store, while pushes and pulls go on.
//!
//! Not a repair: it mends only what the registry itself knows better (a record of a row, a row of
//! a pack). What is damaged it quarantines, so that the next push or a repair brings it again, and
//! the releases that need it are marked.
//!
//! # Invariants
//!
//! 1. What was found and how far it is are saved together: a check that was killed goes on where it
//!    was and tells nothing twice.
//! 2. One check runs at a time, however many processes serve the directory.
//! 3. What nobody needs is reclaimable, never damage; what vanished together with its row neither.
//! 4. A store that cannot answer ends the check, and is no damage.
//!
//! # At the same time
//!
//! | running ↓ / starting → | upload, publish | pull | deletion of an object |
//! |---|---|---|---|
//! | fsck | an object without its row yet is said to be reclaimable | free | its row is asked for again before anything is said |

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use seawall_api::digest::{DescriptorDigest, IndexDigest, LeafDigest, ReleaseDigest};
use seawall_store::error::StoreError;
use seawall_store::port::{ObjectKind, ObjectName};

use super::rebuild::readable;
use super::{AppError, Registry, present};
use crate::catalog::CatalogError;
use crate::catalog::check::{
    CheckRun, ClaimCheck, ClaimedCheck, Class, Finding, Findings, Healing, LostObject, Runner,
};
use crate::catalog::collect::Grip;

mod beat;
mod content;
mod footers;
mod names;
mod pace;
mod packs;
mod releases;

use beat::Beat;
use footers::Footers;
use pace::Pace;

/// What is read a second where nobody says otherwise: half of what a plain disk gives.
pub const RATE_DEFAULT: u64 = 128 << 20;
/// A runner that gave no sign of life for as long is dead.
const PATIENCE_SECS: u64 = 6;
/// How long a check that was told to stop is waited for by the next one.
const STOP_WAIT_MAX: Duration = Duration::from_secs(3);
/// Between two looks whether it has stopped.
const STOP_PAUSE: Duration = Duration::from_millis(20);
/// How often it is saved how far a check is.
const SAVE_EVERY: Duration = Duration::from_millis(500);
/// How many rows are asked for at once.
const PAGE_COUNT: u32 = 1000;
/// How many objects that nobody needs are named; the others are counted.
const RECLAIMABLE_NAMED: u64 = 1000;

/// The longest record of a name that is read.
const RECORD_LEN_MAX: usize = 64 << 10;

/// What is looked at, in this order: what names things before the bulk of the bytes, so that by
/// then it is known who needs them.
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

/// What this process knows of checks; one for each registry.
pub(super) struct Checks {
    runner: Runner,
    is_running: AtomicBool,
    objects: AtomicU64,
    bytes: AtomicU64,
}

impl Checks {
    pub(super) fn new(runner: Runner) -> Self {
        let (objects, bytes) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { runner, is_running: AtomicBool::new(false), objects, bytes }
    }
}

/// The turn of the one check that this process may run; given back when it is dropped.
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

/// How a check is to be run.
#[derive(Clone, Copy, Debug)]
pub struct FsckOrder {
    /// Bytes a second at most; 0 for no limit.
    pub rate: u64,
    /// Begin anew where one broke off.
    pub restart: bool,
}

/// What a check does now.
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

/// How far the newest check is, and what it found.
#[derive(Clone, Debug)]
pub struct FsckStatus {
    /// What it does.
    pub state: FsckState,
    /// How far it is.
    pub run: CheckRun,
    /// What it looks at.
    pub phase: &'static str,
    /// What it found.
    pub found: Findings,
    /// When the last check that came to its end did so.
    pub last_complete_at_secs: Option<u64>,
}

/// What is counted of checks, for whoever watches.
#[derive(Clone, Debug, Default)]
pub struct FsckTally {
    /// Objects and rows that this process looked at.
    pub objects: u64,
    /// Bytes that it read and hashed.
    pub bytes: u64,
    /// Damage that the newest check found, by kind.
    pub damage: Vec<(String, u64)>,
    /// Releases that are known to lack something.
    pub damaged_releases: u64,
    /// When the last check that came to its end did so.
    pub last_complete_at_secs: Option<u64>,
}

impl Registry {
    /// Begins a check, or goes on with one that broke off; it runs beside whatever is served.
    ///
    /// # Errors
    /// [`AppError::CheckRuns`] when one runs and it should begin anew; when the catalog fails.
    pub async fn start_fsck(self: &Arc<Self>, order: FsckOrder) -> Result<(), AppError> {
        let Some(turn) = self.turn().await? else { return runs_already(order) };
        let claim = ClaimCheck {
            runner: self.checks.runner,
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

    /// The turn to check, waited for where a check has ended and only has to notice; `None` where
    /// one runs on.
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
                return Err(AppError::Busy { what: "the check that was told to stop still ends" });
            }
            tokio::time::sleep(STOP_PAUSE).await;
        }
    }

    /// Tells the check under way to stop, wherever it runs.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn stop_fsck(&self) -> Result<(), AppError> {
        Ok(self.catalog.stop_check().await?)
    }

    /// How far the newest check is, and at most `limit` of what it found.
    ///
    /// # Errors
    /// When the catalog fails.
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

    /// What is counted of checks.
    ///
    /// # Errors
    /// When the catalog fails.
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

/// An order to check meets a check that runs, here or in another process: it is the one that is
/// asked for, unless that should begin anew.
fn runs_already(order: FsckOrder) -> Result<(), AppError> {
    if order.restart { Err(AppError::CheckRuns) } else { Ok(()) }
}

/// Why a check ends before its end.
enum Halt {
    /// It was told to, or another process runs it.
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

/// What became of a read.
enum Read {
    Bytes(Bytes),
    /// It was removed since it was listed, or never was.
    Gone,
    /// It cannot be what it should be; why.
    Bad(String),
}

/// A check under way.
struct Check {
    registry: Arc<Registry>,
    run: CheckRun,
    /// What was found since it was saved last.
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
        tracing::info!(run = self.run.run, phase = self.run.phase, "a check of the store runs");
        let _beat = Beat::start(Arc::clone(&self.registry), self.run.run);
        match self.phases().await {
            Ok(()) => tracing::info!(run = self.run.run, "a check of the store is complete"),
            Err(Halt::Stopped) => tracing::info!(run = self.run.run, "a check was stopped"),
            Err(Halt::Failed(error)) => {
                tracing::error!(%error, "a check of the store broke off");
                self.run.failure = Some(error.to_string());
                // What failed it may be the catalog; then it is taken for interrupted.
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

    /// What the catalog's engine says of its own file.
    async fn catalog(&mut self) -> Result<(), Halt> {
        let faults = self.registry.catalog.check_rows().await?;
        if !faults.is_empty() {
            self.catalog_damage("catalog".to_owned(), faults.join("; ")).await;
        }
        self.done(String::new(), 0).await
    }

    /// Every object of a kind that was not looked at yet, in the order of their paths.
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

    /// The objects of a kind that were not looked at yet.
    async fn listed(&self, kind: ObjectKind) -> Result<Vec<(String, ObjectName)>, Halt> {
        let names = self.registry.store.list(kind).await?;
        let mut listed: Vec<_> = names.into_iter().map(|name| (name.path(), name)).collect();
        listed.retain(|(path, _)| *path > self.run.cursor);
        listed.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        Ok(listed)
    }

    /// Reads an object of at most `len_max` bytes. What is wrong with it is wrong twice: a disk may
    /// fail once, and a push may mend it meanwhile.
    async fn read(&self, name: &ObjectName, len_max: usize) -> Result<Read, Halt> {
        match self.read_once(name, len_max).await? {
            Read::Bytes(bytes) if is_of_name(name, &bytes) => Ok(Read::Bytes(bytes)),
            Read::Gone => Ok(Read::Gone),
            Read::Bytes(_) | Read::Bad(_) => self.read_once(name, len_max).await,
        }
    }

    async fn read_once(&self, name: &ObjectName, len_max: usize) -> Result<Read, Halt> {
        let store = &*self.registry.store;
        let len = match readable(store, store.len(name).await).await? {
            Ok(Some(len)) => len,
            Ok(None) => return Ok(Read::Gone),
            Err(what) => return Ok(Read::Bad(what)),
        };
        if len > len_max as u64 {
            return Ok(Read::Bad(format!("no such object has {len} bytes")));
        }
        match present(store.get(name).await) {
            Ok(Some(bytes)) => Ok(Read::Bytes(bytes)),
            Ok(None) => Ok(Read::Gone),
            Err(error) => Ok(match readable::<()>(store, Err(error)).await? {
                Ok(()) => Read::Gone,
                Err(what) => Read::Bad(what),
            }),
        }
    }

    /// One more was looked at: saves it now and then, and keeps to the rate.
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

    fn find(&mut self, kind: &str, object: String, what: String, class: Class) {
        match class {
            Class::Damage => tracing::warn!(object, what, "damage found"),
            Class::Mended => tracing::warn!(object, what, "damage found and mended"),
            Class::Reclaimable => {}
        }
        self.found.push(Finding { kind: kind.to_owned(), object, what, class });
    }

    /// Something that is needed is damaged: it is noted until it is put again.
    async fn damage(
        &mut self,
        name: &ObjectName,
        what: String,
        needed_by: Vec<ReleaseDigest>,
    ) -> Result<(), Halt> {
        let object = name.path();
        let lost = LostObject { object: object.clone(), what: what.clone() };
        let now_secs = self.registry.host.now_secs();
        self.registry.catalog.note_damage(lost, needed_by, now_secs).await?;
        self.registry.note_damage(name).await;
        self.find(kind_of(name), object, what, Class::Damage);
        Ok(())
    }

    /// The catalog contradicts itself or the store, which no object of the store is to blame for.
    async fn catalog_damage(&mut self, object: String, what: String) {
        self.registry.log_damage(object.clone()).await;
        self.find("catalog", object, what, Class::Damage);
    }

    /// It was damaged, and is sound now.
    fn mended(&mut self, name: &ObjectName, what: String) {
        self.find(kind_of(name), name.path(), what, Class::Mended);
    }

    /// Nobody needs it.
    fn reclaimable(&mut self, name: &ObjectName, len: u64, what: &str) {
        self.run.reclaimable_count += 1;
        self.run.reclaimable_bytes = self.run.reclaimable_bytes.saturating_add(len);
        if self.run.reclaimable_count <= RECLAIMABLE_NAMED {
            self.find(kind_of(name), name.path(), what.to_owned(), Class::Reclaimable);
        }
    }

    /// It is what it should be: what was noted of it before is over.
    async fn sound(&self, name: &ObjectName) -> Result<(), Halt> {
        self.registry.healed(name, self.registry.hand(None), Healing::IfNoted).await?;
        Ok(())
    }

    /// Adds what is there to the catalog; what that heals, the check has healed.
    fn grip(&self) -> Grip {
        Grip { hand: Some(self.registry.hand(None)), ..Grip::ANY }
    }
}

/// Whether bytes are those of their name, where that is their digest; a pack is inspected, and a
/// record decoded.
fn is_of_name(name: &ObjectName, bytes: &[u8]) -> bool {
    match name {
        ObjectName::Leaf(digest) => LeafDigest::of(bytes) == *digest,
        ObjectName::Index(digest) => IndexDigest::of(bytes) == *digest,
        ObjectName::Release(digest) => ReleaseDigest::of(bytes) == *digest,
        ObjectName::Descriptor(digest) => DescriptorDigest::of(bytes) == *digest,
        ObjectName::Pack(_) | ObjectName::Name(_) => true,
    }
}

/// What an object is called in a report.
fn kind_of(name: &ObjectName) -> &'static str {
    match name {
        ObjectName::Pack(_) => "pack",
        ObjectName::Index(_) => "index",
        ObjectName::Leaf(_) => "leaf",
        ObjectName::Release(_) => "release",
        ObjectName::Descriptor(_) => "descriptor",
        ObjectName::Name(_) => "name",
    }
}

const OTHER_BYTES: &str = "its bytes are not those of its name";
const GONE: &str = "it is gone";

#[cfg(test)]
mod tests;
