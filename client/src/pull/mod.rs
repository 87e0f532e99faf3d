//! Pull: downloads a release to this host, completely or not at all.
//!
//! 1. [`resolve`]: the reference or the lockfile to a proven release, under a lease.
//! 2. [`target`]: the destination, and the staging directory beside it.
//! 3. [`plan`]: *in place*, *seed* or *fetch* for each extent. `--dry-run` prints the sums.
//! 4. fetch and assemble ([`crate::fetch`], [`sink`]): write verified chunks at their offsets.
//! 5. commit: sync, describe, rename.
//!
//! # Invariants
//!
//! 1. The directory appears under its name once every disk in it is complete and durable. A
//!    destination that cannot be replaced by a rename is filled instead, its lockfile last
//!    ([`site`]).
//! 2. An interrupted pull is resumed: the chunks in the staging directory are hashed and kept.
//!
//! # Concurrency
//!
//! | running ↓ / starting → | pull into the same directory | pull elsewhere, push |
//! |---|---|---|
//! | pull | refused: the staging directory is locked | free; each may seed the other |

mod error;
mod plan;
mod report;
pub(crate) mod sink;
mod site;
mod target;

use std::path::PathBuf;
use std::sync::Arc;

use futures::stream;
use seawall_api::names::{ApplicationName, MachineName};
use seawall_api::reference::Selector;
use seawall_api::release::Release;
use seawall_api::units::SECTOR_LEN;
use seawall_store::image::layout::ExportFormat;

pub use error::PullError;
pub use report::{PullPlan, PullReport, PulledDisk};

use crate::deploy::DescriptorTarget;
use crate::directory::{self, Described, DiskLayout, IndexCache, Lockfile};
use crate::fetch::{Fetch, FetchStats, Group, Seeds};
use crate::host::HostState;
use crate::progress::{Progress, Stage};
use crate::registry::Reading;
use crate::resolve::{self, Resolved, Scratch};
use crate::room::Room;
use target::{Assembly, Staging, Target};

/// The inputs of a pull.
pub struct Pull {
    /// The registry to pull from.
    pub registry: Arc<dyn Reading>,
    /// The application.
    pub application: ApplicationName,
    /// The selector of the release.
    pub selector: Selector,
    /// The directory to create.
    pub into: PathBuf,
    /// The format of the disks' files.
    pub format: ExportFormat,
    /// The machines to pull, or empty for all machines.
    pub machines: Vec<MachineName>,
    /// The hosts to write descriptors for.
    pub descriptors: Vec<DescriptorTarget>,
    /// The lockfile that names the release to pull.
    pub locked: Option<PathBuf>,
    /// The state kept on this host.
    pub state: HostState,
    /// The receiver of progress.
    pub progress: Arc<dyn Progress>,
    /// The number of threads that decode and hash.
    pub threads: usize,
}

impl Pull {
    fn wants(&self, machine: &MachineName) -> bool {
        self.machines.is_empty() || self.machines.contains(machine)
    }

    fn lock(&self, release: &Release) -> Lockfile {
        let lock = Lockfile::of(release, self.format, |machine| self.wants(machine));
        lock.described_for(&self.descriptors)
    }

    fn fetch(&self, resolved: &Resolved) -> Fetch {
        Fetch::of(resolved, Arc::clone(&self.progress), self.threads)
    }
}

/// Returns the plan of a pull without changing anything.
///
/// # Errors
/// Fails if the release cannot be resolved or the registry fails.
pub async fn plan(pull: &Pull) -> Result<PullPlan, PullError> {
    held(pull, async |resolved| plan_of(pull, resolved).await).await
}

async fn plan_of(pull: &Pull, resolved: &Resolved) -> Result<PullPlan, PullError> {
    let release = resolved.release();
    let lock = pull.lock(release);
    let place = target::place(&pull.into);
    // A path that cannot be expressed in a descriptor fails the plan, as it would fail the pull.
    let described = Described::of(&place, directory::describe(&place, release, &lock)?);
    if target::look(pull, &lock)? == Target::Present {
        return Ok(PullPlan::of(release, &[], FetchStats::default(), described));
    }
    site::check_writable(&pull.into)?;
    let scratch = Scratch::new(&pull.state)?;
    let layouts = layouts(pull, resolved, &lock, &scratch.indexes()).await?;
    let seeds = Seeds::open(&pull.state, release, &pull.into);
    let fetch = pull.fetch(resolved);
    let mut stats = FetchStats::default();
    for group in plan::groups(&layouts, &seeds, false) {
        let Group { seeded, wanted } = group?;
        stats.seeded_chunks += seeded.len() as u64;
        stats.seeded_bytes += seeded.iter().map(|(want, _)| u64::from(want.chunk.len)).sum::<u64>();
        stats += fetch.measure(wanted).await?;
    }
    let room = Room::of(&pull.into, plan::data_bytes(&layouts)?);
    let plan = PullPlan::of(release, &layouts, stats, described);
    Ok(PullPlan { room: Some(room), ..plan })
}

