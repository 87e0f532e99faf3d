//! Push: disks of an application become a release in a registry.
//!
//! 1. [`sources`]: open every image; recall those that did not change since they were scanned.
//! 2. [`pipeline`]: scan → cut → ask → pack → upload, leaf by leaf, on every core at once.
//! 3. publish: indexes, then the release document, which the registry makes visible as one.
//!
//! # Invariants
//!
//! 1. Bytes before names: a leaf is sent when its chunks are there, an index when its leaves are,
//!    the document last. A push that dies leaves chunks that the next push finds, and no name.
//! 2. Memory does not grow with the disks: what is held is bounded by [`pipeline`]'s constants.
//! 3. A disk that changes while it is read is refused: its bytes would be of no moment at all.

mod error;
mod ledger;
mod pipeline;
mod report;
mod sources;
mod uploads;

use std::sync::Arc;

use seawall_api::index::DiskIndex;
use seawall_api::names::{ApplicationName, Version};
use seawall_api::problem::Code;
use seawall_api::reference::Selector;
use seawall_api::release::Release;
use seawall_api::v1::{Lease, LeasePurpose};

pub use error::PushError;
pub use report::{PushReport, PushedDisk, Reuse};

use crate::disk::DiskAccess;
use crate::hold;
use crate::host::HostState;
use crate::ovf::disk::contradicted;
use crate::ovf::{Package, Unmapped};
use crate::progress::{Progress, Stage};
use crate::registry::{Registry, RegistryError};
use crate::spec::{DiskContent, ReleaseSpec};
use sources::Source;

/// What to push, and with what.
pub struct Push {
    /// Where to.
    pub registry: Arc<dyn Registry>,
    /// The machines and their disks' files.
    pub spec: ReleaseSpec,
    /// The package that these come from, where there is one.
    pub package: Option<Package>,
    /// The application.
    pub application: ApplicationName,
    /// The version.
    pub version: Version,
    /// The release that most likely shares chunks; the newest where `None`.
    pub parent: Option<Selector>,
    /// Read every disk, even one that did not change since it was scanned.
    pub full_scan: bool,
    /// How the disks may be opened.
    pub access: DiskAccess,
    /// What this host remembers.
    pub state: HostState,
    /// Hears how far it is.
    pub progress: Arc<dyn Progress>,
    /// How many threads cut and compress.
    pub threads: usize,
}

/// Pushes a release.
///
/// Pushing what is there already is a success and changes nothing. Whatever was uploaded before
/// a failure stays for the next try, until the lease ends.
///
/// # Errors
/// When a disk cannot be read or changes meanwhile, the registry fails, or the version names
/// another release.
pub async fn push(push: Push) -> Result<PushReport, PushError> {
    let push = Arc::new(push);
    let mut sources = sources::open(&push).await?;
    check_package(&push).await?;
    let existing = existing(&push).await?;
    let version = Some(&push.version);
    let lease = push.registry.open_lease(&push.application, LeasePurpose::Push, version).await?;
    // A disk that is mostly known takes long to read, and meanwhile nothing is asked.
    let work = transfer_and_publish(&push, &mut sources, existing.as_ref(), &lease);
    let outcome = hold::renewing(&push.registry, &lease, work).await;
    if outcome.is_err() || existing.is_some() {
        // It ends by itself, too; the registry's answer changes nothing for the caller.
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
        // Nothing may be sent under a version that is taken; whether it is the same is for the
        // content to say.
        sources::scan(push, sources).await?;
        refuse_changed(sources)?;
        let pushed = release_from(push, sources)?.digest();
        if taken.digest() != pushed {
            let (application, version) = (push.application.clone(), push.version.clone());
            let taken_by = taken.digest();
            return Err(PushError::VersionTaken { application, version, taken_by, pushed });
        }
    }
    // Of a release that is there, what was lost is looked for: nothing is taken to be present.
    let parent = match existing {
        Some(_) => Vec::new(),
        None => known_leaves(push).await?,
    };
    let (release, reuse, already_present) = match send(push, sources, existing, lease, parent).await
    {
        // Something that the parent's leaves need is gone: all is asked about, and mended.
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

/// Holds the package's manifest against its files, which are open by now.
async fn check_package(push: &Arc<Push>) -> Result<(), PushError> {
    let push = Arc::clone(push);
    sources::blocking(move || match &push.package {
        Some(package) => Ok(package.check(push.progress.as_ref())?),
        None => Ok(()),
    })
    .await
}

/// Disks whose sectors have other than 512 bytes: a release does not carry that.
fn sectors<'a>(push: &'a Push, sources: &'a [Source]) -> impl Iterator<Item = Unmapped> + 'a {
    push.spec.disks().zip(sources).filter_map(|((machine, disk), source)| {
        let len = source.taken_for().sector_len?;
        Some(Unmapped {
            section: "disk".to_owned(),
            machine: Some(machine.name.to_string()),
            what: format!("sectors of {len} bytes of disk `{}`", disk.name),
            why: format!(
                "a release does not carry their length: attach the disk with it (in QEMU \
                 `logical_block_size={len},physical_block_size={len}`, in libvirt `<blockio \
                 logical_block_size='{len}' physical_block_size='{len}'/>`), or a guest does not \
                 find its partitions"
            ),
        })
    })
}

/// Brings what the registry lacks, then publishes. A release that is there already may still lack
/// something: what was lost since is brought again.
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
        // Of a release that is there, too: it may be what was lost of it.
        push.registry.put_descriptor(lease, package.descriptor().clone()).await?;
    }
    let already_present = match existing {
        Some(_) if is_whole => true,
        _ => push.registry.publish(&release, lease).await?.already_present,
    };
    Ok((release, reuse, already_present))
}

