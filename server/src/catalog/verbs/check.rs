//! Checks: findings, damage, and the rows to compare with the store.

use seawall_api::digest::{IndexDigest, LeafDigest, ReleaseDigest};
use seawall_store::port::ObjectName;

use super::super::model::check::{Finding, Findings, Healing, LostObject};
use super::super::model::collect::Actor;
use super::super::model::jobs::{Job, RunnerState};
use super::super::model::releases::Release;
use super::super::rules::content::indexes;
use super::super::rules::maintenance::{checks, damage, needs};
use super::super::rules::releases::publish;
use super::super::{Catalog, CatalogError};

impl Catalog {
    /// Saves the progress of a check, its findings since the last save, and a heartbeat. Saves
    /// nothing unless the runner is to go on.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn save_check(
        &self,
        job: Job,
        found: Vec<Finding>,
        now_secs: u64,
    ) -> Result<RunnerState, CatalogError> {
        self.write("save a check's progress", move |tx| checks::save(tx, &job, &found, now_secs))
            .await
    }

    /// Returns the findings of a check, at most `limit` in the list.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn findings(&self, run: u64, limit: u32) -> Result<Findings, CatalogError> {
        self.read("list findings", move |tx| checks::findings(tx, run, limit)).await
    }

    /// Records that an object is damaged, and the releases that need it. For packs and leaves no
    /// releases are passed: the catalog has the references.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn record_damage(
        &self,
        object: LostObject,
        needed_by: Vec<ReleaseDigest>,
        now_secs: u64,
    ) -> Result<(), CatalogError> {
        self.write("record damage", move |tx| damage::record(tx, &object, &needed_by, now_secs))
            .await
    }

    /// Records that an object is sound and logs the repair. Returns false if no damage was known. A
    /// lost pack or leaf is sound, and its repair logged, only once its rows are added again.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn record_sound(
        &self,
        object: ObjectName,
        actor: Actor,
        healing: Healing,
    ) -> Result<bool, CatalogError> {
        const ACTION: &str = "record that an object is sound";
        let text = object.path();
        // Called for every stored object and rarely true, so a read comes before the write.
        if healing == Healing::IfNoted
            && !self.read(ACTION, move |tx| damage::is_recorded(tx, &text)).await?
        {
            return Ok(false);
        }
        self.write(ACTION, move |tx| damage::sound(tx, &object, actor, healing)).await
    }

    /// Deletes the row of a leaf whose bytes are missing from the store, and records the leaf as
    /// lost until it is added again.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn mark_leaf_lost(&self, leaf: LeafDigest) -> Result<(), CatalogError> {
        self.write("record a lost leaf", move |tx| damage::mark_leaf_lost(tx, leaf)).await
    }

    /// Returns the objects a release is known to lack.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn lost_of(&self, release: ReleaseDigest) -> Result<Vec<LostObject>, CatalogError> {
        self.read("list lost objects", move |tx| damage::lost_of(tx, release)).await
    }

    /// Returns those indexes of releases that need a pack or leaf. An index needs itself; for other
    /// objects the list is empty.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn indexes_needing(
        &self,
        object: ObjectName,
    ) -> Result<Vec<IndexDigest>, CatalogError> {
        self.read("list the users of an object", move |tx| needs::indexes_needing(tx, &object))
            .await
    }

    /// Lists releases that are known to lack objects, at most `limit`.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn damaged_releases(&self, limit: u32) -> Result<Vec<Release>, CatalogError> {
        self.read("list damaged releases", move |tx| damage::releases(tx, limit)).await
    }

    /// Records the leaves of an index.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn record_leaves(
        &self,
        index: IndexDigest,
        leaves: Vec<LeafDigest>,
    ) -> Result<(), CatalogError> {
        self.write("record an index's leaves", move |tx| indexes::record_leaves(tx, index, &leaves))
            .await
    }

    /// Records those indexes of a release that are present.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn record_indexes(
        &self,
        release: ReleaseDigest,
        indexes: Vec<IndexDigest>,
    ) -> Result<(), CatalogError> {
        self.write("record a release's indexes", move |tx| {
            publish::record_indexes(tx, release, &indexes)
        })
        .await
    }

    /// Returns whether a release needs an object. The catalog does not know this of descriptors and
    /// records: the answer is false.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn is_needed(&self, object: ObjectName) -> Result<bool, CatalogError> {
        self.read("look for references", move |tx| needs::is_needed(tx, &object)).await
    }
}
