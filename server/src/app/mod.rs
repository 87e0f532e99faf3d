//! Use cases: what the registry does, without a framework.
//!
//! # Invariants
//!
//! 1. Bytes before names: the store holds an object before the catalog names it.
//! 2. What is received is proven (decoded, re-hashed) before it is kept; what is served under a
//!    digest is proven again, so that damage at rest is an error and never an answer.
//! 3. A release becomes visible in one catalog transaction, and only when every chunk of every
//!    index of it is present.
//!
//! # At the same time
//!
//! | running ↓ / starting → | upload | put leaf, index | publish | read |
//! |---|---|---|---|---|
//! | upload | the same pack twice is one pack | sees a chunk or answers `incomplete` | free | free |
//! | put leaf, index | free | the same one twice is one | sees it or answers `incomplete` | free |
//! | publish | free | free | one wins; the other finds it present or taken | all of it or none |
//!
//! A deletion, a pin and what a host reports are one transaction of the catalog each: of a deletion
//! and anything that would hold its release, the first wins, and the other is told.
//!
//! # After a crash
//!
//! Objects without a row: a second try finds their bytes present and adds the row. A row whose
//! record is missing in the store: `names` adds it. A catalog that is gone: `rebuild`.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use seawall_store::error::{ErrorKind, StoreError};
use seawall_store::port::{ObjectKind, ObjectName, ObjectStore, Put};
use tokio::sync::Semaphore;

use crate::catalog::check::Healing;
use crate::catalog::collect::{Added, Grip, Hand};
use crate::catalog::{Barrier, Catalog, Lease, LeaseId};
use crate::courier::Reach;
use crate::host::Host;

mod audit;
pub mod backup;
pub mod channels;
mod chunks;
pub mod collect;
pub mod damage;
pub mod deletion;
mod descriptors;
pub mod diff;
mod error;
pub mod fsck;
pub mod hosts;
mod indexes;
pub mod leases;
pub mod listings;
mod names;
mod packs;
pub mod pins;
mod proof;
mod publish;
mod quotas;
pub mod rebuild;
mod resolve;
pub mod retention;
pub mod room;
pub mod webhooks;

pub use error::AppError;
pub use names::Completed;
pub use packs::{KeptPack, PackObject};
pub use publish::Publisher;
pub use resolve::ReleaseBytes;
pub use webhooks::Delivered;

/// How many diffs are computed at once: each may hold `diff::CHUNKS_MAX` chunks in memory.
const DIFFS_AT_ONCE: usize = 1;

/// Between two looks whether a sweep has taken what is to be put again. It mostly takes
/// milliseconds; who has looked this often is asked to come again, and another may use the time.
const SWEEP_PAUSE: Duration = Duration::from_millis(20);
const SWEEP_TRIES: u32 = 500;
const SWEEP_RUNS: &str = "what this needs is being collected";

/// The registry's use cases over its ports.
pub struct Registry {
    store: Arc<dyn ObjectStore>,
    catalog: Arc<dyn Catalog>,
    host: Arc<dyn Host>,
    /// One permit per processor: proving a pack keeps one busy.
    proving: Arc<Semaphore>,
    diffing: Semaphore,
    lease_ttl_secs: u64,
    noted: audit::Noted,
    room: Option<room::Room>,
    reach: Reach,
    collecting: collect::Collecting,
    usage: collect::Measured,
    checks: fsck::Checks,
    receivers: webhooks::Receivers,
}

impl Registry {
    /// Joins the ports; `cpus` packs are proven at once.
    pub fn new(
        store: Arc<dyn ObjectStore>,
        catalog: Arc<dyn Catalog>,
        host: Arc<dyn Host>,
        cpus: usize,
    ) -> Self {
        let proving = Arc::new(Semaphore::new(cpus.max(1)));
        // Without randomness it is nobody's in particular: checks of two processes then share one.
        let checks = fsck::Checks::new(host.random().unwrap_or_default());
        let diffing = Semaphore::new(DIFFS_AT_ONCE);
        let (collecting, usage, noted, receivers) = <_>::default();
        Self {
            store,
            catalog,
            host,
            proving,
            diffing,
            lease_ttl_secs: leases::LEASE_TTL_SECS,
            collecting,
            usage,
            checks,
            noted,
            receivers,
            room: None,
            reach: Reach::PublicOnly,
        }
    }

    /// What keeps the registry from being written, where something does.
    #[must_use]
    pub fn barrier(&self) -> Option<Barrier> {
        self.catalog.barrier()
    }