/// Names the disk that changed meanwhile, which explains any other failure: its chunks are read
/// twice, to cut and to send, and the registry refuses those that differ.
fn refuse_changed(sources: &[Source]) -> Result<(), PushError> {
    sources.iter().try_for_each(Source::check_unchanged)
}

fn release_from(push: &Push, sources: &[Source]) -> Result<Release, PushError> {
    let mut next = sources.iter();
    let document = push.spec.clone().into_document(
        push.application.clone(),
        push.version.clone(),
        |_, _| {
            let index = next.next().and_then(Source::index).ok_or(PushError::Defect)?;
            let (len, content) = (index.disk_len(), index.content());
            Ok::<_, PushError>(DiskContent { len, content, index: index.digest() })
        },
    )?;
    Ok(Release::new(document)?)
}

/// What its version names already, if it names anything.
async fn existing(push: &Push) -> Result<Option<Release>, PushError> {
    let found = release_of(push, &Selector::Version(push.version.clone())).await;
    found.map_err(|source| match source.code() {
        Some(Code::Gone) => PushError::VersionDeleted {
            application: push.application.clone(),
            version: push.version.clone(),
            source: Box::new(source),
        },
        _ => source.into(),
    })
}

/// The release of that name, if there is one. A document that was damaged is as good as none: to
/// publish it again mends it, and the registry still knows what the version names.
async fn release_of(push: &Push, selector: &Selector) -> Result<Option<Release>, RegistryError> {
    match push.registry.release(&push.application, selector).await {
        Ok(release) => Ok(Some(release)),
        Err(RegistryError::Problem { problem, .. })
            if matches!(problem.code, Code::NotFound | Code::Damaged) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Indexes of the parent release: their leaves need no question.
async fn known_leaves(push: &Push) -> Result<Vec<DiskIndex>, PushError> {
    let parent = match &push.parent {
        Some(selector) => Some(push.registry.release(&push.application, selector).await?),
        None => match push.registry.application(&push.application).await {
            Ok(application) => match application.newest {
                Some(newest) => match release_of(push, &Selector::Version(newest)).await {
                    // Somebody deleted it a moment ago.
                    Err(error) if error.code() == Some(Code::Gone) => None,
                    found => found?,
                },
                None => None,
            },
            Err(RegistryError::Problem { problem, .. }) if problem.code == Code::NotFound => None,
            Err(error) => return Err(error.into()),
        },
    };
    let mut indexes = Vec::new();
    for (_, disk) in parent.iter().flat_map(Release::disks) {
        match push.registry.index(disk.index).await {
            Ok(index) => indexes.push(index),
            // What is lost there is no help, and no hindrance either.
            Err(RegistryError::Problem { problem, .. })
                if matches!(problem.code, Code::NotFound | Code::Damaged) => {}
            Err(error) => return Err(error.into()),
        }
    }
    push.progress.begin(Stage::Upload, None);
    Ok(indexes)
}
