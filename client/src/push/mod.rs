//! Push: uploads an application's disks to a registry as a release.
//!
//! 1. [`sources`]: open every image, and recall the indexes of disks unchanged since their last
//!    scan.
//! 2. [`lookup`]: find the release that the version names already, or the indexes of the parent.
//! 3. [`pipeline`]: scan and cut → ask → pack → upload → name, leaf by leaf, on every core at once.
//! 4. The release document is sent last, and makes the release visible atomically.
//!
//! # Invariants
//!
//! 1. Content before names: a leaf is sent after its chunks, an index after its leaves, the
//!    document last. An interrupted push leaves chunks that the next push finds, but no names.
//! 2. Memory does not grow with the disks. It is bounded by the constants of [`pipeline`].
//! 3. A disk that changes during the push is refused: its bytes would match no point in time.

mod error;
mod lookup;
mod pipeline;
mod report;
mod sources;

use std::sync::Arc;

use seawall_api::index::DiskIndex;
use seawall_api::names::{ApplicationName, Version};
use seawall_api::reference::Selector;
use seawall_api::release::Release;
use seawall_api::v1::{Lease, LeasePurpose};

pub use error::PushError;
pub use report::{PushReport, PushedDisk, Reuse};

use crate::disk::{self, DiskAccess};
use crate::hold;
use crate::host::HostState;
use crate::ovf::package::disk::contradicted;
use crate::ovf::{Package, Unmapped};
use crate::progress::Progress;
use crate::registry::Writing;
use crate::spec::{DiskContent, ReleaseSpec};
use sources::Source;

/// The inputs of a push.
pub struct Push {
    /// The registry to push to.
    pub registry: Arc<dyn Writing>,
    /// The machines and their disks' files.
    pub spec: ReleaseSpec,
    /// The package of the machines, if there is one.
    pub package: Option<Package>,
    /// The application.
    pub application: ApplicationName,
    /// The version.
    pub version: Version,
    /// The release that most likely shares chunks, or `None` for the newest release.
    pub parent: Option<Selector>,
    /// True to read every disk, even if it is unchanged since its last scan.
    pub full_scan: bool,
    /// The permitted ways to open disks.
    pub access: DiskAccess,
    /// The state kept on this host.
    pub state: HostState,
    /// The receiver of progress.
    pub progress: Arc<dyn Progress>,
    /// The number of threads that cut and compress.
    pub threads: usize,
}

/// Pushes a release.
///
/// Pushing an existing release succeeds and restores lost objects. After a failure, uploaded
/// objects stay for the next attempt until the lease ends.
///
/// # Errors
/// Fails if a disk cannot be read or changes during the push, the registry fails, or the version
/// names another release.
pub async fn push(push: Push) -> Result<PushReport, PushError> {
    let push = Arc::new(push);
    let mut sources = sources::open(&push).await?;
    check_package(&push).await?;
    let existing = lookup::existing(&push).await?;
    let version = Some(&push.version);
    let lease = push.registry.open_lease(&push.application, LeasePurpose::Push, version).await?;
    // Renewed, because a mostly known disk takes long to read without any request.
    let work = transfer_and_publish(&push, &mut sources, existing.as_ref(), &lease);
    let outcome = hold::renewing(push.registry.as_ref(), &lease, work).await;
    if outcome.is_err() || existing.is_some() {
        // An unended lease expires, and the registry's answer changes nothing for the caller.
        let _ = push.registry.end_lease(&lease).await;
    }
    push.progress.finish();
    outcome.map_err(|error| error.about(&push.application))
}

