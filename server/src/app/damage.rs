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

/// Something that a release lacks, and which of its disks need it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lack {
    /// What is lost.
    pub lost: LostObject,
    /// `machine/disk`, in the order of the release; none where all of it needs what is lost, or its
    /// document cannot be read.
    pub disks: Vec<String>,
}

/// A release and what it lacks.
pub type DamagedRelease = (catalog::Release, Vec<Lack>);

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
            let lacks = self.lacks(&release).await?;
            damaged.push((release, lacks));
        }
        Ok((damaged, is_cut))
    }

    /// What a release lacks, and which of its disks need that.
    async fn lacks(&self, row: &catalog::Release) -> Result<Vec<Lack>, AppError> {
        let lost = self.catalog.lost_of(row.digest).await?;
        if lost.is_empty() {
            return Ok(Vec::new());
        }
        // The document itself may be what is lost.
        let selector = Selector::Digest(row.digest);
        let release = self.read_release(&row.application, &selector).await.ok();
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
        let lacks = self.lacks(&row).await?;
        Ok((row, lacks))
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
        self.keep(&ObjectName::Release(expected), bytes, self.hand(Some(lease))).await
    }
}
