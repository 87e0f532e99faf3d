//! Packs, leaves, indexes and descriptors, and the leases that protect them.

use std::sync::Arc;

use seawall_store::layer::{CacheTally, ReadCache};
use seawall_store::port::ObjectStore;
use tokio::sync::Semaphore;

use super::audit::DamageLog;
use super::sweep::Sweeper;
use crate::catalog::Catalog;
use crate::host::Host;

mod chunks;
pub(super) mod descriptors;
pub(super) mod indexes;
pub(super) mod keep;
pub mod leases;
pub(super) mod objects;
pub(super) mod packs;
mod proof;

/// The content in the store, and its rows in the catalog.
pub struct Content {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) catalog: Catalog,
    pub(super) host: Arc<dyn Host>,
    pub(super) damage: DamageLog,
    pub(super) sweeper: Sweeper,
    /// One permit per processor, because proving a pack keeps one processor busy.
    pub(super) proving: Arc<Semaphore>,
    /// The cache of what clients read. Proofs, checks and collections read the store itself.
    pub(super) cache: Option<Arc<ReadCache>>,
    /// The validity of a lease after it is opened or used, in seconds.
    pub(super) lease_ttl_secs: u64,
}

impl Content {
    /// Returns what the cache did since the start; `None` without a cache.
    #[must_use]
    pub fn cache_tally(&self) -> Option<CacheTally> {
        self.cache.as_ref().map(|cache| cache.tally())
    }
}
