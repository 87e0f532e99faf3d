//! Patch: a pulled directory moves to another release, fetching only what its disks do not hold.
//!
//! 1. [`survey`]: every disk is scanned and must be what the lockfile says, or nothing is touched.
//! 2. [`plan`]: for each extent of the new release: in place, copied from where it stays, moved
//!    from where it is overwritten, or fetched. Pure; `--dry-run` prints its sums.
//! 3. [`journal`]: all bytes that will be written are staged in one file and synced; its rename
//!    commits the patch for all disks at once.
//! 4. [`apply`]: the journal is written to the disks, synced, described, and removed.
//!
//! The journal is a redo log (docs/adr/0007): before its commit the disks are the old release and
//! after it the next command makes them the new one, without the registry. Images that cannot be
//! written in place (qcow2) and disks that only the new release has are staged whole, and renamed
//! to their places by the same journal.
//!
//! # While a machine runs
//!
//! | a writer | is noticed |
//! |---|---|
//! | takes QEMU's locks, before or after | by `watch::alone`: the patch refuses; or the machine cannot start |
//! | wants a disk that only the new release has | there is none before it is whole, and locked |
//! | takes none, before the survey | by the survey |
//! | takes none, between survey and commit | by the file's times, or by a chunk that is gone |
//! | takes none, after the commit | by a copy whose source is gone; else its bytes are lost, or stay and `verify` finds them |
//!
//! # After a crash
//!
//! | where | the disks are | the next patch |
//! |---|---|---|
//! | before the commit | the old release | keeps what was staged, fetches the rest |
//! | after it | in between | rolls forward first |

mod apply;
mod demand;
mod error;
mod journal;
mod plan;
mod report;
mod stage;
mod survey;
mod watch;

use std::path::PathBuf;
use std::sync::Arc;

use futures::stream;
use seawall_api::names::ApplicationName;
use seawall_api::reference::Selector;
use seawall_api::release::Release;
use seawall_api::units::SECTOR_LEN;
use seawall_store::image::layout::ExportFormat;

pub use error::{PatchError, keep_or_discard};
pub use report::{PatchPlan, PatchReport, Side};

use crate::directory::{self, Described, Directory, DiskLayout, LockedDisk, Lockfile};
use crate::fetch::{Fetch, FetchStats};
use crate::folder::FolderPath;
use crate::host::{Holding, HostError, HostState, ImageLocks};
use crate::progress::{Progress, Stage};
use crate::registry::Registry;
use demand::Demand;
use plan::{OldDisk, Steps};
use stage::Stager;
use watch::Watched;

/// What to patch, and with what.
pub struct Patch {
    /// Where releases come from.
    pub registry: Arc<dyn Registry>,
    /// The pulled directory.
    pub directory: PathBuf,
    /// The application of the release to move to.
    pub application: ApplicationName,
    /// Which of its releases.
    pub selector: Selector,
    /// What this host remembers.
    pub state: HostState,
    /// Hears how far it is.
    pub progress: Arc<dyn Progress>,
    /// How many threads scan, decode and hash.
    pub threads: usize,
}

/// A patch whose two sides are known.
struct Sides {
    directory: Directory,
    old_lock: Lockfile,
    release: Release,
    new_lock: Lockfile,
    old: Vec<OldDisk>,
    new: Vec<DiskLayout>,
    rolled_forward: bool,
}

impl Patch {
    fn fetch(&self) -> Fetch {
        let (registry, progress) = (Arc::clone(&self.registry), Arc::clone(&self.progress));
        Fetch { registry, progress, threads: self.threads }
    }
}

/// What a patch would do; changes nothing on the disks, and keeps no machine from running on them.
///
/// # Errors
/// As [`patch`], but for disks that are in use: the plan names them.
pub async fn plan(patch: &Patch) -> Result<PatchPlan, PatchError> {
    let sides = sides(patch, Rolling::Refused).await?;
    survey::survey(patch, &sides.directory, &sides.old_lock).await?;
    let in_place = in_place(&sides.old_lock, &sides.new_lock);
    let steps = Steps::between(&sides.old, &sides.new, &in_place)?;
    let measured = patch.fetch().measure(steps.wanted()).await?;
    let room = Some(Demand::of(&sides, &steps)?.measured(patch, &sides, &steps).await?);
    let plan = PatchPlan::of(&sides.old_lock, &sides.new_lock, steps.sums(), measured);
    Ok(PatchPlan { room, in_use: watch::in_use(&sides.directory, &sides.old_lock), ..plan })
}

