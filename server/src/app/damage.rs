//! Which releases are damaged, and how what they lack comes back.

use bytes::Bytes;
use seawall_api::digest::ReleaseDigest;
use seawall_api::names::ApplicationName;
use seawall_api::reference::Selector;
use seawall_api::release::Release;
use seawall_store::port::{ObjectName, Put};

use super::{AppError, Registry, check_name};
use crate::catalog::check::LostObject;
use crate::catalog::{self, LeaseId};

/// A release and what it lacks.
pub type DamagedRelease = (catalog::Release, Vec<LostObject>);

impl Registry {
    /// Releases that are known to lack something, at most `limit`, and whether there are more.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn damage(&self, limit: u32) -> Result<(Vec<DamagedRelease>, bool), AppError> {
        let mut releases = self.catalog.damaged_releases(limit.saturating_add(1)).await?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let is_cut = releases.len() > limit;
        releases.truncate(limit);
        let mut damaged = Vec::with_capacity(releases.len());
        for release in releases {
            let lost = self.catalog.lost_of(release.digest).await?;
            damaged.push((release, lost));
        }
        Ok((damaged, is_cut))
    }

    /// What a release is known to lack; nothing when it is whole.
    ///
    /// # Errors
    /// [`AppError::NotFound`] when there is no such release.
    pub async fn damage_of(
        &self,
        application: &ApplicationName,
        selector: &Selector,
    ) -> Result<DamagedRelease, AppError> {
        let digest = self.resolve(application, selector).await?;
        let row = self.catalog.release(application.clone(), digest).await?;
        let row = row.ok_or_else(|| AppError::not_found(format!("release {application}")))?;
        Ok((row, self.catalog.lost_of(digest).await?))
    }

    /// Which of these releases are known to lack something, and what.
    pub(super) async fn lost_of_all(
        &self,
        releases: &[catalog::Release],
    ) -> Result<Vec<Vec<LostObject>>, AppError> {
        let damaged = self.catalog.damaged_releases(u32::MAX).await?;
        let damaged: std::collections::HashSet<_> =
            damaged.into_iter().map(|release| release.digest).collect();
        let mut lost = Vec::with_capacity(releases.len());
        for release in releases {
            lost.push(match damaged.contains(&release.digest) {
                true => self.catalog.lost_of(release.digest).await?,
                false => Vec::new(),
            });
        }
        Ok(lost)
    }

    /// Keeps the document of a release that was published before.
    ///
    /// # Errors
    /// [`AppError::NotFound`] when it was not; when the lease has ended, the bytes are not that
    /// document, or a port fails.
    pub async fn put_document(
        &self,
        lease: LeaseId,
        expected: ReleaseDigest,
        bytes: Bytes,
    ) -> Result<Put, AppError> {
        self.use_lease(lease).await?;
        check_name("release", expected, ReleaseDigest::of(&bytes))?;
        let described = Release::parse(&bytes)
            .map_err(|error| AppError::invalid("the body is not a release document", error))?;
        let row = self.catalog.release_of(expected).await?.filter(|row| {
            (&row.application, &row.version) == (described.application(), described.version())
        });
        if row.is_none() {
            return Err(AppError::not_found(format!("release {expected}")));
        }
        self.keep(&ObjectName::Release(expected), bytes).await
    }
}
