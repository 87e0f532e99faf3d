//! Rebuild: a new catalog from the store alone, when the old one was lost.
//!
//! Not a repair: it runs on a catalog that is empty and that nobody else sees yet.
//!
//! # Invariants
//!
//! 1. What the store names is in the catalog afterwards, damaged or not: a release whose bytes
//!    are not all there is listed, and said to be damaged, rather than forgotten.
//! 2. A chunk, leaf or index is in the catalog only when it is complete, as ever: the next push of
//!    the same disk sends what is missing, and mends what is damaged.
//! 3. A store that cannot answer ends it: only what is surely damaged is left out.
//!
//! What is gone: leases, and what was never answered (a release document without its record).

use std::sync::Arc;

use seawall_store::error::{ErrorKind, StoreError};
use seawall_store::port::{ObjectKind, ObjectName, ObjectStore};

use super::AppError;
use crate::catalog::Catalog;

pub(super) mod content;
mod names;

pub(super) use content::read_pack;

/// How many objects are read at once.
const READS_AT_ONCE: usize = 8;
/// Between two lines in the log, in objects.
const PROGRESS_EVERY: u64 = 1000;

/// Something of the store that a rebuilt catalog cannot vouch for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Damage {
    /// The object at fault, by its path, or the release that suffers.
    pub object: String,
    /// What is wrong with it.
    pub what: String,
}

/// What a rebuild found.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Rebuilt {
    /// Packs whose chunks are known again.
    pub packs: u64,
    /// Leaves that are complete.
    pub leaves: u64,
    /// Indexes that are complete.
    pub indexes: u64,
    /// Releases, damaged ones too.
    pub releases: u64,
    /// Releases that were deleted.
    pub deleted: u64,
    /// Channels.
    pub channels: u64,
    /// Release documents that were never acknowledged.
    pub unnamed: u64,
    /// What is damaged.
    pub damage: Vec<Damage>,
}

impl Rebuilt {
    fn damaged(&mut self, object: impl Into<String>, what: impl Into<String>) {
        let damage = Damage { object: object.into(), what: what.into() };
        tracing::error!(object = %damage.object, what = %damage.what, "damage found in the store");
        self.damage.push(damage);
    }
}

/// The ports, and what was found so far.
struct Rebuild<'a> {
    store: Arc<dyn ObjectStore>,
    catalog: &'a dyn Catalog,
    found: Rebuilt,
    now_secs: u64,
}

/// Fills an empty catalog with what the store holds at `now_secs`.
///
/// # Errors
/// When a port cannot serve; the catalog is then to be thrown away.
pub async fn rebuild(
    store: Arc<dyn ObjectStore>,
    catalog: &dyn Catalog,
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
            "there was no catalog: rebuilt it from the store"
        );
    }
    Ok(found)
}

impl Rebuild<'_> {
    /// Objects of a kind, in the order of their names, so that two rebuilds are the same.
    async fn list(&self, kind: ObjectKind) -> Result<Vec<ObjectName>, AppError> {
        let mut names = self.store.list(kind).await?;
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

/// Tells bytes that are not there from a store that cannot answer. One bad sector is damage: a
/// disk that fails altogether cannot be probed either.
pub(super) async fn readable<T>(
    store: &dyn ObjectStore,
    result: Result<T, StoreError>,
) -> Result<Result<T, String>, AppError> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(error) if error.is_media_failure() => {
            store.probe().await?;
            Ok(Err("the disk cannot read it".to_owned()))
        }
        Err(error) => match error.kind() {
            ErrorKind::NotFound | ErrorKind::InvalidInput | ErrorKind::Damaged => {
                Ok(Err(error.to_string()))
            }
            _ => Err(error.into()),
        },
    }
}

#[cfg(test)]
mod tests;
