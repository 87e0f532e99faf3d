//! Leases, which protect content from collection until their deadline while a push or a pull relies
//! on it.

use seawall_api::names::ApplicationName;

use super::Content;
use crate::app::AppError;
use crate::catalog::{
    Admission, LEASES_MAX, LEASES_PER_TOKEN_MAX, Lease, LeaseId, LeaseOpened, NewLease, Purpose,
    Renewal,
};

/// The default validity of a lease after it is opened or used, in seconds.
pub const LEASE_TTL_SECS: u64 = 3600;

impl Content {
    /// Returns the validity of a lease after it is opened or used, in seconds.
    #[must_use]
    pub fn lease_ttl_secs(&self) -> u64 {
        self.lease_ttl_secs
    }

    /// Opens a lease on `application`. The application of a push lease need not exist yet.
    ///
    /// # Errors
    /// [`AppError::LimitReached`] if there are too many leases; or the error of the catalog.
    pub async fn open_lease(
        &self,
        application: ApplicationName,
        purpose: Purpose,
    ) -> Result<LeaseId, AppError> {
        self.open_lease_as(application, purpose, String::new()).await
    }

    /// Opens a lease on `application` for a token. Repairs under the lease are logged under the
    /// token's name.
    ///
    /// # Errors
    /// [`AppError::LimitReached`] if the token or the registry has too many leases; or the error of
    /// the catalog.
    pub async fn open_lease_as(
        &self,
        application: ApplicationName,
        purpose: Purpose,
        opened_by: String,
    ) -> Result<LeaseId, AppError> {
        let id = self.host.random().map(LeaseId::from_bytes).ok_or_else(|| AppError::Internal {
            action: "name a lease",
            source: "the system provides no random bytes".into(),
        })?;
        let now_secs = self.host.now_secs();
        let deadline_secs = now_secs + self.lease_ttl_secs;
        let lease = NewLease { id, application, purpose, deadline_secs, opened_by };
        let opened_by = lease.opened_by.clone();
        match self.catalog.open_lease(lease, now_secs).await? {
            LeaseOpened::Done => Ok(id),
            LeaseOpened::TooManyOfToken => Err(AppError::LimitReached {
                whose: format!("token `{opened_by}`"),
                limit: format!("{LEASES_PER_TOKEN_MAX} leases"),
                remedy: "wait for running pushes and pulls to end, or for their leases to expire",
            }),
            LeaseOpened::TooMany => Err(AppError::LimitReached {
                whose: "this registry".to_owned(),
                limit: format!("{LEASES_MAX} leases"),
                remedy: "run the command again once some leases have ended",
            }),
        }
    }

    /// Returns a live push lease.
    ///
    /// # Errors
    /// [`AppError::LeaseEnded`] if the lease has ended, [`AppError::Invalid`] if it is a pull
    /// lease.
    pub async fn use_lease(&self, id: LeaseId) -> Result<Lease, AppError> {
        let renewal = self.renewal();
        let lease = push_lease(id, self.catalog.lease(id, renewal.now_secs).await?)?;
        if renewal.is_due(lease.deadline_secs) {
            self.renew_lease(id).await?;
        }
        Ok(lease)
    }

    /// Admits an object to be stored under a push lease, renewed if enough of its validity has
    /// elapsed.
    ///
    /// # Errors
    /// As [`Self::use_lease`].
    pub(in crate::app) async fn admit_upload(&self, id: LeaseId) -> Result<Admission, AppError> {
        let admission = self.catalog.admit_upload(id, self.renewal()).await?;
        let (lease, load) = admission.map(|admitted| (admitted.lease, admitted.load)).unzip();
        Ok(Admission { lease: push_lease(id, lease)?, load: load.flatten() })
    }

    fn renewal(&self) -> Renewal {
        Renewal { now_secs: self.host.now_secs(), ttl_secs: self.lease_ttl_secs }
    }

    /// Renews a lease for its full validity.
    ///
    /// # Errors
    /// [`AppError::LeaseEnded`] if the lease has ended.
    pub async fn renew_lease(&self, id: LeaseId) -> Result<(), AppError> {
        let now_secs = self.host.now_secs();
        if self.catalog.renew_lease(id, now_secs, now_secs + self.lease_ttl_secs).await? {
            Ok(())
        } else {
            Err(AppError::LeaseEnded { lease: id.to_string() })
        }
    }

    /// Ends a lease. Idempotent.
    ///
    /// # Errors
    /// Fails if the catalog fails.
    pub async fn end_lease(&self, id: LeaseId) -> Result<(), AppError> {
        Ok(self.catalog.end_lease(id).await?)
    }
}

/// Fails unless a lease is alive and permits a push.
fn push_lease(id: LeaseId, found: Option<Lease>) -> Result<Lease, AppError> {
    let lease = found.ok_or_else(|| AppError::LeaseEnded { lease: id.to_string() })?;
    if lease.purpose != Purpose::Push {
        return Err(AppError::rule("a lease to pull does not permit a push".to_owned()));
    }
    Ok(lease)
}
