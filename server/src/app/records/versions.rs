//! The versions that the records permit to publish.

use futures::TryStreamExt;
use seawall_api::digest::ReleaseDigest;
use seawall_api::reference::Selector;
use seawall_api::release::{Disk, Machine, Release};
use seawall_store::port::{ObjectKind, ObjectName};

use super::{Record, Records, ReleaseRecord, Subject};
use crate::app::content::objects::{self, Found};
use crate::app::{AppError, present};

impl Records {
    /// Fails if the records assign the version of a release to another release or mark it as
    /// deleted, even if the catalog was lost.
    pub(in crate::app) async fn check_version_free(
        &self,
        release: &Release,
    ) -> Result<(), AppError> {
        let (application, version) = (release.application(), release.version());
        if self.is_buried(application, version).await? {
            return Err(deleted(release));
        }
        let name = Subject::Release(application.clone(), version.clone()).object();
        let Some(bytes) = present(self.store.get(&name).await)? else {
            let known = self.catalog.release(application.clone(), release.digest()).await?;
            return if known.is_some() { Ok(()) } else { usable(release) };
        };
        match ReleaseRecord::decode(&bytes) {
            Some(record) if record.digest == release.digest() => Ok(()),
            Some(record) => Err(taken(release, record.digest)),
            None => self.check_lost_record(release, name.path()).await,
        }
    }

    /// Permits publishing over an unreadable record only if the record cannot belong to another
    /// release: either the catalog has this release under the version, or no other document in the
    /// store has the version. A push is then the only way to restore the record.
    async fn check_lost_record(&self, release: &Release, object: String) -> Result<(), AppError> {
        let (application, version) = (release.application(), release.version());
        let selector = Selector::Version(version.clone());
        match self.catalog.resolve(application.clone(), selector).await? {
            Some(known) if known == release.digest() => return Ok(()),
            Some(known) => return Err(taken(release, known)),
            None => {}
        }
        let mut documents = self.store.list(ObjectKind::Release);
        while let Some(name) = documents.try_next().await? {
            if name == ObjectName::Release(release.digest()) {
                continue;
            }
            // Unproven: an altered document still claims its version.
            let found = objects::unproven(&*self.store, &name).await?;
            let Found::Sound(bytes) = found else { continue };
            let means = Release::parse(&bytes).is_ok_and(|other| {
                (other.application(), other.version()) == (application, version)
            });
            if means {
                return Err(AppError::Damaged { object });
            }
        }
        tracing::warn!(object, "the record cannot be read and is replaced");
        Ok(())
    }
}

pub(in crate::app) fn taken(release: &Release, published: ReleaseDigest) -> AppError {
    AppError::VersionTaken {
        version: format!("{}:{}", release.application(), release.version()),
        published: published.to_string(),
        offered: release.digest().to_string(),
    }
}

pub(in crate::app) fn deleted(release: &Release) -> AppError {
    AppError::VersionDeleted { version: format!("{}:{}", release.application(), release.version()) }
}

/// Fails if a host could not store the disks of a release under their names. Applies to new
/// releases only: the push reports the problem before any pull does.
fn usable(release: &Release) -> Result<(), AppError> {
    let check = |(machine, disk): (&Machine, &Disk)| {
        machine.name.check_usable().and_then(|()| disk.name.check_usable())
    };
    release.disks().try_for_each(check).map_err(|error| AppError::rule(error.to_string()))
}