/// Moves a pulled directory to another release, in place.
///
/// # Errors
/// When a disk was changed since it was pulled, the registry fails or lies, or a disk is full.
/// Until the journal is committed the disks are untouched; afterwards the next patch goes on.
pub async fn patch(patch: Patch) -> Result<PatchReport, PatchError> {
    let sides = sides(&patch, Rolling::Forward).await?;
    let Sides { directory, old_lock, release, new_lock, old, new, rolled_forward } = &sides;
    let rolled_forward = *rolled_forward;
    if old_lock.release == new_lock.release && old_lock.disks == new_lock.disks {
        patch.progress.finish();
        // What a patch leaves that dies between its journal's end and its own; or one that was
        // never committed. Of one that runs beside this one it is not ours.
        if let Ok(_alone) = watch::alone(directory, old_lock) {
            warn_of(&patch, journal::remove_folder(directory).err());
        }
        return Ok(PatchReport::unchanged(new_lock, directory.root(), rolled_forward));
    }
    refuse_foreign_files(directory, old_lock, new_lock)?;
    // Before anything is committed: a path may not fit into a descriptor.
    let described = directory::describe(directory.root(), release, new_lock)?;
    let described = Described::of(directory.root(), described);
    let alone = watch::alone(directory, old_lock)?;
    let watched = Watched::of(directory, old_lock);
    survey::survey(&patch, directory, old_lock).await?;
    let steps = Steps::between(old, new, &in_place(old_lock, new_lock))?;
    let demand = Demand::of(&sides, &steps)?;
    demand.check(&patch, &sides, &steps).await?;
    patch.progress.begin(Stage::Fetch, Some(steps.sums().written_bytes()));
    let stager = Stager::create(directory, old_lock, new_lock, release, new)?;
    let stager = Arc::new(stager);
    stager.stage_fixed(&steps)?;
    let fetch = patch.fetch();
    let (groups, kept_bytes) = steps.groups(|want| stager.is_staged(want));
    let (mut stats, missed) = fetch.run(stream::iter(groups), stager.clone()).await?;
    // What was surveyed a moment ago and is gone now was written by somebody else.
    if let Some(want) = missed.first() {
        return Err(PatchError::Changing { directory: patch.directory, chunk: want.chunk.digest });
    }
    stats.seeded_bytes += kept_bytes;
    // Again: the fetch may have taken hours.
    refuse_foreign_files(directory, old_lock, new_lock)?;
    demand.check_growth(directory)?;
    stager.commit(&steps, &watched)?;
    // It has the journal and the old disks open, which are about to be removed.
    drop(stager);
    patch.progress.begin(Stage::Apply, None);
    let Sides { directory, old_lock, new_lock, .. } = sides;
    let directory = roll_forward(&patch, directory, alone).await?;
    let root = directory.root();
    patch.state.hold(&Holding::of(root, &new_lock));
    patch.progress.finish();
    let report = PatchReport::patched(&old_lock, &new_lock, root, steps.sums(), stats);
    let overlays = directory::aside(directory.folder(), old_lock.release);
    Ok(PatchReport { descriptors: described, overlays, ..report })
}

/// Applies a journal in a thread that has the directory and the locks for its own: it writes on
/// when this future is dropped.
async fn roll_forward(
    patch: &Patch,
    directory: Directory,
    alone: ImageLocks,
) -> Result<Directory, PatchError> {
    let (threads, progress) = (patch.threads, Arc::clone(&patch.progress));
    let apply = move || {
        let left = apply::roll_forward(&directory, alone, threads, progress.as_ref())?;
        Ok::<_, PatchError>((directory, left))
    };
    let applied = tokio::task::spawn_blocking(apply).await.map_err(|_| PatchError::Defect)?;
    let (directory, left) = applied?;
    warn_of(patch, left);
    Ok(directory)
}

/// Tells of files that stay though they are of no use any more: the patch is done all the same.
fn warn_of(patch: &Patch, left: impl IntoIterator<Item = HostError>) {
    for error in left {
        let why = &error.source;
        patch.progress.note(&format!("warning: {error}: {why}; it is of no use any more"));
    }
}

