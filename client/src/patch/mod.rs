//! Patch: moves a pulled directory to another release, fetching only chunks missing on its disks.
//!
//! 1. [`resolve`]: the reference to a proven release, under a lease.
//! 2. [`survey`]: scan every disk. Each must match the lockfile, or nothing is changed.
//! 3. [`plan`]: for each extent of the new release, decide: in place, copied from a place that
//!    stays, moved from a place that is overwritten, or fetched. Pure. `--dry-run` prints the sums.
//! 4. [`journal`]: stage all bytes to write in one file and sync it. Its rename commits the patch
//!    for all disks at once.
//! 5. [`apply`]: write the journal to the disks, sync, describe, and remove the journal.
//!
//! The journal is a redo log (docs/adr/0007). Before its commit, the disks are the old release.
//! After the commit, the next command completes the new release without the registry. Images that
//! cannot be written in place (qcow2) and new disks are staged as complete files, and renamed to
//! their places by the same journal.
//!
//! # While a machine runs
//!
//! | writer | detected by |
//! |---|---|
//! | takes QEMU's locks before the patch | `guard::alone`: the patch refuses |
//! | takes QEMU's locks during the patch | QEMU: the machine cannot start |
//! | wants a disk that only the new release has | QEMU: the disk appears complete and locked |
//! | takes no locks, writes before the survey | the survey |
//! | takes no locks, writes between survey and commit | the file's times, or a missing chunk |
//! | takes no locks, writes after the commit | a copy with a missing source, `verify`, or nothing |
//!
//! # After a crash
//!
//! | time | the disks are | the next patch |
//! |---|---|---|
//! | before the commit | the old release | keeps the staged chunks, fetches the rest |
//! | after the commit | in between | rolls forward first |

mod apply;
mod demand;
mod error;
mod guard;
mod journal;
mod plan;
mod report;
mod stage;

use std::path::PathBuf;
use std::sync::Arc;

use futures::stream;
use seawall_api::names::ApplicationName;
use seawall_api::reference::Selector;
use seawall_api::units::SECTOR_LEN;
use seawall_store::image::layout::ExportFormat;

pub use error::{PatchError, keep_or_discard};
pub use report::{PatchPlan, PatchReport, Side};

use crate::directory::{self, Described, Directory, DiskLayout, LockedDisk, Lockfile};
use crate::fetch::{Fetch, FetchStats};
use crate::folder::FolderPath;
use crate::host::{Holding, HostError, HostState, ImageLocks};
use crate::progress::{Progress, Stage};
use crate::registry::Reading;
use crate::resolve::{self, Resolved};
use demand::Demand;
use guard::DiskGuard;
use plan::{OldDisk, Steps};
use stage::Stager;

/// The inputs of a patch.
pub struct Patch {
    /// The registry to fetch from.
    pub registry: Arc<dyn Reading>,
    /// The pulled directory.
    pub directory: PathBuf,
    /// The application of the release to move to.
    pub application: ApplicationName,
    /// The selector of the release to move to.
    pub selector: Selector,
    /// The state kept on this host.
    pub state: HostState,
    /// The receiver of progress.
    pub progress: Arc<dyn Progress>,
    /// The number of threads that scan, decode and hash.
    pub threads: usize,
}

/// The old and the new side of a patch.
struct Sides {
    directory: Directory,
    old_lock: Lockfile,
    new_lock: Lockfile,
    old: Vec<OldDisk>,
    new: Vec<DiskLayout>,
    rolled_forward: bool,
}

impl Patch {
    fn fetch(&self, resolved: &Resolved) -> Fetch {
        Fetch::of(resolved, Arc::clone(&self.progress), self.threads)
    }
}

/// Returns the plan of a patch. Changes no disk, and takes no lock that would stop a machine.
///
/// # Errors
/// As for [`patch`], except for disks in use, which the plan lists.
pub async fn plan(patch: &Patch) -> Result<PatchPlan, PatchError> {
    let opened = open(patch, Rolling::Refused).await?;
    resolve::held(&patch.registry, &patch.application, &patch.selector, async |resolved| {
        plan_of(patch, opened, resolved).await
    })
    .await
}

