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
//! missing from the store: `records` writes the record. A lost catalog: `rebuild`.

use std::fmt::Display;
use std::sync::Arc;

use futures::TryStreamExt;
use seawall_store::error::{ErrorKind, StoreError};
use seawall_store::layer::ReadCache;
use seawall_store::port::{BucketState, ObjectKind, ObjectStore};
use tokio::sync::Semaphore;

use crate::catalog::relocation::Relocation;
use crate::catalog::{Barrier, Catalog};
use crate::courier::Reach;
use crate::host::Host;

pub mod access;
pub mod audit;
pub mod content;
mod error;
pub mod jobs;
pub mod maintenance;
pub mod mirrors;
pub mod model;
pub mod names;
mod page;
pub mod records;
pub mod releases;
pub mod retention;
pub mod room;
mod sweep;

pub use audit::webhooks::Delivered;
use audit::{Audit, DamageLog};
use content::Content;
pub use content::packs::{KeptPack, PackObject};
pub use error::AppError;
use jobs::Kernel;
use maintenance::backup::Backups;
use maintenance::collect::Collector;
use maintenance::fsck::Checker;
use mirrors::Mirrors;
use names::Names;
pub use records::Completed;
use records::Records;
pub use releases::Releases;
pub use releases::publish::Publisher;
use retention::Retention;
use sweep::Sweeper;

/// The settings of a registry.
pub struct Settings {
    /// The number of packs proven concurrently, at least 1.
    pub cpus: usize,
    /// The validity of a lease after it is opened or used, in seconds, at least 1.
    pub lease_ttl_secs: u64,
    /// The addresses permitted for webhooks.
    pub reach: Reach,
    /// The disk space withheld from uploads; `None` to accept every upload.
    pub room: Option<room::Room>,
    /// The cache of what clients read; `None` to read the store each time.
    pub cache: Option<Arc<ReadCache>>,
    /// The state of the bucket; `None` for another store.
    pub bucket: Option<StateOf>,
}

/// Tells the present state of a bucket.
pub type StateOf = Arc<dyn Fn() -> BucketState + Send + Sync>;

impl Settings {
    /// Returns the default settings for a machine with `cpus` processors.
    #[must_use]
    pub const fn new(cpus: usize) -> Self {
        let lease_ttl_secs = content::leases::LEASE_TTL_SECS;
        let reach = Reach::PublicOnly;
        Self { cpus, lease_ttl_secs, reach, room: None, cache: None, bucket: None }
    }
}

/// The registry's use cases over its ports.
pub struct Registry {
    /// Packs, leaves, indexes, descriptors and leases.
    pub content: Arc<Content>,
    /// Releases and channels.
    pub releases: Arc<Releases>,
    /// The access tokens in the catalog.
    pub tokens: Arc<access::Tokens>,
    /// The audit log, webhooks and quotas.
    pub audit: Audit,
    /// Pins, hosts, policies and what policies delete.
    pub retention: Retention,
    /// Collections.
    pub collector: Arc<Collector>,
    /// Checks.
    pub checker: Arc<Checker>,
    /// Backups of the catalog.
    pub backups: Backups,
    /// Mirrors.
    pub mirrors: Mirrors,
    /// The status of all jobs.
    pub jobs: Kernel,
    /// The records of names in the store.
    pub records: Records,
    /// Lookups by name.
    pub names: Names,
    store: Arc<dyn ObjectStore>,
    catalog: Catalog,
    room: Option<room::Room>,
    bucket: Option<StateOf>,
}

impl Registry {
    /// Creates a registry over its ports.
    pub fn new(
        store: Arc<dyn ObjectStore>,
        catalog: Catalog,
        host: Arc<dyn Host>,
        settings: Settings,
    ) -> Self {
        let Settings { cpus, lease_ttl_secs, reach, room, cache, bucket } = settings;
        let kernel = Kernel::new(catalog.clone(), Arc::clone(&host));
        let damage = DamageLog::new(catalog.clone(), Arc::clone(&host));
        let names = Names { catalog: catalog.clone() };
        let records = Records {
            store: Arc::clone(&store),
            catalog: catalog.clone(),
            host: Arc::clone(&host),
            damage: damage.clone(),
        };
        let sweeper = Sweeper {
            store: Arc::clone(&store),
            catalog: catalog.clone(),
            records: records.clone(),
        };
        let content = Arc::new(Content {
            store: Arc::clone(&store),
            catalog: catalog.clone(),
            host: Arc::clone(&host),
            damage,
            sweeper,
            proving: Arc::new(Semaphore::new(cpus.max(1))),
            cache,
            lease_ttl_secs: lease_ttl_secs.max(1),
        });
        let releases = Arc::new(Releases {
            content: Arc::clone(&content),
            catalog: catalog.clone(),
            host: Arc::clone(&host),
            names: names.clone(),
            records: records.clone(),
            diffing: Semaphore::new(releases::diff::DIFFS_AT_ONCE),
        });
        let checker = Arc::new(Checker::new(&content, &records, &kernel));
        let backups =
            Backups { catalog: catalog.clone(), room: room.clone(), kernel: kernel.clone() };
        let collector = Arc::new(Collector::new(&releases, &records, &kernel));
        Self {
            tokens: Arc::new(access::Tokens::new(catalog.clone(), Arc::clone(&host))),
            audit: Audit::new(kernel.clone(), reach),
            retention: Retention {
                catalog: catalog.clone(),
                host,
                kernel: kernel.clone(),
                names: names.clone(),
                releases: Arc::clone(&releases),
                collector: Arc::clone(&collector),
            },
            content,
            releases,
            records,
            names,
            collector,
            checker,
            backups,
            mirrors: Mirrors::new(kernel.clone()),
            jobs: kernel,
            store,
            catalog,
            room,
            bucket,
        }
    }

    /// Returns the state of the bucket; `None` for another store.
    #[must_use]
    pub fn bucket(&self) -> Option<BucketState> {
        self.bucket.as_ref().map(|state| state())
    }

    /// Returns the id of the registry, if it has one.
    ///
    /// # Errors
    /// Fails if the catalog fails.
    pub async fn id(&self) -> Result<Option<String>, AppError> {
        let identity = self.catalog.identity().await?;
        Ok(identity.map(|identity| identity.registry.to_string()))
    }

    /// Returns the reason why the registry is read-only, if it is.
    #[must_use]
    pub fn barrier(&self) -> Option<Barrier> {
        self.catalog.barrier()
    }

    /// Returns the last relocation of the registry, if there was one.
    ///
    /// # Errors
    /// Fails if the catalog fails.
    pub async fn relocation(&self) -> Result<Option<Relocation>, AppError> {
        Ok(self.catalog.relocation().await?)
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
}

/// Fails if the digest of the received bytes differs from the expected one.
fn check_digest<D: Copy + PartialEq + Display>(
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