/// Whether a crash left the directory between two releases; the next patch ends that.
pub(crate) fn is_interrupted(directory: &Directory) -> bool {
    journal::is_committed(directory)
}

/// What to do about a journal that a crash left.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rolling {
    /// Apply it.
    Forward,
    /// A plan changes nothing: say so.
    Refused,
}

async fn sides(patch: &Patch, rolling: Rolling) -> Result<Sides, PatchError> {
    let mut directory = Directory::open(&patch.directory)?;
    let mut rolled_forward = false;
    if journal::is_committed(&directory) {
        if rolling == Rolling::Refused {
            return Err(PatchError::InProgress { directory: patch.directory.clone() });
        }
        // By what the journal says: the crash may have come between the release document and the
        // lockfile, which then contradict each other.
        let old_lock = journal::Reader::open(directory.folder(), &journal::journal())?;
        let old_lock = old_lock.header().old.clone();
        let alone = watch::alone(&directory, &old_lock)?;
        directory = roll_forward(patch, directory, alone).await?;
        rolled_forward = true;
    }
    let (old_lock, _) = Lockfile::of_folder(directory.folder())?;
    let release = patch.registry.release(&patch.application, &patch.selector).await?;
    let format = old_lock.disks.first().and_then(|disk| disk.format.parse().ok());
    let format = format.unwrap_or(ExportFormat::Raw);
    let lost = old_lock.disks.iter().find(|disk| release.machine(&disk.machine).is_none());
    if let Some(lost) = lost.filter(|_| !old_lock.is_whole()) {
        return Err(PatchError::NoSuchMachine {
            release: format!("{}:{}", release.application(), release.version()),
            machine: lost.machine.clone(),
        });
    }
    // A directory of some machines stays one of these machines.
    let new_lock = Lockfile::of(&release, format, |machine| {
        old_lock.is_whole() || old_lock.disks.iter().any(|disk| disk.machine == *machine)
    });
    let new_lock = new_lock.described_for(&old_lock.descriptors);
    let cache = directory.indexes();
    let mut old = Vec::with_capacity(old_lock.disks.len());
    for disk in &old_lock.disks {
        let layout = cache.load(&patch.registry, disk.index).await?;
        old.push(OldDisk { layout, file: disk.file.clone() });
    }
    let mut new = Vec::with_capacity(new_lock.disks.len());
    for disk in &new_lock.disks {
        let layout = cache.load(&patch.registry, disk.index).await?;
        if !layout.is_of(&release, disk) {
            let disk = format!("{}/{}", disk.machine, disk.disk);
            return Err(PatchError::WrongIndex { disk });
        }
        let disk_len = layout.index().disk_len().get();
        if format != ExportFormat::Raw && disk_len % SECTOR_LEN != 0 {
            let disk = format!("{}/{}", disk.machine, disk.disk);
            return Err(PatchError::OddLength { disk, disk_len, format });
        }
        new.push(layout);
    }
    Ok(Sides { directory, old_lock, release, new_lock, old, new, rolled_forward })
}

/// A disk that is new in the release must not overwrite what somebody else put in its place.
fn refuse_foreign_files(
    directory: &Directory,
    old: &Lockfile,
    new: &Lockfile,
) -> Result<(), PatchError> {
    for disk in &new.disks {
        let is_ours = old.disks.iter().any(|old| old.file == disk.file);
        // Also where a file or a link has the name of its folder.
        if !is_ours && !matches!(directory.folder().look(&disk.file), Ok(None)) {
            return Err(PatchError::Foreign { path: directory.folder().path_of(&disk.file) });
        }
    }
    Ok(())
}

/// For each new disk the old one's file that it is written into in place, if it has one and its
/// format allows that.
fn in_place(old: &Lockfile, new: &Lockfile) -> Vec<Option<FolderPath>> {
    let is_there = |file: &FolderPath| old.disks.iter().any(|disk| disk.file == *file);
    let file = |disk: &LockedDisk| {
        (disk.format == "raw" && is_there(&disk.file)).then(|| disk.file.clone())
    };
    new.disks.iter().map(file).collect()
}

impl PatchReport {
    fn unchanged(lock: &Lockfile, root: &std::path::Path, rolled_forward: bool) -> Self {
        let mut report =
            Self::patched(lock, lock, root, plan::Sums::default(), FetchStats::default());
        report.rolled_forward = rolled_forward;
        report
    }
}
