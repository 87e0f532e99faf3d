//! Quotas on the data and the number of releases of an application.
//!
//! A quota counts the data of every release's disks in full, so that the usage of one application
//! does not change when a release sharing its chunks is deleted elsewhere. The quota is enforced at
//! publication. Earlier checks only save a push that will fail from uploading. Quotas guard against
//! accidents, not against publishers, who may also set them.

use seawall_api::names::{ApplicationName, Version};
use seawall_api::reference::Selector;

use super::Audit;
use crate::app::AppError;
use crate::catalog::{Admission, Catalog, Excess, Frame, Quota, QuotaState};

impl Audit {
    /// Returns the quota and the usage of an application, which need not exist.
    ///
    /// # Errors
    /// Fails if the catalog fails.
    pub async fn quota(&self, application: &ApplicationName) -> Result<QuotaState, AppError> {
        Ok(self.catalog.quota(application.clone()).await?)
    }

    /// Sets the quota of an application. Existing releases remain, even above the quota.
    ///
    /// # Errors
    /// [`AppError::Invalid`] if a limit is out of range; or the error of the catalog.
    pub async fn set_quota(
        &self,
        application: &ApplicationName,
        quota: Quota,
        token: String,
    ) -> Result<QuotaState, AppError> {
        let limits = [quota.data_bytes_max, quota.release_count_max];
        if limits.iter().flatten().any(|limit| i64::try_from(*limit).is_err()) {
            return Err(AppError::rule(format!("a quota can be at most {}", i64::MAX)));
        }
        let now_secs = self.host.now_secs();
        self.catalog.set_quota(application.clone(), quota, token, now_secs).await?;
        self.quota(application).await
    }

    /// Fails if the quota leaves no room for a new version of any size. A push of an existing
    /// version is admitted, because the push may repair the release and adds no data.
    ///
    /// # Errors
    /// [`AppError::QuotaExceeded`], or the error of the catalog.
    pub async fn admit_push(
        &self,
        application: &ApplicationName,
        version: Option<Version>,
    ) -> Result<(), AppError> {
        let Some(version) = version else { return Ok(()) };
        // A new release is assumed to add at least one byte.
        let Some(excess) = self.quota(application).await?.excess(1) else { return Ok(()) };
        let selector = Selector::Version(version);
        if self.catalog.resolve(application.clone(), selector).await?.is_some() {
            return Ok(());
        }
        Err(exceeded(application, excess))
    }
}

/// Fails if the new chunks of a pack, together with earlier uploads under the same lease,
/// exceed the quota, because all of them belong to one release. The catalog is asked which
/// chunks are new only if all of them together would exceed it.
pub(in crate::app) async fn check_pack(
    catalog: &Catalog,
    admission: &Admission,
    frames: &[Frame],
) -> Result<(), AppError> {
    let Admission { lease, load: Some(load) } = admission else { return Ok(()) };
    let all = frames.iter().map(|frame| u64::from(frame.plain_len)).sum::<u64>();
    if load.state.data_excess(load.brought.saturating_add(all)).is_none() {
        return Ok(());
    }
    let application = &lease.application;
    let load = catalog.lease_load(lease.id, application.clone(), frames.to_vec()).await?;
    let Some(load) = load.filter(|load| load.brings > 0) else { return Ok(()) };
    match load.state.data_excess(load.brought.saturating_add(load.brings)) {
        Some(excess) => Err(exceeded(application, excess)),
        None => Ok(()),
    }
}

pub(in crate::app) fn exceeded(application: &ApplicationName, excess: Excess) -> AppError {
    AppError::QuotaExceeded { application: application.clone(), excess }
}
