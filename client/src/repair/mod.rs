//! Repair: what a registry lost is brought again from wherever it still is.
//!
//! Another registry, or a directory that a release was pulled into: every host's disk is a source,
//! because nothing is taken on its word. What is brought goes the way of a push: chunks in new
//! packs, then leaves, then indexes, and the registry proves each again.
//!
//! 1. ask which releases are damaged;
//! 2. of each: its document, its descriptors, the lists of its disks;
//! 3. of each disk: the leaves that are not complete, and of these the chunks that are missing;
//! 4. publish again, which proves the whole; else say what is still lost.
//!
//! # Invariants
//!
//! 1. Nothing is sent that was not hashed here; nothing is kept that was not hashed there.
//! 2. What no source has is no failure of the rest: all that can be healed is. The registry is
//!    the last source of what is sound in its own damaged packs.
//! 3. A repair that dies leaves chunks that the next one finds.

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
use content::{Content, Missing};

/// What to repair, and with what.
pub struct Repair {
    /// The damaged registry.
    pub registry: Arc<dyn Registry>,
    /// Where to look for what it lacks, in this order.
    pub sources: Vec<Arc<dyn Source>>,
    /// The release to repair; every damaged one where `None`.
    pub target: Option<(ApplicationName, Selector)>,
    /// Hears how far it is.
    pub progress: Arc<dyn Progress>,
}

/// Brings again what a registry is known to lack.
///
/// # Errors
/// When the registry cannot be reached, or has no room. What no source has is no error: it is in
/// the report.
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
        let outcome = hold::renewing(registry, &lease, work).await;
        // It ends by itself, too.
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

/// Why a release is not whole yet.
#[derive(Default)]
struct Gaps {
    /// What no source has.
    missing: Missing,
    /// Why the registry did not publish it again though all was brought.
    refused: Option<String>,
}

/// Heals one release as far as can be; returns what stands against the rest.
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
        // Proves the whole once more, and names again what a lost catalog forgot.
        if let Err(error) = repair.registry.publish(&release, lease).await {
            gaps.refused = Some(permanent(error)?.to_string());
        }
    }
    Ok(gaps)
}

/// The release's document: from the registry itself, else from a source, which is then given to it.
async fn document(
    repair: &Repair,
    damaged: &DamagedRelease,
    lease: &Lease,
    report: &mut RepairReport,
) -> Result<Option<Release>, RepairError> {
    let selector = Selector::Digest(damaged.digest);
    match repair.registry.release(&damaged.application, &selector).await {
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

/// Tells a registry that has lost something from one that cannot answer.
fn permanent(error: RegistryError) -> Result<RegistryError, RepairError> {
    match error.kind() {
        ErrorKind::Unavailable | ErrorKind::Denied | ErrorKind::StorageFull => Err(error.into()),
        _ => Ok(error),
    }
}
