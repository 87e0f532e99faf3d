//! Quotas: what an application may have.
//!
//! Counted is the data of its releases' disks, each release in full: what it costs does not change
//! when somebody else deletes a release that shared chunks with it. Publishing decides; what comes
//! before only spares a push that cannot succeed its uploads. These guard against accidents: a
//! publisher may also set them.

use seawall_api::names::{ApplicationName, Version};
use seawall_api::reference::Selector;

use super::{AppError, Registry};
use crate::catalog::{Excess, Frame, Lease, Quota, QuotaState};

impl Registry {
    /// The quota of an application, and what is used of it; it need not exist.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn quota(&self, application: &ApplicationName) -> Result<QuotaState, AppError> {
        Ok(self.catalog.quota(application.clone()).await?)
    }

    /// Sets the quota of an application. What it has already stays, whatever the quota.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn set_quota(
        &self,
        application: &ApplicationName,
        quota: Quota,
        token: String,
    ) -> Result<QuotaState, AppError> {
        let limits = [quota.data_bytes_max, quota.release_count_max];
        if limits.iter().flatten().any(|limit| i64::try_from(*limit).is_err()) {
            return Err(AppError::rule(format!("a quota is at most {}", i64::MAX)));
        }
        let now_secs = self.host.now_secs();
        self.catalog.set_quota(application.clone(), quota, token, now_secs).await?;
        self.quota(application).await
    }

    /// Refuses a push for which there is no room, or a new version that no quota permits, whatever
    /// its size. One that repeats a version may be mending it, and takes nothing more.
    ///
    /// # Errors
    /// [`AppError::NoRoom`], [`AppError::QuotaExceeded`], or when the catalog fails.
    pub async fn admit_push(
        &self,
        application: &ApplicationName,
        version: Option<Version>,
    ) -> Result<(), AppError> {
        self.reserve(0)?;
        let Some(version) = version else { return Ok(()) };
        // Any release has data.
        let Some(excess) = self.quota(application).await?.excess(1) else { return Ok(()) };
        let selector = Selector::Version(version);
        if self.catalog.resolve(application.clone(), selector).await?.is_some() {
            return Ok(());
        }
        Err(exceeded(application, excess))
    }

    /// Refuses a pack whose new chunks, with those that its lease brought before, would pass the
    /// quota: they are all data of one release. Returns how much the pack brings where it counts.
    pub(super) async fn check_quota_of_pack(
        &self,
        lease: &Lease,
        frames: &[Frame],
    ) -> Result<Option<u64>, AppError> {
        let application = &lease.application;
        let load = self.catalog.lease_load(lease.id, application.clone(), frames.to_vec()).await?;
        let Some(load) = load else { return Ok(None) };
        match load.state.data_excess(load.brought.saturating_add(load.brings)) {
            Some(excess) if load.brings > 0 => Err(exceeded(application, excess)),
            _ => Ok(Some(load.brings)),
        }
    }
}

pub(super) fn exceeded(application: &ApplicationName, excess: Excess) -> AppError {
    AppError::QuotaExceeded { application: application.clone(), excess }
}
