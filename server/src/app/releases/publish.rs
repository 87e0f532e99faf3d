//! Publication: a release becomes visible atomically.

use std::collections::BTreeMap;

use bytes::Bytes;
use seawall_api::digest::{IndexDigest, ReleaseDigest};
use seawall_api::names::ApplicationName;
use seawall_api::release::Release;
use seawall_store::port::ObjectName;

use super::Releases;
use crate::app::AppError;
use crate::app::audit::quotas;
use crate::app::content::descriptors::descriptors_of;
use crate::app::content::keep::{SWEEP_RUNS, SWEEP_TRIES};
use crate::app::records::versions::{deleted, taken};
use crate::catalog::collect::Grip;
use crate::catalog::{self, IndexRow, LeaseId, NewRelease, Publication};

/// The publishing token and its lease.
#[derive(Clone, Debug)]
pub struct Publisher {
    /// The lease the release was pushed under.
    pub lease: LeaseId,
    /// The name of the token used; empty without authentication.
    pub token: String,
}

impl Releases {
    /// Publishes the release described by the document in `bytes`. Idempotent.
    ///
    /// Returns the digest of the release, and whether the release was published before.
    ///
    /// # Errors
    /// Fails if the document is invalid, belongs to another application, reuses a version, or lacks
    /// an index or a descriptor; if the lease has ended; or if a port fails. Nothing of the release
    /// becomes visible, except with [`AppError::Unrecorded`].
    pub async fn publish(
        &self,
        application: &ApplicationName,
        bytes: Bytes,
        publisher: Publisher,
    ) -> Result<(ReleaseDigest, Publication), AppError> {
        let release = Release::parse(&bytes)
            .map_err(|error| AppError::invalid("the body is not a release document", error))?;
        if release.application() != application {
            let named = release.application();
            let what = format!("the document names application {named}, not {application}");
            return Err(AppError::rule(what));
        }
        self.records.check_version_free(&release).await?;
        let grip = self.content.use_lease(publisher.lease).await;
        let grip = match grip {
            Ok(lease) => lease.grip,
            // Publishing an already published release again needs no lease.
            Err(AppError::LeaseEnded { .. }) => Grip::NEWEST,
            Err(error) => return Err(error),
        };
        let indexes = self.prove_disks(&release, grip).await?;
        let new = self.new_release(&release, &indexes, (publisher.clone(), grip));
        let mut row = new.release.clone();
        let publication = self.store_and_commit(&release, bytes, new).await?;
        match publication {
            Publication::Created => {}
            Publication::AlreadyPresent => {
                // The record describes the first publication.
                let published = self.catalog.release(application.clone(), row.digest).await?;
                row = published.unwrap_or(row);
            }
            Publication::VersionTaken(published) => return Err(taken(&release, published)),
            Publication::Deleted(_) => return Err(deleted(&release)),
            Publication::Swept => return Err(AppError::Busy { what: SWEEP_RUNS }),
            Publication::LeaseEnded => {
                return Err(AppError::LeaseEnded { lease: publisher.lease.to_string() });
            }
            Publication::IndexMissing(index) => {
                return Err(incomplete(&release, format!("index {index}")));
            }
            Publication::QuotaExceeded(excess) => {
                return Err(quotas::exceeded(application, excess));
            }
            Publication::DescriptorMissing(descriptor) => {
                return Err(incomplete(&release, format!("descriptor {descriptor}")));
            }
        }
        // Written after the commit. After a crash in between, the release is visible without a
        // record in the store. The push was not acknowledged, and its retry writes the record here.
        self.records.record_release(&row).await.map_err(|error| unrecorded(&release, error))?;
        Ok((release.digest(), publication))
    }

    /// Stores the release document and commits the release. Retries while a sweep may have removed
    /// the document between the two. Returns [`Publication::Swept`] after the last try.
    async fn store_and_commit(
        &self,
        release: &Release,
        bytes: Bytes,
        mut new: NewRelease,
    ) -> Result<Publication, AppError> {
        let name = ObjectName::Release(release.digest());
        for _ in 0..SWEEP_TRIES {
            if let Some(lease) = self.catalog.lease(new.lease, self.host.now_secs()).await? {
                new.sweeps = lease.grip.sweeps;
                self.content.record_kept(&lease, &name).await?;
            }
            // Checked after the sweep counter was read: `publish` detects any later sweep.
            if let Some(descriptor) = self.content.missing_descriptor(release).await? {
                return Err(incomplete(release, format!("descriptor {descriptor}")));
            }
            let actor = self.content.actor(Some(new.lease));
            self.content.keep(&name, bytes.clone(), actor).await?;
            // The lease may have ended while this request waited for sweeps.
            new.now_secs = self.host.now_secs();
            match self.catalog.publish(new.clone()).await? {
                Publication::Swept => self.content.wait_for_sweep().await?,
                publication => return Ok(publication),
            }
        }
        Ok(Publication::Swept)
    }

    /// Returns the index rows of all disks. Fails unless every index is whole and matches the
    /// length and content of its disk.
    async fn prove_disks(
        &self,
        release: &Release,
        grip: Grip,
    ) -> Result<BTreeMap<IndexDigest, IndexRow>, AppError> {
        let mut indexes = BTreeMap::new();
        for (machine, disk) in release.disks() {
            let row = match indexes.get(&disk.index) {
                Some(row) => *row,
                None => self.catalog.index(disk.index, grip).await?.ok_or_else(|| {
                    let place = format!("machine `{}`, disk `{}`", machine.name, disk.name);
                    incomplete(release, format!("index {} ({place})", disk.index))
                })?,
            };
            if row.disk_len.get() != disk.len || row.content != disk.content {
                return Err(AppError::rule(format!(
                    "machine `{}`, disk `{}`: index {} describes another disk ({} bytes, {})",
                    machine.name,
                    disk.name,
                    disk.index,
                    row.disk_len.get(),
                    row.content
                )));
            }
            if indexes.insert(disk.index, row).is_none() {
                self.content.prove_index(disk.index, grip).await.map_err(|error| match error {
                    AppError::Damaged { object } => incomplete(release, object),
                    error => error,
                })?;
            }
        }
        Ok(indexes)
    }

    fn new_release(
        &self,
        release: &Release,
        indexes: &BTreeMap<IndexDigest, IndexRow>,
        (publisher, grip): (Publisher, Grip),
    ) -> NewRelease {
        let now_secs = self.host.now_secs();
        let data_bytes = release.disks().filter_map(|(_, disk)| indexes.get(&disk.index));
        NewRelease {
            release: catalog::Release {
                application: release.application().clone(),
                version: release.version().clone(),
                digest: release.digest(),
                machines: release.machines().iter().map(|machine| machine.name.clone()).collect(),
                published_at_secs: now_secs,
                published_by: publisher.token,
                disk_bytes: release
                    .disks()
                    .fold(0, |sum: u64, (_, disk)| sum.saturating_add(disk.len)),
                data_bytes: data_bytes.fold(0, |sum: u64, row| sum.saturating_add(row.data_bytes)),
            },
            indexes: indexes.keys().copied().collect(),
            descriptors: descriptors_of(release).into_iter().collect(),
            lease: publisher.lease,
            now_secs,
            sweeps: grip.sweeps,
        }
    }
}

fn unrecorded(release: &Release, error: AppError) -> AppError {
    let done = || format!("release {}:{} is visible", release.application(), release.version());
    error.unrecorded(done, "push it again to record it")
}

fn incomplete(release: &Release, missing: String) -> AppError {
    let object = format!("{}:{}", release.application(), release.version());
    AppError::Incomplete { object, missing }
}