async fn transfer_and_publish(
    push: &Arc<Push>,
    sources: &mut [Source],
    existing: Option<&Release>,
    lease: &Lease,
) -> Result<PushReport, PushError> {
    if let Some(taken) = existing {
        // Nothing may be sent under an existing version. Only its content tells whether the release
        // is the same.
        sources::scan(push, sources).await?;
        refuse_changed(sources)?;
        let pushed = release_from(push, sources)?.digest();
        if taken.digest() != pushed {
            let (application, version) = (push.application.clone(), push.version.clone());
            let taken_by = taken.digest();
            return Err(PushError::VersionTaken { application, version, taken_by, pushed });
        }
    }
    // An existing release may have losses. Without a parent, no leaf is assumed to be present.
    let parent = match existing {
        Some(_) => Vec::new(),
        None => lookup::known_leaves(push).await?,
    };
    let (release, reuse, already_present) = match send(push, sources, existing, lease, parent).await
    {
        // The registry lacks objects of the parent's leaves. Send again without assuming any leaf.
        Err(error) if error.is_incomplete() => {
            send(push, sources, existing, lease, Vec::new()).await?
        }
        sent => sent?,
    };
    for source in sources.iter() {
        source.remember(&push.state);
    }
    let mut report = report::of(&release, sources, already_present, reuse);
    report.unmapped.extend(sectors(push, sources));
    if let Some(package) = &push.package {
        report.unmapped.extend_from_slice(package.unmapped());
        let images = sources.iter().map(|source| source.image().as_ref());
        report.unmapped.extend(contradicted(&push.spec, images));
    }
    Ok(report)
}

/// Checks the package's files, which are open by now, against its manifest.
async fn check_package(push: &Arc<Push>) -> Result<(), PushError> {
    let push = Arc::clone(push);
    sources::blocking(move || match &push.package {
        Some(package) => Ok(package.check(push.progress.as_ref())?),
        None => Ok(()),
    })
    .await
}

/// Returns a note on each disk with sectors of other than 512 bytes, which host descriptors lack.
fn sectors<'a>(push: &'a Push, sources: &'a [Source]) -> impl Iterator<Item = Unmapped> + 'a {
    push.spec.disks().zip(sources).filter_map(|((machine, disk), source)| {
        let len = source.taken_for().sector_len?;
        let what = format!("sectors of {len} bytes of disk `{}`", disk.name);
        let why =
            format!("host descriptors do not contain their length: {}", disk::sectors::advice(len));
        Some(Unmapped::new("disk", what, why).of(machine.name.as_str()))
    })
}

/// Uploads missing objects, then publishes. For an existing release, restores losses.
async fn send(
    push: &Arc<Push>,
    sources: &mut [Source],
    existing: Option<&Release>,
    lease: &Lease,
    parent: Vec<DiskIndex>,
) -> Result<(Release, Reuse, bool), PushError> {
    let mut reuse = Reuse::default();
    let pending = sources::not_held(push, sources, &mut reuse).await?;
    let is_whole = pending.is_empty();
    reuse += pipeline::transfer(push, lease, sources, pending, parent)
        .await
        .map_err(|error| refuse_changed(sources).err().unwrap_or(error))?;
    refuse_changed(sources)?;
    let release = release_from(push, sources)?;
    if let Some(package) = &push.package {
        // For an existing release, too: the descriptor may be lost.
        push.registry.put_descriptor(lease, package.descriptor().clone()).await?;
    }
    let already_present = match existing {
        Some(_) if is_whole => true,
        _ => push.registry.publish(&release, lease).await?.already_present,
    };
    Ok((release, reuse, already_present))
}

/// Fails if a disk changed during the push. Explains other failures: chunks are read twice, to cut
/// and to send, and the registry refuses chunks that differ.
fn refuse_changed(sources: &[Source]) -> Result<(), PushError> {
    sources.iter().try_for_each(Source::check_unchanged)
}

fn release_from(push: &Push, sources: &[Source]) -> Result<Release, PushError> {
    let mut spec = push.spec.clone();
    let mut lens = sources.iter().map(|source| source.taken_for().sector_len);
    for machine in &mut spec.machines {
        for (disk, len) in machine.disks.iter().zip(lens.by_ref()) {
            if let Some(len) = len {
                machine.annotations.insert(disk::sectors::key(&disk.name), len.to_string());
            }
        }
    }
    let mut next = sources.iter();
    let document = spec.into_document(push.application.clone(), push.version.clone(), |_, _| {
        let index = next.next().and_then(Source::index).ok_or(PushError::Defect)?;
        let (len, content) = (index.disk_len(), index.content());
        Ok::<_, PushError>(DiskContent { len, content, index: index.digest() })
    })?;
    Ok(Release::new(document)?)
}

#[cfg(test)]
mod tests;
