//! Records that a crash between a commit and its record left out.
//!
//! Runs at the start, and before a collection decides anything: records are functions of rows, so
//! it does not matter who writes one.

use std::collections::{BTreeMap, HashSet};

use seawall_api::names::{ApplicationName, ChannelName, Version};
use seawall_store::port::ObjectKind;

use super::{MoveRecord, Record, Subject};
use crate::app::{AppError, Registry, present};

/// How many rows are read at once.
const PAGE_COUNT: u32 = 1000;

/// The records that the store has, as far as the catalog was not found to know them.
struct Recorded {
    releases: HashSet<(ApplicationName, Version)>,
    /// The last move of each channel.
    moves: BTreeMap<(ApplicationName, ChannelName), u64>,
    tombstones: HashSet<(ApplicationName, Version)>,
}

/// What became of the records of a store.
#[derive(Debug)]
pub struct Completed {
    /// How many were missing, and are written now.
    pub written: u64,
    /// Of those that the store has and the catalog knows nothing of: why one of them is there.
    pub unknown: Option<AppError>,
}

impl Registry {
    /// Writes the records that are missing, and looks for those that only the store knows.
    ///
    /// # Errors
    /// When a port fails; what is left is written the next time.
    pub async fn complete_records(&self) -> Result<Completed, AppError> {
        // Listed before the catalog is read: a commit comes before its record, so what is listed
        // is in the catalog, unless that is an old copy.
        let mut recorded = self.recorded().await?;
        let mut written = 0;
        let mut after = None;
        loop {
            let page = self.applications(after, PAGE_COUNT).await?;
            for application in page.items {
                written += self.complete_releases(&application.name, &mut recorded).await?;
                written += self.complete_moves(&application.name, &mut recorded).await?;
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        written += self.complete_tombstones(&mut recorded).await?;
        Ok(Completed { written, unknown: self.unknown(recorded).await? })
    }

    /// Writes the records that are missing, or says that the catalog does not know what was
    /// published: what it calls unreachable may then be what somebody relies on.
    ///
    /// # Errors
    /// [`AppError::CatalogOld`], or [`AppError::Damaged`] where the record that it does not know
    /// cannot be read; when a port fails.
    pub(in crate::app) async fn prove_current(&self) -> Result<(), AppError> {
        self.complete_records().await?.unknown.map_or(Ok(()), Err)
    }

    /// What one of these records says of the catalog, which knows none of them. A tombstone that
    /// cannot be read says nothing: there is nothing left to lose of what it names. Nor does a move
    /// to a release that the store cannot name: a rebuild would not bring it back.
    async fn unknown(&self, recorded: Recorded) -> Result<Option<AppError>, AppError> {
        let Recorded { releases, moves, tombstones } = recorded;
        let tombstones = tombstones.into_iter().map(|(a, v)| Subject::Tombstone(a, v));
        let releases = releases.into_iter().map(|(a, v)| Subject::Release(a, v));
        let moves = moves.into_iter().map(|((a, c), sequence)| Subject::Move(a, c, sequence));
        let mut damaged = None;
        for subject in releases.chain(moves).chain(tombstones) {
            let name = subject.object();
            let Some(bytes) = present(self.store.get(&name).await)? else { continue };
            let (is_record, object) = (subject.is_told_by(&bytes), name.path());
            if let (Subject::Move(application, ..), Some(moved)) =
                (&subject, MoveRecord::decode(&bytes))
                && self.catalog.release(application.clone(), moved.release).await?.is_none()
            {
                continue;
            }
            if is_record {
                return Ok(Some(AppError::CatalogOld { object }));
            }
            tracing::error!(object, "nobody can read this record, and the catalog has no such row");
            if !matches!(subject, Subject::Tombstone(..)) {
                damaged = damaged.or(Some(AppError::Damaged { object }));
            }
        }
        Ok(damaged)
    }

    async fn recorded(&self) -> Result<Recorded, AppError> {
        let (mut releases, mut moves) = (HashSet::new(), BTreeMap::new());
        let mut tombstones = HashSet::new();
        for object in self.store.list(ObjectKind::Name).await? {
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
                None => tracing::warn!(object = %object.path(), "this is no record of ours"),
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
