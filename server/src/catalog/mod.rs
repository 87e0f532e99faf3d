//! The catalog: names and state (applications, releases, channels, leases) and the places of
//! chunks.
//!
//! The catalog is not a store. It holds no image bytes, and its rows about content can be rebuilt
//! from the store alone.
//!
//! ```text
//! app ─ verbs ─ rules ─ tx (the port) ─ sqlite, postgres
//!         └──────┼─ model
//!                └─ places (the port to the chunks)
//! ```
//!
//! The rules of the registry are written once, as functions over the statements of a transaction
//! (`rules`). A verb of [`Catalog`] runs some of them in one transaction (`verbs`). An engine runs
//! statements and knows no rules ([`tx`], [`sqlite`], [`postgres`]).
//!
//! # Contract (`conformance` holds every engine to it)
//!
//! 1. Each verb is one transaction: it takes effect in full or not at all. Once a verb that changes
//!    something returns, the change survives loss of power.
//! 2. An object named by a row is already in the store: callers put bytes before names.
//! 3. Adding a row that exists is not an error and changes nothing.
//! 4. Answers about a list come in the order of the list.
//! 5. Condemned content counts as missing, except for an older [`Grip`](collect::Grip).

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use seawall_store::error::ErrorKind;

#[cfg(any(test, feature = "testing"))]
pub mod conformance;
pub mod engine;
mod error;
mod id;
mod model;
mod places;
pub mod postgres;
mod rules;
mod schema;
pub mod sqlite;
pub mod transfer;
pub mod tx;
mod verbs;

pub use error::{Barrier, CatalogError, REBUILD};
pub use id::{
    Identity, InvalidLeaseId, InvalidRegistryId, InvalidWebhookId, LeaseId, RegistryId, WebhookId,
};
pub use model::audit::{
    AuditQuery, Delivery, DeliveryRow, DeliveryState, Entry, Excess, LeaseLoad, Logged, Quota,
    QuotaState, Settlement, Usage, Webhook, WebhookAdded, WebhookSecret, WebhookStatus,
};
pub use model::channels::{Channel, ChannelMove, Expected, MoveRequest, Moved, PastChannel};
pub use model::content::{ChunkPlace, Frame, IndexRow, LeafAdded, LeafRow, Located, NewPack};
pub use model::leases::{
    Admission, LEASES_MAX, LEASES_PER_TOKEN_MAX, Lease, LeaseOpened, NewLease,
    PULL_LEASE_AGE_MAX_SECS, Purpose, Renewal,
};
pub use model::releases::{Application, LISTED_NAMES_LEN_MAX, NewRelease, Publication, Release};
pub use model::{access, check, collect, jobs, mirrors, relocation, retention};

use engine::{Access, Claim, CopyPlan, Engine, Task};
use places::{ChunkTable, Places};
use tx::{Tx, TxResult};

/// The names and the state of the registry, in a database. Clones share it.
#[derive(Clone)]
pub struct Catalog {
    engine: Arc<dyn Engine>,
    places: Arc<dyn Places>,
    /// The barrier of a relocation, as it was last seen.
    closed: Arc<Mutex<Option<Barrier>>>,
}

impl fmt::Debug for Catalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Catalog").finish_non_exhaustive()
    }
}

impl Catalog {
    /// Makes a catalog over an engine, whose tables exist.
    pub fn new(engine: Arc<dyn Engine>) -> Self {
        Self { engine, places: Arc::new(ChunkTable), closed: <_>::default() }
    }

    fn engine(&self) -> &dyn Engine {
        &*self.engine
    }

    /// Returns the places of chunks, for the rules of a transaction.
    fn chunk_places(&self) -> Arc<dyn Places> {
        Arc::clone(&self.places)
    }

    /// Runs rules in a transaction that reads.
    async fn read<T: Send + 'static>(
        &self,
        action: &'static str,
        work: impl FnMut(&mut dyn Tx) -> TxResult<T> + Send + 'static,
    ) -> Result<T, CatalogError> {
        self.run(Access::Read, action, work).await
    }

    /// Runs rules in a transaction that writes.
    async fn write<T: Send + 'static>(
        &self,
        action: &'static str,
        work: impl FnMut(&mut dyn Tx) -> TxResult<T> + Send + 'static,
    ) -> Result<T, CatalogError> {
        self.run(Access::Write, action, work).await
    }

    async fn run<T: Send + 'static>(
        &self,
        access: Access,
        action: &'static str,
        mut work: impl FnMut(&mut dyn Tx) -> TxResult<T> + Send + 'static,
    ) -> Result<T, CatalogError> {
        let answer = Arc::new(Mutex::new(None));
        let slot = Arc::clone(&answer);
        let work = move |tx: &mut dyn Tx| {
            let value = work(tx)?;
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
            Ok(())
        };
        let done = self.engine.run(access, action, Box::new(work)).await;
        match &done {
            Err(error) => {
                if let Some(barrier @ (Barrier::Moving | Barrier::Moved)) = error.barrier() {
                    self.heed(Some(barrier));
                }
            }
            Ok(()) if matches!(access, Access::Write | Access::Free) => self.heed(None),
            Ok(()) => {}
        }
        done?;
        let value = answer.lock().unwrap_or_else(PoisonError::into_inner).take();
        value.ok_or_else(|| CatalogError::new(ErrorKind::Internal, action, "the work did not run"))
    }

    /// Returns the time since 1970-01-01 UTC by the clock that all registries over the catalog
    /// share; `None` if that is the clock of this machine.
    #[must_use]
    pub fn now(&self) -> Option<Duration> {
        self.engine.now()
    }

    /// Returns the barrier that keeps the catalog from being written, if any.
    #[must_use]
    pub fn barrier(&self) -> Option<Barrier> {
        self.engine.barrier().or(*self.closed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sets the barrier of a relocation.
    fn heed(&self, barrier: Option<Barrier>) {
        *self.closed.lock().unwrap_or_else(PoisonError::into_inner) = barrier;
    }

    /// Releases the space reserved for deletions if the disk is full, because freeing space takes
    /// some space. Reserves it again once enough is free.
    ///
    /// # Errors
    /// If the catalog may not be written for another reason.
    pub async fn make_room(&self) -> Result<(), CatalogError> {
        self.run(Access::Free, "delete or collect", |_| Ok(())).await
    }

    /// Checks that the catalog can be read and, if no barrier is set, written.
    ///
    /// # Errors
    /// If it cannot.
    pub async fn probe(&self) -> Result<(), CatalogError> {
        match self.barrier() {
            Some(_) => self.read("serve", |_| Ok(())).await,
            None => self.write("serve", rules::releases::leases::probe).await,
        }
    }

    /// Claims the exclusive right to copy the catalog; `None` while another copy is made.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn claim_copying(&self) -> Result<Option<Claim>, CatalogError> {
        self.engine.claim(Task::Copy).await
    }

    /// Plans a copy of the catalog at one moment, while it is in use.
    ///
    /// # Errors
    /// If the engine makes no copies.
    pub fn copy(&self) -> Result<CopyPlan, CatalogError> {
        self.engine.copy()
    }
}