/// Pulls a release. If the directory holds the release already, verifies the disks.
///
/// # Errors
/// Fails if the release cannot be resolved, the registry fails or sends wrong data, or the disk is
/// full. The staged data is kept for the next attempt.
pub async fn pull(pull: Pull) -> Result<PullReport, PullError> {
    held(&pull, async |resolved| pull_resolved(&pull, resolved).await).await
}

async fn pull_resolved(pull: &Pull, resolved: &Resolved) -> Result<PullReport, PullError> {
    let release = resolved.release();
    let lock = pull.lock(release);
    site::finish_move(&pull.into)?;
    if target::look(pull, &lock)? == Target::Present {
        target::verify(pull, &lock).await?;
        let described = target::describe(pull, release)?;
        pull.progress.finish();
        let report = PullReport::present(release, &lock, &pull.into);
        return Ok(PullReport { descriptors: described, ..report });
    }
    let staging = Staging::open(pull, &lock)?;
    // Before the fetch: the path may not be expressible in a descriptor.
    let described = directory::describe(staging.place(), release, &lock)?;
    let described = Described::of(staging.place(), described);
    let layouts = layouts(pull, resolved, &lock, &staging.directory().indexes()).await?;
    let total = plan::data_bytes(&layouts)?;
    staging.check_room(&lock, total)?;
    pull.progress.begin(Stage::Fetch, Some(total));
    let seeds = Seeds::open(&pull.state, release, &pull.into);
    let assembly = Arc::new(staging.assembly(&lock, &layouts, seeds, pull.format)?);
    let stats = bring(&pull.fetch(resolved), &layouts, &assembly, staging.is_resumed()).await?;
    pull.progress.begin(Stage::Apply, None);
    let directory = staging.commit(pull, release, &lock, &assembly).await?;
    pull.progress.finish();
    let report = PullReport::pulled(release, &lock, directory, total, stats);
    Ok(PullReport { descriptors: described, ..report })
}

/// Delivers every chunk: from its place in the staging directory if the pull is resumed, else from
/// a seed, else from the registry.
async fn bring(
    fetch: &Fetch,
    layouts: &[DiskLayout],
    assembly: &Arc<Assembly>,
    is_resumed: bool,
) -> Result<FetchStats, PullError> {
    let mut groups = plan::groups(layouts, assembly.seeds(), is_resumed).peekable();
    let mut stats = FetchStats::default();
    while groups.peek().is_some() {
        let part: Vec<_> = groups.by_ref().take(plan::GROUPS_AT_ONCE).collect();
        let (brought, mut missed) =
            fetch.run(stream::iter(part), Arc::clone(assembly) as _).await?;
        stats += brought;
        // Chunks missed in place are looked up in the seeds once, and then fetched.
        let mut seeds = is_resumed.then(|| assembly.seeds());
        while !missed.is_empty() {
            let again = plan::regroup(missed, seeds.take(), layouts.len());
            let (brought, still_missed) =
                fetch.run(stream::iter(again), Arc::clone(assembly) as _).await?;
            stats += brought;
            missed = still_missed;
        }
    }
    Ok(stats)
}

/// Resolves the release and runs `work` with it. Fails if the release lacks a requested machine.
async fn held<T>(
    pull: &Pull,
    work: impl AsyncFnOnce(&Resolved) -> Result<T, PullError>,
) -> Result<T, PullError> {
    let selector = match &pull.locked {
        None => pull.selector.clone(),
        Some(path) => resolve::locked(path, &pull.application, &pull.selector)?,
    };
    resolve::held(&pull.registry, &pull.application, &selector, async |resolved| {
        let release = resolved.release();
        if let Some(unknown) = pull.machines.iter().find(|name| release.machine(name).is_none()) {
            return Err(PullError::NoSuchMachine {
                release: format!("{}:{}", release.application(), release.version()),
                machine: unknown.clone(),
                machines: release.machines().iter().map(|m| m.name.to_string()).collect(),
            });
        }
        work(resolved).await
    })
    .await
}

/// Returns the layouts of the locked disks. Fails if the format cannot hold one of them.
async fn layouts(
    pull: &Pull,
    resolved: &Resolved,
    lock: &Lockfile,
    cache: &IndexCache,
) -> Result<Vec<DiskLayout>, PullError> {
    let layouts = resolved.layouts(lock, cache).await?;
    for (disk, layout) in lock.disks.iter().zip(&layouts) {
        let disk_len = layout.index().disk_len().get();
        if pull.format != ExportFormat::Raw && disk_len % SECTOR_LEN != 0 {
            let disk = format!("{}/{}", disk.machine, disk.disk);
            return Err(PullError::OddLength { disk, disk_len, format: pull.format });
        }
    }
    Ok(layouts)
}
