//! Records that a crash between a commit and its record left out.
//!
//! Runs once, beside whatever is served: records are functions of rows, so it does not matter who
//! writes one.

use std::collections::{BTreeMap, HashSet};

use seawall_api::names::{ApplicationName, ChannelName, Version};
use seawall_store::port::ObjectKind;

use super::Subject;
use crate::app::{AppError, Registry};
use crate::catalog::REBUILD;

/// How many rows are read at once.
const PAGE_COUNT: u32 = 1000;

/// The records that the store has, as far as the catalog was not found to know them.
struct Recorded {
    releases: HashSet<(ApplicationName, Version)>,
    /// The last move of each channel.
    moves: BTreeMap<(ApplicationName, ChannelName), u64>,
    tombstones: HashSet<(ApplicationName, Version)>,
}

impl Registry {
    /// Writes the records that are missing; returns how many. Says so in the log when the store
    /// has records of which the catalog does not know.
    ///
    /// # Errors
    /// When a port fails; what is left is written the next time.
    pub async fn complete_records(&self) -> Result<u64, AppError> {
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
        let Recorded { releases, moves, tombstones } = &recorded;
        let unknown = releases.len() + moves.len() + tombstones.len();
        if unknown > 0 {
            let releases = releases.iter().chain(tombstones);
            let example = releases.map(|(a, v)| format!("{a}:{v}")).next();
            let example = example.or_else(|| moves.keys().next().map(|(a, c)| format!("{a}:{c}")));
            tracing::error!(
                unknown,
                example,
                remedy = REBUILD,
                "the store knows more than the catalog, which is an older copy"
            );
        }
        Ok(written)
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
