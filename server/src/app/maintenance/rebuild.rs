//! Rebuild of a lost catalog from the store alone.
//!
//! A rebuild is not a repair: it fills an empty catalog that no other process uses yet.
//!
//! # Invariants
//!
//! 1. Everything named in the store is in the catalog afterwards, damaged or not: a release with
//!    missing bytes is listed and reported as damaged, not forgotten.
//! 2. As always, a chunk, leaf or index is in the catalog only if it is complete: the next push of
//!    the same disk sends what is missing and repairs the damage.
//! 3. A failing store ends the rebuild: only content known to be damaged is left out.
//!
//! Lost by design: leases, and unacknowledged releases (documents without a record).

use std::sync::Arc;

use futures::TryStreamExt;
use seawall_store::port::{ObjectKind, ObjectName, ObjectStore};

use crate::app::AppError;
use crate::catalog::Catalog;

mod content;
mod names;

/// Objects read concurrently.
const READS_AT_ONCE: usize = 8;
/// The interval between progress messages, in objects.
const PROGRESS_EVERY: u64 = 1000;

/// An object or release that a rebuild found damaged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Damage {
    /// The path of the damaged object, or the title of the affected release.
    pub object: String,
    /// A description of the damage.
    pub what: String,
}

/// The results of a rebuild.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Rebuilt {
    /// The number of packs with a readable footer.
    pub packs: u64,
    /// The number of complete leaves.
    pub leaves: u64,
    /// The number of complete indexes.
    pub indexes: u64,
    /// The number of releases, including damaged ones.
    pub releases: u64,
    /// The number of deleted releases.
    pub deleted: u64,
    /// The number of channels.
    pub channels: u64,
    /// The number of release documents that were never acknowledged.
    pub unnamed: u64,
    /// The damage found.
    pub damage: Vec<Damage>,
}

impl Rebuilt {
    fn damaged(&mut self, object: impl Into<String>, what: impl Into<String>) {
        let damage = Damage { object: object.into(), what: what.into() };
        tracing::error!(object = %damage.object, what = %damage.what, "damage found in the store");
        self.damage.push(damage);
    }
}

/// A rebuild in progress.
struct Rebuild<'a> {
    store: Arc<dyn ObjectStore>,
    catalog: &'a Catalog,
    found: Rebuilt,
    now_secs: u64,
}

/// Fills an empty catalog from the store. `now_secs` stands in for lost publication times.
///
/// # Errors
/// Fails if a port fails. The catalog must then be discarded.
pub async fn rebuild(
    store: Arc<dyn ObjectStore>,
    catalog: &Catalog,
    now_secs: u64,
) -> Result<Rebuilt, AppError> {
    let mut rebuild = Rebuild { store, catalog, found: Rebuilt::default(), now_secs };
    rebuild.packs().await?;
    rebuild.leaves().await?;
    rebuild.indexes().await?;
    let named = rebuild.releases().await?;
    rebuild.channels(&named).await?;
    let found = rebuild.found;
    if found != Rebuilt::default() {
        tracing::warn!(
            packs = found.packs,
            leaves = found.leaves,
            indexes = found.indexes,
            releases = found.releases,
            deleted = found.deleted,
            channels = found.channels,
            unnamed = found.unnamed,
            damage = found.damage.len(),
            "the catalog was missing: rebuilt it from the store"
        );
    }
    Ok(found)
}

impl Rebuild<'_> {
    /// Lists the objects of a kind, sorted by name, so that rebuilds are deterministic.
    async fn list(&self, kind: ObjectKind) -> Result<Vec<ObjectName>, AppError> {
        let mut names: Vec<_> = self.store.list(kind).try_collect().await?;
        names.sort_by_cached_key(ObjectName::path);
        if !names.is_empty() {
            tracing::info!(?kind, count = names.len(), "rebuilding the catalog");
        }
        Ok(names)
    }
}

fn progress(kind: ObjectKind, done: u64) {
    if done.is_multiple_of(PROGRESS_EVERY) {
        tracing::info!(?kind, done, "rebuilding the catalog");
    }
}

#[cfg(test)]
mod tests;
