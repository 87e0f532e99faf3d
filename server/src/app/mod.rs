//! The use cases of the registry, independent of any framework.
//!
//! # Invariants
//!
//! 1. Bytes before names: the store holds an object before the catalog names it.
//! 2. Received bytes are proven (decoded, re-hashed) before they are stored. Bytes served under a
//!    digest are proven again, so that damage at rest is reported as an error and never served.
//! 3. A release becomes visible in one catalog transaction, and only when every chunk of every
//!    index of the release is present.
//!
//! # Concurrency
//!
//! | running ↓ / starting → | upload | put leaf, index | publish | read |
//! |---|---|---|---|---|
//! | upload | the same pack twice is one pack | sees a chunk or answers `incomplete` | free | free |
//! | put leaf, index | free | the same one twice is one | sees it or answers `incomplete` | free |
//! | publish | free | free | one wins; the other finds it present or taken | all of it or none |
//!
//! A deletion, a pin and a host's report are one catalog transaction each. If a deletion races with
//! a request that would hold the same release, the first to commit wins and the other fails.
//!
//! # After a crash
//!
//! An object without a row: a retry finds the bytes present and adds the row. A row whose record is
//! missing from the store: `names` writes the record. A lost catalog: `rebuild`.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use seawall_store::error::{ErrorKind, StoreError};
use seawall_store::port::{ObjectKind, ObjectName, ObjectStore, Put};
use tokio::sync::Semaphore;

use crate::catalog::check::Healing;
use crate::catalog::collect::{Added, Hand, Stored};
use crate::catalog::jobs::Runner;
use crate::catalog::{Admission, Barrier, Catalog, Lease, LeaseId};
use crate::courier::Reach;
use crate::host::Host;

pub mod audit;
pub mod content;
mod error;
pub mod model;
pub mod names;
mod page;
pub mod records;
pub mod releases;
pub mod retention;
pub mod room;
pub mod upkeep;

pub use audit::webhooks::Delivered;
use audit::{Audit, DamageLog};
pub use content::packs::{KeptPack, PackObject};
pub use error::AppError;
use names::Names;
pub use records::Completed;
use records::Records;
pub use releases::publish::Publisher;
pub use releases::resolve::ReleaseBytes;
use retention::Retention;

/// Concurrent diffs. Each may hold `diff::CHUNKS_MAX` chunks in memory.
const DIFFS_AT_ONCE: usize = 1;

/// The delay between retries while a sweep removes an object that is to be stored again. A sweep
/// usually takes milliseconds; after `SWEEP_TRIES` attempts the request fails with
/// [`AppError::Busy`].
const SWEEP_PAUSE: Duration = Duration::from_millis(20);
const SWEEP_TRIES: u32 = 500;
const SWEEP_RUNS: &str = "an object needed by this request is being collected";

/// The registry's use cases over its ports.
pub struct Registry {
    /// The audit log, webhooks and quotas.
    pub audit: Audit,
    /// Pins, hosts and policies.
    pub retention: Retention,
    /// The records of names in the store.
    pub records: Records,
    /// Lookups by name.
    pub names: Names,
    store: Arc<dyn ObjectStore>,
    catalog: Catalog,
    host: Arc<dyn Host>,
    damage: DamageLog,
    /// One permit per processor, because proving a pack keeps one processor busy.
    proving: Arc<Semaphore>,
    diffing: Semaphore,
    lease_ttl_secs: u64,
    room: Option<room::Room>,
    /// The id of this registry as a runner of jobs.
    runner: Runner,
    collecting: upkeep::collect::Collecting,
    usage: upkeep::collect::Measured,
    checks: upkeep::fsck::Checks,
}

impl Registry {
    /// Creates a registry over its ports that proves up to `cpus` packs concurrently.
    pub fn new(
        store: Arc<dyn ObjectStore>,
        catalog: Catalog,
        host: Arc<dyn Host>,
        cpus: usize,
    ) -> Self {
        let proving = Arc::new(Semaphore::new(cpus.max(1)));
        // Without randomness the id is all zeros, and two processes share one.
        let runner = host.random().unwrap_or_default();
        let diffing = Semaphore::new(DIFFS_AT_ONCE);
        let (collecting, usage, checks) = <_>::default();
        let damage = DamageLog::new(catalog.clone(), Arc::clone(&host));
        let names = || Names { catalog: catalog.clone() };
        Self {
            audit: Audit::new(catalog.clone(), Arc::clone(&host)),
            retention: Retention {
                catalog: catalog.clone(),
                host: Arc::clone(&host),
                names: names(),
            },
            records: Records {
                store: Arc::clone(&store),
                catalog: catalog.clone(),
                host: Arc::clone(&host),
                damage: damage.clone(),
            },
            names: names(),
            damage,
            store,
            catalog,
            host,
            proving,
            diffing,
            lease_ttl_secs: content::leases::LEASE_TTL_SECS,
            runner,
            collecting,
            usage,
            checks,
            room: None,
        }
    }

