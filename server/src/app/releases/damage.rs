//! Damaged releases, and the upload that restores a lost release document.

use bytes::Bytes;
use seawall_api::digest::ReleaseDigest;
use seawall_api::names::ApplicationName;
use seawall_api::reference::Selector;
use seawall_api::release::Release;
use seawall_store::port::{ObjectName, Put};

use super::Releases;
use crate::app::{AppError, check_digest};
use crate::catalog::check::LostObject;
use crate::catalog::{self, LeaseId};

/// An object missing from a release, and the disks that need it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lack {
    /// The lost object.
    pub lost: LostObject,
    /// The affected disks as `machine/disk`, in the order of the release. Empty if the whole
    /// release is affected or its document is unreadable.
    pub disks: Vec<String>,
}

/// A release and its missing objects.
pub type DamagedRelease = (catalog::Release, Vec<Lack>);

impl Releases {
    /// Returns up to `limit` releases with known damage, and whether there are more.
    ///
    /// # Errors
    /// Fails if the catalog fails.
    pub async fn damage(&self, limit: u32) -> Result<(Vec<DamagedRelease>, bool), AppError> {
        let mut releases = self.catalog.damaged_releases(limit.saturating_add(1)).await?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let is_cut = releases.len() > limit;
        releases.truncate(limit);
        let mut damaged = Vec::with_capacity(releases.len());
        for release in releases {
            let lacks = self.lacks(&release).await?;
            damaged.push((release, lacks));
        }
        Ok((damaged, is_cut))
    }

    /// Returns the missing objects of a release, each with the affected disks.
    async fn lacks(&self, row: &catalog::Release) -> Result<Vec<Lack>, AppError> {
        let lost = self.catalog.lost_of(row.digest).await?;
        if lost.is_empty() {
            return Ok(Vec::new());
        }
        // The document may itself be lost.
        let selector = Selector::Digest(row.digest);
        let release = self.read(&row.application, &selector).await.ok();
        let mut lacks = Vec::with_capacity(lost.len());
        for lost in lost {
            let needing = match ObjectName::parse(&lost.object) {
                Some(object) => self.catalog.indexes_needing(object).await?,
                None => Vec::new(),
            };
            let disks = release.iter().flat_map(Release::disks);
            let disks = disks.filter(|(_, disk)| needing.contains(&disk.index));
            let disks = disks.map(|(machine, disk)| format!("{}/{}", machine.name, disk.name));
            lacks.push(Lack { disks: disks.collect(), lost });
        }
        Ok(lacks)
    }

    /// Returns a release and its objects known to be missing; none if the release is intact.
    ///
    /// # Errors
    /// As [`Names::resolve`](crate::app::names::Names::resolve).
    pub async fn damage_of(
        &self,
        application: &ApplicationName,
        selector: &Selector,
    ) -> Result<DamagedRelease, AppError> {
        let digest = self.names.resolve(application, selector).await?;
        let row = self.catalog.release(application.clone(), digest).await?;
        let row = row.ok_or_else(|| AppError::not_found(format!("release {application}")))?;
        let lacks = self.lacks(&row).await?;
        Ok((row, lacks))
    }

    /// Returns the objects known to be missing from each of these releases.
    pub(in crate::app) async fn lost_of_all(
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

    /// Stores the document of an already published release again.
    ///
    /// # Errors
    /// [`AppError::NotFound`] if the release was not published. Also fails if the lease has ended,
    /// the bytes do not match the digest, or a port fails.
    pub async fn put_document(
        &self,
        lease: LeaseId,
        expected: ReleaseDigest,
        bytes: Bytes,
    ) -> Result<Put, AppError> {
        self.content.use_lease(lease).await?;
        check_digest("release", expected, ReleaseDigest::of(&bytes))?;
        let described = Release::parse(&bytes)
            .map_err(|error| AppError::invalid("the body is not a release document", error))?;
        let row = self.catalog.release_of(expected).await?.filter(|row| {
            (&row.application, &row.version) == (described.application(), described.version())
        });
        if row.is_none() {
            return Err(AppError::not_found(format!("release {expected}")));
        }
        self.content
            .keep(&ObjectName::Release(expected), bytes, self.content.actor(Some(lease)))
            .await
    }
}