    /// Proves that the store and the catalog can be read and written.
    ///
    /// # Errors
    /// When one of them cannot.
    pub async fn probe(&self) -> Result<(), AppError> {
        if self.barrier().is_some() {
            // A probe of the store writes.
            self.store.list(ObjectKind::Release).await?;
        } else {
            self.store.probe().await?;
        }
        Ok(self.catalog.probe().await?)
    }

    /// Keeps bytes that were proven to be what `name` says, whatever lies there already: an object
    /// that was damaged at rest is mended by whoever brings it again.
    async fn keep(&self, name: &ObjectName, bytes: Bytes, hand: Hand) -> Result<Put, AppError> {
        if self.store.put(name, bytes.clone()).await? == Put::Created {
            self.healed(name, hand, Healing::IfNoted).await?;
            return Ok(Put::Created);
        }
        match self.store.get(name).await {
            Ok(found) if found == bytes => {
                self.healed(name, hand, Healing::IfNoted).await?;
                return Ok(Put::AlreadyPresent);
            }
            Ok(_) => tracing::warn!(object = name.path(), "mends a damaged object"),
            Err(error) => tracing::warn!(object = name.path(), %error, "mends a damaged object"),
        }
        self.store.replace(name, bytes).await?;
        self.healed(name, hand, Healing::Seen).await?;
        Ok(Put::Created)
    }

    /// An object is what its name says: what was noted of it before is over.
    async fn healed(
        &self,
        name: &ObjectName,
        hand: Hand,
        healing: Healing,
    ) -> Result<(), AppError> {
        self.noted.forget(&name.path());
        self.catalog.note_sound(name.clone(), hand, healing).await?;
        Ok(())
    }

    /// Keeps bytes under a lease and names them in the catalog by `add`: as often as a sweep may
    /// have taken what lay there between the two.
    async fn keep_under(
        &self,
        lease: LeaseId,
        name: &ObjectName,
        bytes: &Bytes,
        add: impl AsyncFn(Grip) -> Result<Added, AppError>,
    ) -> Result<Put, AppError> {
        for _ in 0..SWEEP_TRIES {
            let found = self.use_lease(lease).await?;
            let is_noted = self.note_kept(&found, name).await?;
            let put = self.keep(name, bytes.clone(), self.hand(Some(lease))).await?;
            if put == Put::Created && !is_noted {
                // A sweep took it in between.
                self.catalog.note_kept(lease).await?;
            }
            if add(found.grip).await? == Added::Present {
                return Ok(put);
            }
            self.wait_for_sweep().await?;
        }
        Err(AppError::Busy { what: SWEEP_RUNS })
    }

    /// Lets a sweep take what is to be put again; one that nobody carries on is ended here.
    async fn wait_for_sweep(&self) -> Result<(), AppError> {
        self.finish_abandoned_sweep().await?;
        tokio::time::sleep(SWEEP_PAUSE).await;
        Ok(())
    }

    /// Whoever holds a lease, or the registry itself, now.
    fn hand(&self, lease: Option<LeaseId>) -> Hand {
        Hand { lease, at_secs: self.host.now_secs() }
    }

    /// Notes that an object is about to be kept under a lease, unless that was noted before or the
    /// object is there: then whoever brought it has it on their lease. Whether it is noted.
    async fn note_kept(&self, lease: &Lease, name: &ObjectName) -> Result<bool, AppError> {
        if !lease.has_kept {
            if self.store.len(name).await?.is_some() {
                return Ok(false);
            }
            self.catalog.note_kept(lease.id).await?;
        }
        Ok(true)
    }

    /// Bytes that the catalog says are there; `is_intact` compares them with their name.
    async fn proven_bytes(
        &self,
        name: &ObjectName,
        is_intact: impl FnOnce(&[u8]) -> bool,
    ) -> Result<Bytes, AppError> {
        match self.store.get(name).await {
            Ok(bytes) if is_intact(&bytes) => return Ok(bytes),
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        self.note_damage(name).await;
        Err(AppError::Damaged { object: name.path() })
    }
}

/// Refuses bytes that came under another name than theirs.
fn check_name<D: Copy + PartialEq + Display>(
    kind: &str,
    expected: D,
    actual: D,
) -> Result<(), AppError> {
    if actual == expected {
        return Ok(());
    }
    let (expected, actual) = (format!("{kind} {expected}"), format!("{kind} {actual}"));
    Err(AppError::DigestMismatch { expected, actual })
}

/// Tells an object that is not there from a store that cannot answer.
fn present<T>(result: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