    /// Sets the addresses permitted for webhooks.
    #[must_use]
    pub fn with_reach(mut self, reach: Reach) -> Self {
        self.audit.reach = reach;
        self
    }

    /// Returns the reason why the registry is read-only, if it is.
    #[must_use]
    pub fn barrier(&self) -> Option<Barrier> {
        self.catalog.barrier()
    }

    /// Checks that the store and the catalog can be read and written. A read-only registry is
    /// checked for reads.
    ///
    /// # Errors
    /// Fails if either of them fails.
    pub async fn probe(&self) -> Result<(), AppError> {
        if self.barrier().is_some() {
            // Probing the store writes to it.
            self.store.list(ObjectKind::Release).try_next().await?;
        } else {
            self.store.probe().await?;
        }
        Ok(self.catalog.probe().await?)
    }

    /// Stores bytes that were proven to match `name`, and clears the damage recorded of the object.
    async fn keep(&self, name: &ObjectName, bytes: Bytes, hand: Hand) -> Result<Put, AppError> {
        let (put, healing) = self.store_bytes(name, bytes).await?;
        self.damage.healed(name, hand, healing).await?;
        Ok(put)
    }

    /// Stores bytes that were proven to match `name`. Replaces the object at rest if its bytes are
    /// unreadable or differ: a new upload repairs damage at rest.
    async fn store_bytes(
        &self,
        name: &ObjectName,
        bytes: Bytes,
    ) -> Result<(Put, Healing), AppError> {
        if self.store.put(name, bytes.clone()).await? == Put::Created {
            return Ok((Put::Created, Healing::IfNoted));
        }
        match self.store.get(name).await {
            Ok(found) if found == bytes => return Ok((Put::AlreadyPresent, Healing::IfNoted)),
            Ok(_) => tracing::warn!(object = name.path(), "repairs a damaged object"),
            Err(error) => tracing::warn!(object = name.path(), %error, "repairs a damaged object"),
        }
        self.store.replace(name, bytes).await?;
        Ok((Put::Created, Healing::Seen))
    }

    /// Stores bytes under a lease and adds their row with `add`: one transaction before the bytes,
    /// one after. Retries while a sweep may have removed the bytes between the two.
    async fn keep_under(
        &self,
        lease: LeaseId,
        name: &ObjectName,
        bytes: &Bytes,
        add: impl AsyncFn(Stored) -> Result<Added, AppError>,
    ) -> Result<Put, AppError> {
        let admission = self.admit_upload(lease).await?;
        self.keep_admitted(admission, name, bytes, add).await
    }

    /// As [`Self::keep_under`], once the first transaction is done.
    async fn keep_admitted(
        &self,
        admission: Admission,
        name: &ObjectName,
        bytes: &Bytes,
        add: impl AsyncFn(Stored) -> Result<Added, AppError>,
    ) -> Result<Put, AppError> {
        let Admission { mut lease, load } = admission;
        for _ in 0..SWEEP_TRIES {
            let (put, healing) = self.store_bytes(name, bytes.clone()).await?;
            self.damage.forget(name);
            let stored = Stored { grip: lease.grip, healing, is_metered: load.is_some() };
            if add(stored).await? == Added::Present {
                return Ok(put);
            }
            self.wait_for_sweep().await?;
            lease = self.admit_upload(lease.id).await?.lease;
        }
        Err(AppError::Busy { what: SWEEP_RUNS })
    }

    /// Waits for a running sweep, after finishing one that was abandoned.
    async fn wait_for_sweep(&self) -> Result<(), AppError> {
        self.finish_abandoned_sweep().await?;
        tokio::time::sleep(SWEEP_PAUSE).await;
        Ok(())
    }

    /// The actor for the audit log: the holder of the lease, or the registry itself, at the present
    /// time.
    fn hand(&self, lease: Option<LeaseId>) -> Hand {
        Hand { lease, at_secs: self.host.now_secs() }
    }

    /// Marks the lease as keeping an object, before the object is stored. Skips the mark if the
    /// object is already present, because the lease that brought it is marked. Returns whether the
    /// lease is marked.
    async fn note_kept(&self, lease: &Lease, name: &ObjectName) -> Result<bool, AppError> {
        if !lease.has_kept {
            if self.store.len(name).await?.is_some() {
                return Ok(false);
            }
            self.catalog.note_kept(lease.id).await?;
        }
        Ok(true)
    }
}

/// Fails if the digest of the received bytes differs from the expected one.
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

/// Converts a not-found error to `None`.
fn present<T>(result: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
