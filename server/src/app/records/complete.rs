//! Completion of records that a crash between a commit and its record left out.
//!
//! Runs at startup and before every collection. Records are functions of rows, so any process may
//! write a missing one.

use std::collections::{BTreeMap, HashSet};

use futures::TryStreamExt;
use seawall_api::names::{ApplicationName, ChannelName, Version};
use seawall_store::port::ObjectKind;

use super::{MoveRecord, Record, Records, Subject};
use crate::app::{AppError, present};

/// Rows per catalog query.
const PAGE_COUNT: u32 = 1000;

/// The records in the store that were not yet matched with the catalog.
struct Recorded {
    releases: HashSet<(ApplicationName, Version)>,
    /// The sequence number of the last move of each channel.
    moves: BTreeMap<(ApplicationName, ChannelName), u64>,
    tombstones: HashSet<(ApplicationName, Version)>,
}

/// The result of [`Records::complete`].
#[derive(Debug)]
pub struct Completed {
    /// The number of missing records that were written.
    pub written: u64,
    /// The error for a record in the store without a row in the catalog, if there is one.
    pub unknown: Option<AppError>,
}

impl Records {
    /// Writes missing records, and looks for records that are unknown to the catalog.
    ///
    /// # Errors
    /// Fails if a port fails; the next run completes the rest.
    pub async fn complete(&self) -> Result<Completed, AppError> {
        // The store is listed before the catalog is read. A commit precedes its record, so every
        // listed record has a row unless the catalog is an older copy.
        let mut recorded = self.recorded().await?;
        let mut written = 0;
        let mut after = None;
        loop {
            let page = self.catalog.applications(after, PAGE_COUNT).await?;
            for application in &page {
                written += self.complete_releases(&application.name, &mut recorded).await?;
                written += self.complete_moves(&application.name, &mut recorded).await?;
            }
            after = page.last().map(|application| application.name.clone());
            if after.is_none() {
                break;
            }
        }
        written += self.complete_tombstones(&mut recorded).await?;
        Ok(Completed { written, unknown: self.unknown(recorded).await? })
    }

    /// Writes missing records. Fails if the store has records unknown to the catalog, because
    /// content that is unreachable in an older catalog may still be in use.
    ///
    /// # Errors
    /// [`AppError::CatalogOld`], or [`AppError::Damaged`] if the unknown record is unreadable; or
    /// the error of a port.
    pub(in crate::app) async fn prove_current(&self) -> Result<(), AppError> {
        self.complete().await?.unknown.map_or(Ok(()), Err)
    }

    /// Returns [`AppError::CatalogOld`] if a readable record is unknown to the catalog, or else
    /// [`AppError::Damaged`] if an unreadable one is. Skips unreadable tombstones, because their
    /// release is already deleted, and moves to a release unknown to the catalog, because a rebuild
    /// would not restore such a move.
    async fn unknown(&self, recorded: Recorded) -> Result<Option<AppError>, AppError> {
        let Recorded { releases, moves, tombstones } = recorded;
        let tombstones = tombstones.into_iter().map(|(a, v)| Subject::Tombstone(a, v));
        let releases = releases.into_iter().map(|(a, v)| Subject::Release(a, v));
        let moves = moves.into_iter().map(|((a, c), sequence)| Subject::Move(a, c, sequence));
        let mut damaged = None;
        for subject in releases.chain(moves).chain(tombstones) {
            let name = subject.object();
            let Some(bytes) = present(self.store.get(&name).await)? else { continue };
            let (is_record, object) = (subject.is_recorded_in(&bytes), name.path());
            if let (Subject::Move(application, ..), Some(moved)) =
                (&subject, MoveRecord::decode(&bytes))
                && self.catalog.release(application.clone(), moved.release).await?.is_none()
            {
                continue;
            }
            if is_record {
                return Ok(Some(AppError::CatalogOld { object }));
            }
            tracing::error!(object, "the record cannot be read, and the catalog has no row for it");
            if !matches!(subject, Subject::Tombstone(..)) {
                damaged = damaged.or(Some(AppError::Damaged { object }));
            }
        }
        Ok(damaged)
    }

    async fn recorded(&self) -> Result<Recorded, AppError> {
        let (mut releases, mut moves) = (HashSet::new(), BTreeMap::new());
        let mut tombstones = HashSet::new();
        let mut records = self.store.list(ObjectKind::Name);
        while let Some(object) = records.try_next().await? {
            match Subject::parse(&object) {
                Some(Subject::Release(application, version)) => {
                    releases.insert((application, version));
                }
                Some(Subject::Move(application, channel, sequence)) => {
                    let last = moves.entry((application, channel)).or_insert(sequence);
                    *last = sequence.max(*last);
                }
                Some(Subject::Tombstone(application, version)) => {
                    tombstones.insert((application, version));
                }
                None => tracing::warn!(object = %object.path(), "unknown file among the records"),
            }
        }
        Ok(Recorded { releases, moves, tombstones })
    }

    async fn complete_releases(
        &self,
        application: &ApplicationName,
        recorded: &mut Recorded,
    ) -> Result<u64, AppError> {
        let mut written = 0;
        let mut after = None;
        loop {
            let page = self.catalog.releases(application.clone(), after, PAGE_COUNT).await?;
            for release in &page {
                let key = (application.clone(), release.version.clone());
                if !recorded.releases.remove(&key) {
                    written += u64::from(self.record_release(release).await?);
                }
            }
            after = page.last().map(|release| release.version.clone());
            if after.is_none() {
                return Ok(written);
            }
        }
    }

    async fn complete_tombstones(&self, recorded: &mut Recorded) -> Result<u64, AppError> {
        let mut written = 0;
        let mut after = None;
        loop {
            let page = self.catalog.tombstones(after, PAGE_COUNT).await?;
            for tombstone in &page {
                let release = &tombstone.release;
                let key = (release.application.clone(), release.version.clone());
                if !recorded.releases.remove(&key) {
                    written += u64::from(self.record_release(release).await?);
                }
                if !recorded.tombstones.remove(&key) {
                    written += u64::from(self.record_tombstone(tombstone).await?);
                }
            }
            let last = page.last().map(|tombstone| &tombstone.release);
            after = last.map(|release| (release.application.clone(), release.version.clone()));
            if after.is_none() {
                return Ok(written);
            }
        }
    }

    async fn complete_moves(
        &self,
        application: &ApplicationName,
        recorded: &mut Recorded,
    ) -> Result<u64, AppError> {
        let mut written = 0;
        for channel in self.catalog.channels(application.clone()).await? {
            let (name, last) = (channel.name, channel.sequence);
            let key = (application.clone(), name.clone());
            let in_store = recorded.moves.get(&key).copied().unwrap_or_default();
            if in_store < last {
                written += u64::from(self.record_last_move(application, &name, last).await?);
            }
            if in_store <= last {
                recorded.moves.remove(&key);
            }
        }
        Ok(written)
    }
}
