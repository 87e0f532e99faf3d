//! Collection of unreachable content.
//!
//! # Contract
//!
//! 1. Condemned content is missing for every [`Grip`](super::super::collect::Grip) of its
//!    generation or a later one.
//! 2. No row names content chosen by [`Catalog::begin_sweep`] as present, and none can until
//!    [`Catalog::end_sweep`].

use seawall_api::digest::{ChunkDigest, LeafDigest, PackDigest};

use super::super::engine::{Claim, Task};
use super::super::model::collect::{
    CollectState, Collectable, OlderLeases, PackRow, PlaceRow, Roots, Sweep, Sweeping,
};
use super::super::rules::collect::{self, condemn, roots, sweep};
use super::super::{Catalog, CatalogError};

impl Catalog {
    /// Claims the exclusive right to sweep, among all processes. Returns `None` if the right is
    /// taken. A claim ends with its process at the latest.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn claim_collecting(&self) -> Result<Option<Claim>, CatalogError> {
        self.engine().claim(Task::Collect).await
    }

    /// Deletes leases that ended before `now_secs`, and returns the counters of collection.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn collect_state(&self, now_secs: u64) -> Result<CollectState, CatalogError> {
        self.write("read the progress of collections", move |tx| collect::state(tx, now_secs)).await
    }

    /// Returns the roots of collection.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn roots(&self) -> Result<Roots, CatalogError> {
        self.read("list objects to keep", move |tx| roots::roots(tx)).await
    }

    /// Lists all packs.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn all_packs(&self) -> Result<Vec<PackRow>, CatalogError> {
        self.read("list packs", move |tx| roots::packs(tx)).await
    }

    /// Lists the places of chunks by digest, beginning after `after`.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn places(
        &self,
        after: Option<ChunkDigest>,
        limit: u32,
    ) -> Result<Vec<PlaceRow>, CatalogError> {
        let places = self.chunk_places();
        self.read("list places", move |tx| places.walk(tx, after, limit)).await
    }

    /// Returns the places of these chunks; chunks without a place are left out.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn places_of(&self, chunks: Vec<ChunkDigest>) -> Result<Vec<PlaceRow>, CatalogError> {
        let places = self.chunk_places();
        let found = self.read("find places", move |tx| places.packs(tx, &chunks)).await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// Lists all leaves and indexes with a row.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn all_objects(&self) -> Result<Vec<Collectable>, CatalogError> {
        self.read("list leaves and indexes", move |tx| roots::objects(tx)).await
    }

    /// Returns the leaves recorded as needing one of these packs.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn leaves_in(&self, packs: Vec<PackDigest>) -> Result<Vec<LeafDigest>, CatalogError> {
        self.read("list leaves", move |tx| roots::leaves_in(tx, &packs)).await
    }

    /// Condemns packs (with their lengths, known or not) and objects in a new generation. Returns
    /// the generation.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn condemn(
        &self,
        packs: Vec<(PackDigest, u64)>,
        objects: Vec<Collectable>,
    ) -> Result<u64, CatalogError> {
        self.write("condemn", move |tx| condemn::condemn(tx, &packs, &objects)).await
    }

    /// Returns the condemned content not being swept.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn condemned(&self) -> Result<Sweeping, CatalogError> {
        self.read("list condemned objects", move |tx| condemn::list(tx, false)).await
    }

    /// Returns the leases older than `generation` and alive at `now_secs`. Leases that have ended
    /// are deleted, so that none of them can publish any more.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn older_leases(
        &self,
        generation: u64,
        now_secs: u64,
    ) -> Result<Option<OlderLeases>, CatalogError> {
        self.write("look for older leases", move |tx| {
            condemn::older_leases(tx, generation, now_secs)
        })
        .await
    }

    /// Pardons condemned content, except content being swept.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn pardon(
        &self,
        packs: Vec<PackDigest>,
        objects: Vec<Collectable>,
    ) -> Result<(), CatalogError> {
        self.write("pardon", move |tx| condemn::pardon(tx, &packs, &objects)).await
    }

    /// Chooses the content to sweep: candidates still condemned, except packs that a live leaf
    /// needs. Deletes the rows of chosen leaves and indexes, and of leaves that need a chosen pack.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn begin_sweep(&self, sweep: Sweep) -> Result<Sweeping, CatalogError> {
        self.write("begin a sweep", move |tx| sweep::begin(tx, &sweep)).await
    }

    /// Returns the content of sweeps that have begun and not ended.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn sweeping(&self) -> Result<Sweeping, CatalogError> {
        self.read("list objects to sweep", move |tx| condemn::list(tx, true)).await
    }

    /// Deletes the places in swept packs among the next `limit` chunks after `after`. Returns the
    /// last of these chunks; `None` once all chunks were seen.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn delete_places(
        &self,
        after: Option<ChunkDigest>,
        limit: u32,
    ) -> Result<Option<ChunkDigest>, CatalogError> {
        let places = self.chunk_places();
        self.write("forget places", move |tx| places.forget(tx, after, limit)).await
    }

    /// Deletes the rows of swept content, whose bytes are gone.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn end_sweep(&self, done: Sweeping) -> Result<(), CatalogError> {
        self.write("end a sweep", move |tx| sweep::end(tx, &done)).await
    }

    /// Records that everything up to `litter` has been collected.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn end_collection(&self, litter: u64) -> Result<(), CatalogError> {
        self.write("end a collection", move |tx| collect::end(tx, litter)).await
    }
}
