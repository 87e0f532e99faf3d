//! Leases.

use super::super::model::leases::{Admission, Lease, LeaseOpened, NewLease, Renewal};
use super::super::rules::releases::leases;
use super::super::{Catalog, CatalogError, LeaseId};

impl Catalog {
    /// Opens a lease and deletes leases that ended before `now_secs`.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn open_lease(
        &self,
        lease: NewLease,
        now_secs: u64,
    ) -> Result<LeaseOpened, CatalogError> {
        self.write("open a lease", move |tx| leases::open(tx, &lease, now_secs)).await
    }

    /// Returns a lease if alive at `now_secs`.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn lease(&self, id: LeaseId, now_secs: u64) -> Result<Option<Lease>, CatalogError> {
        self.read("read a lease", move |tx| leases::alive(tx, id, now_secs)).await
    }

    /// Admits an object to be stored under a push lease: records that the lease keeps objects,
    /// renews the lease when due, and returns both with the data stored under the lease so far. If
    /// the lease ends without a release, a collection looks for objects left behind. Returns `None`
    /// if the lease is not alive; a pull lease is returned unchanged.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn admit_upload(
        &self,
        id: LeaseId,
        renewal: Renewal,
    ) -> Result<Option<Admission>, CatalogError> {
        self.write("admit an upload", move |tx| leases::admit(tx, id, renewal)).await
    }

    /// Moves the deadline of a lease. Returns false if the lease is not alive at `now_secs`, or is
    /// a pull lease opened at least
    /// [`PULL_LEASE_AGE_MAX_SECS`](super::super::PULL_LEASE_AGE_MAX_SECS) ago.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn renew_lease(
        &self,
        id: LeaseId,
        now_secs: u64,
        deadline_secs: u64,
    ) -> Result<bool, CatalogError> {
        self.write("renew a lease", move |tx| leases::renew(tx, id, now_secs, deadline_secs)).await
    }

    /// Records that an object is about to be stored under a lease. If the lease ends without a
    /// release, a collection looks for objects left behind.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn note_kept(&self, id: LeaseId) -> Result<(), CatalogError> {
        self.write("record a lease's objects", move |tx| leases::mark_kept(tx, id)).await
    }

    /// Ends a lease. Ending a lease twice is not an error.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn end_lease(&self, id: LeaseId) -> Result<(), CatalogError> {
        self.write("end a lease", move |tx| leases::end(tx, id)).await
    }
}
