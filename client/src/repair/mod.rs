//! Repair: restores lost objects of a registry from other sources.
//!
//! A source is another registry, or a directory with a pulled release. No source is trusted: every
//! object is hashed. Restored objects are uploaded as in a push (chunks in new packs, then leaves,
//! then indexes), and the registry verifies each one again.
//!
//! 1. Ask the registry for its damaged releases.
//! 2. For each release, restore its document, its descriptors and the indexes of its disks.
//! 3. For each disk, restore the incomplete leaves and their missing chunks.
//! 4. Publish again, which proves the whole release. Otherwise report what is still lost.
//!
//! # Invariants
//!
//! 1. The client hashes every object before sending it, and the registry before keeping it.
//! 2. An object without a source does not stop the repair of the others. The registry itself is the
//!    last source: its damaged packs still hold intact chunks.
//! 3. An interrupted repair leaves chunks that the next repair finds.

mod content;
mod error;
mod report;
mod source;

use std::collections::BTreeSet;
use std::sync::Arc;

use seawall_api::names::ApplicationName;
use seawall_api::reference::Selector;
use seawall_api::release::Release;
use seawall_api::v1::{DamagedRelease, Lease, LeasePurpose};

pub use error::RepairError;
pub use report::{RepairReport, RepairedRelease};
pub use source::{DirectorySource, RegistrySource, Source};

use crate::error::ErrorKind;
use crate::hold;
use crate::progress::{Progress, Stage};
use crate::registry::{Registry, RegistryError};
use crate::resolve;
use content::{Content, Missing};

/// The inputs of a repair.
pub struct Repair {
    /// The damaged registry.
    pub registry: Arc<dyn Registry>,
    /// The sources of lost objects, in the order of use.
    pub sources: Vec<Arc<dyn Source>>,
    /// The release to repair, or `None` for every damaged release.
    pub target: Option<(ApplicationName, Selector)>,
    /// The receiver of progress.
    pub progress: Arc<dyn Progress>,
}

/// Restores the known losses of a registry.
///
/// # Errors
/// Fails if the registry cannot be reached or is full. An object without a source is not an error
/// but an entry in the report.
pub async fn repair(repair: Repair) -> Result<RepairReport, RepairError> {
    let registry = &repair.registry;
    let (damaged, is_cut) = match &repair.target {
        Some((application, selector)) => {
            (vec![registry.damage_of(application, selector).await?], false)
        }
        None => {
            let damage = registry.damage().await?;
            (damage.releases, damage.is_cut)
        }
    };
    repair.progress.begin(Stage::Upload, None);
    let mut report = RepairReport { is_cut, ..RepairReport::default() };
    for release in damaged {
        if release.lost.is_empty() {
            report.releases.push(RepairedRelease::of(release, Vec::new(), false));
            continue;
        }
        let lease = registry.open_lease(&release.application, LeasePurpose::Push, None).await?;
        let work = heal(&repair, &release, &lease, &mut report);
        let outcome = hold::renewing(registry.as_ref(), &lease, work).await;
        // An unended lease expires.
        let _ = registry.end_lease(&lease).await;
        let gaps = outcome?;
        let selector = Selector::Digest(release.digest);
        let still = registry.damage_of(&release.application, &selector).await?.lost;
        let mut repaired = RepairedRelease::of(release, still, true);
        repaired.missing = gaps.missing.named;
        repaired.missing_left_out = gaps.missing.left_out;
        repaired.refused = gaps.refused;
        report.releases.push(repaired);
    }
    repair.progress.finish();
    Ok(report)
}

/// The gaps of a release after a repair.
#[derive(Default)]
struct Gaps {
    /// The objects missing in every source.
    missing: Missing,
    /// The registry's reason for refusing to publish the restored release.
    refused: Option<String>,
}

/// Restores one release as far as possible. Returns the remaining gaps.
async fn heal(
    repair: &Repair,
    damaged: &DamagedRelease,
    lease: &Lease,
    report: &mut RepairReport,
) -> Result<Gaps, RepairError> {
    let mut gaps = Gaps::default();
    let Some(release) = document(repair, damaged, lease, report).await? else {
        gaps.missing.add(format!("release document {}", damaged.digest));
        return Ok(gaps);
    };
    let mut content = Content::new(repair, lease, report);
    content.descriptors(&release).await?;
    let indexes: BTreeSet<_> = release.disks().map(|(_, disk)| disk.index).collect();
    for index in indexes {
        content.index(index).await?;
    }
    gaps.missing = content.finish().await?;
    if gaps.missing.count() == 0 {
        // Proves the whole release again, and restores its name after the loss of a catalog.
        if let Err(error) = repair.registry.publish(&release, lease).await {
            gaps.refused = Some(permanent(error)?.to_string());
        }
    }
    Ok(gaps)
}

/// Returns the release's document from the registry, or restores the document from a source.
async fn document(
    repair: &Repair,
    damaged: &DamagedRelease,
    lease: &Lease,
    report: &mut RepairReport,
) -> Result<Option<Release>, RepairError> {
    let (registry, selector) = (repair.registry.as_ref(), Selector::Digest(damaged.digest));
    match resolve::document(registry, &damaged.application, &selector).await {
        Ok(release) => return Ok(Some(release)),
        Err(error) => drop(permanent(error)?),
    }
    for source in &repair.sources {
        let found = source.document(&damaged.application, damaged.digest).await;
        if let Some(release) = found.filter(|release| release.digest() == damaged.digest) {
            repair.registry.put_document(lease, &release).await?;
            report.documents += 1;
            return Ok(Some(release));
        }
    }
    Ok(None)
}

/// Returns an error that reports a loss. Fails on an error that says nothing about losses.
fn permanent(error: RegistryError) -> Result<RegistryError, RepairError> {
    match error.kind() {
        ErrorKind::Unavailable | ErrorKind::Denied | ErrorKind::StorageFull => Err(error.into()),
        _ => Ok(error),
    }
}