async fn plan_of(
    patch: &Patch,
    opened: Opened,
    resolved: &Resolved,
) -> Result<PatchPlan, PatchError> {
    let sides = sides(opened, resolved).await?;
    guard::survey(patch, &sides.directory, &sides.old_lock).await?;
    let fetch = patch.fetch(resolved);
    let in_place = in_place(&sides.old_lock, &sides.new_lock);
    let steps = Steps::between(&sides.old, &sides.new, &in_place)?;
    let measured = fetch.measure(steps.wanted()).await?;
    let room = Some(Demand::of(&sides, &steps)?.measured(&fetch, &sides, &steps).await?);
    let plan = PatchPlan::of(&sides.old_lock, &sides.new_lock, steps.sums(), measured);
    Ok(PatchPlan { room, in_use: guard::in_use(&sides.directory, &sides.old_lock), ..plan })
}

/// Moves a pulled directory to another release, in place.
///
/// # Errors
/// Fails if a disk was modified after the pull, the registry fails or sends wrong data, or a disk
/// is full. The disks are unchanged until the journal is committed. After that, the next patch
/// continues.
pub async fn patch(patch: Patch) -> Result<PatchReport, PatchError> {
    let opened = open(&patch, Rolling::Forward).await?;
    resolve::held(&patch.registry, &patch.application, &patch.selector, async |resolved| {
        patch_resolved(&patch, opened, resolved).await
    })
    .await
}

async fn patch_resolved(
    patch: &Patch,
    opened: Opened,
    resolved: &Resolved,
) -> Result<PatchReport, PatchError> {
    let sides = sides(opened, resolved).await?;
    let release = resolved.release();
    let Sides { directory, old_lock, new_lock, old, new, rolled_forward } = &sides;
    let rolled_forward = *rolled_forward;
    if old_lock.release == new_lock.release && old_lock.disks == new_lock.disks {
        patch.progress.finish();
        // Removes leftovers of a patch that was killed after its journal was removed, or never
        // committed. Without the locks, the folder may belong to a concurrent patch.
        if let Ok(_alone) = guard::alone(directory, old_lock) {
            warn_of(patch, journal::remove_folder(directory).err());
        }
        return Ok(PatchReport::unchanged(new_lock, directory.root(), rolled_forward));
    }
    refuse_foreign_files(directory, old_lock, new_lock)?;
    // Before the commit: the path may not be expressible in a descriptor.
    let described = directory::describe(directory.root(), release, new_lock)?;
    let described = Described::of(directory.root(), described);
    let alone = guard::alone(directory, old_lock)?;
    let watched = DiskGuard::of(directory, old_lock);
    guard::survey(patch, directory, old_lock).await?;
    let steps = Steps::between(old, new, &in_place(old_lock, new_lock))?;
    let demand = Demand::of(&sides, &steps)?;
    let fetch = patch.fetch(resolved);
    demand.check(&fetch, &sides, &steps).await?;
    patch.progress.begin(Stage::Fetch, Some(steps.sums().written_bytes()));
    let stager = Stager::create(directory, old_lock, new_lock, release, new)?;
    let stager = Arc::new(stager);
    stager.stage_fixed(&steps)?;
    let (groups, kept_bytes) = steps.groups(|want| stager.is_staged(want));
    let (mut stats, missed) = fetch.run(stream::iter(groups), stager.clone()).await?;
    // A surveyed chunk is gone: another process wrote to the disk.
    if let Some(want) = missed.first() {
        let (directory, chunk) = (patch.directory.clone(), want.chunk.digest);
        return Err(PatchError::Changing { directory, chunk });
    }
    stats.seeded_bytes += kept_bytes;
    // Checked again, because the fetch may have taken hours.
    refuse_foreign_files(directory, old_lock, new_lock)?;
    demand.check_growth(directory)?;
    stager.commit(&steps, &watched)?;
    // Closes the journal and the old disks, which are about to be removed.
    drop(stager);
    patch.progress.begin(Stage::Apply, None);
    let Sides { directory, old_lock, new_lock, .. } = sides;
    let directory = roll_forward(patch, directory, alone).await?;
    let root = directory.root();
    patch.state.hold(&Holding::of(root, &new_lock));
    patch.progress.finish();
    let report = PatchReport::patched(&old_lock, &new_lock, root, steps.sums(), stats);
    let overlays = directory::aside(directory.folder(), old_lock.release);
    Ok(PatchReport { descriptors: described, overlays, ..report })
}

/// Applies a journal on a thread that owns the directory and the locks. The thread continues if
/// this future is dropped.
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

/// Reports leftovers, which do not affect the completed patch.
fn warn_of(patch: &Patch, left: impl IntoIterator<Item = HostError>) {
    for error in left {
        let why = &error.source;
        patch.progress.note(&format!("warning: {error}: {why}; it is no longer needed"));
    }
}

/// Returns whether a crash left the directory between two releases. The next patch completes the
/// move.
pub(crate) fn is_interrupted(directory: &Directory) -> bool {
    journal::is_committed(directory)
}

/// The treatment of a committed journal.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rolling {
    /// The journal is applied.
    Forward,
    /// The command fails, because a plan changes nothing.
    Refused,
}

/// A directory before a patch, with its lockfile.
struct Opened {
    directory: Directory,
    lock: Lockfile,
    rolled_forward: bool,
}

/// Opens the directory. Needs no registry, even to complete an interrupted patch.
async fn open(patch: &Patch, rolling: Rolling) -> Result<Opened, PatchError> {
    let mut directory = Directory::open(&patch.directory)?;
    let mut rolled_forward = false;
    if journal::is_committed(&directory) {
        if rolling == Rolling::Refused {
            return Err(PatchError::InProgress { directory: patch.directory.clone() });
        }
        // Taken from the journal: the crash may have come between the release document and the
        // lockfile, which then contradict each other.
        let old_lock = journal::Reader::open(directory.folder(), &journal::journal())?;
        let old_lock = old_lock.header().old.clone();
        let alone = guard::alone(&directory, &old_lock)?;
        directory = roll_forward(patch, directory, alone).await?;
        rolled_forward = true;
    }
    let (lock, _) = Lockfile::of_folder(directory.folder())?;
    Ok(Opened { directory, lock, rolled_forward })
}

async fn sides(opened: Opened, resolved: &Resolved) -> Result<Sides, PatchError> {
    let Opened { directory, lock: old_lock, rolled_forward } = opened;
    let release = resolved.release();
    let format = old_lock.disks.first().and_then(|disk| disk.format.parse().ok());
    let format = format.unwrap_or(ExportFormat::Raw);
    let lost = old_lock.disks.iter().find(|disk| release.machine(&disk.machine).is_none());
    if let Some(lost) = lost.filter(|_| !old_lock.is_whole()) {
        return Err(PatchError::NoSuchMachine {
            release: format!("{}:{}", release.application(), release.version()),
            machine: lost.machine.clone(),
        });
    }
    // A directory that was pulled in part keeps its machines.
    let new_lock = Lockfile::of(release, format, |machine| {
        old_lock.is_whole() || old_lock.disks.iter().any(|disk| disk.machine == *machine)
    });
    let new_lock = new_lock.described_for(&old_lock.descriptors);
    let cache = directory.indexes();
    let mut old = Vec::with_capacity(old_lock.disks.len());
    for disk in &old_lock.disks {
        let layout = resolved.load(disk.index, &cache).await?;
        old.push(OldDisk { layout, file: disk.file.clone() });
    }
    let new = resolved.layouts(&new_lock, &cache).await?;
    for (disk, layout) in new_lock.disks.iter().zip(&new) {
        let disk_len = layout.index().disk_len().get();
        if format != ExportFormat::Raw && disk_len % SECTOR_LEN != 0 {
            let disk = format!("{}/{}", disk.machine, disk.disk);
            return Err(PatchError::OddLength { disk, disk_len, format });
        }
    }
    Ok(Sides { directory, old_lock, new_lock, old, new, rolled_forward })
}

/// Fails if a new disk would overwrite a foreign file.
fn refuse_foreign_files(
    directory: &Directory,
    old: &Lockfile,
    new: &Lockfile,
) -> Result<(), PatchError> {
    for disk in &new.disks {
        let is_ours = old.disks.iter().any(|old| old.file == disk.file);
        // Also fails if a file or a link has the name of the disk's folder.
        if !is_ours && !matches!(directory.folder().look(&disk.file), Ok(None)) {
            return Err(PatchError::Foreign { path: directory.folder().path_of(&disk.file) });
        }
    }
    Ok(())
}

/// Returns for each new disk the old file to write in place, or `None` if there is no such file or
/// its format does not allow writing in place.
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
