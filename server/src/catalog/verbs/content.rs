//! Packs, chunks, leaves and indexes, and the leases that keep them.

use seawall_api::digest::{ChunkDigest, IndexDigest, LeafDigest, PackDigest};
use seawall_api::index::ChunkRef;

use super::super::model::collect::{Added, Collectable, Grip, Stored};
use super::super::model::content::{IndexRow, LeafAdded, LeafRow, Located, NewPack};
use super::super::model::leases::{Admission, Lease, LeaseOpened, NewLease, Renewal};
use super::super::rules::collect::condemn;
use super::super::rules::content::{chunks, indexes, leaves, packs};
use super::super::rules::releases::leases;
use super::super::{Catalog, CatalogError, LeaseId};

impl Catalog {
    /// Adds a pack whose bytes were just stored, clears the damage recorded of it, and counts its
    /// new data toward the quota. Otherwise as [`Self::add_pack`].
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn keep_pack(&self, pack: NewPack, stored: Stored) -> Result<Added, CatalogError> {
        let places = self.chunk_places();
        self.write("add a pack", move |tx| packs::keep(tx, &*places, &pack, stored)).await
    }

    /// Adds a pack and its chunks. A chunk keeps its existing place unless that place is in a lost
    /// or condemned pack. The added pack is no longer lost or condemned.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn add_pack(&self, pack: NewPack, grip: Grip) -> Result<Added, CatalogError> {
        let places = self.chunk_places();
        self.write("add a pack", move |tx| packs::add(tx, &*places, &pack, grip)).await
    }

    /// Adds a pack and moves to it those of its chunks that have their place in one of `from`.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn move_frames(
        &self,
        pack: NewPack,
        from: Vec<PackDigest>,
        grip: Grip,
    ) -> Result<Added, CatalogError> {
        let places = self.chunk_places();
        self.write("move chunks", move |tx| packs::move_frames(tx, &*places, (&pack, &from), grip))
            .await
    }

    /// Returns the length of a pack in bytes.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn pack_len(&self, pack: PackDigest) -> Result<Option<u64>, CatalogError> {
        self.read("read a pack's length", move |tx| packs::len(tx, pack)).await
    }

    /// Records that the store no longer holds a pack. Until a push adds its chunks again, they have
    /// no place and the leaves that need them are incomplete.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn mark_pack_lost(&self, pack: PackDigest) -> Result<(), CatalogError> {
        self.write("record a lost pack", move |tx| packs::mark_lost(tx, pack)).await
    }

    /// Returns the positions of the chunks without a usable place, ascending.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn missing_chunks(
        &self,
        chunks: Vec<ChunkDigest>,
        grip: Grip,
    ) -> Result<Vec<u32>, CatalogError> {
        let places = self.chunk_places();
        self.read("look up chunks", move |tx| chunks::missing(tx, &*places, &chunks, grip)).await
    }

    /// Returns the places of chunks, including places in lost packs, so that a reader learns which
    /// pack is lost.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn locate_chunks(&self, chunks: Vec<ChunkDigest>) -> Result<Located, CatalogError> {
        let places = self.chunk_places();
        self.read("locate chunks", move |tx| chunks::locate(tx, &*places, &chunks)).await
    }

    /// Adds a leaf whose bytes were just stored, and clears the damage recorded of it. Otherwise as
    /// [`Self::add_leaf`].
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn keep_leaf(
        &self,
        leaf: LeafRow,
        chunks: Vec<ChunkRef>,
        stored: Stored,
    ) -> Result<LeafAdded, CatalogError> {
        let places = self.chunk_places();
        self.write("add a leaf", move |tx| leaves::keep(tx, &*places, (&leaf, &chunks), stored))
            .await
    }

    /// Adds a leaf if all its chunks are present.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn add_leaf(
        &self,
        leaf: LeafRow,
        chunks: Vec<ChunkRef>,
        grip: Grip,
    ) -> Result<LeafAdded, CatalogError> {
        let places = self.chunk_places();
        self.write("add a leaf", move |tx| leaves::add(tx, &*places, (&leaf, &chunks), grip)).await
    }

    /// Deletes the row of a leaf whose bytes are no longer in the store.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn delete_leaf_row(&self, leaf: LeafDigest) -> Result<(), CatalogError> {
        self.write("forget a leaf", move |tx| leaves::delete_row(tx, leaf)).await
    }

    /// Returns the packs with chunks of these leaves, each once, with its length in bytes.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn packs_of(
        &self,
        leaves: Vec<LeafDigest>,
    ) -> Result<Vec<(PackDigest, u64)>, CatalogError> {
        self.read("list packs", move |tx| leaves::packs_of(tx, &leaves)).await
    }

    /// Returns the rows of leaves, in order; `None` for a leaf that is absent or incomplete.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn leaves(
        &self,
        leaves: Vec<LeafDigest>,
        grip: Grip,
    ) -> Result<Vec<Option<LeafRow>>, CatalogError> {
        self.read("look up leaves", move |tx| leaves::rows(tx, &leaves, grip)).await
    }

    /// Adds an index whose list was just stored, records its leaves, and clears the damage recorded
    /// of it. Its leaves must all be present.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn keep_index(
        &self,
        index: IndexRow,
        leaves: Vec<LeafDigest>,
        stored: Stored,
    ) -> Result<Added, CatalogError> {
        self.write("add an index", move |tx| indexes::keep(tx, &index, &leaves, stored)).await
    }

    /// Adds an index. Its leaves must all be present.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn add_index(&self, index: IndexRow, grip: Grip) -> Result<Added, CatalogError> {
        self.write("add an index", move |tx| indexes::add(tx, &index, grip)).await
    }

    /// Returns an index.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn index(
        &self,
        index: IndexDigest,
        grip: Grip,
    ) -> Result<Option<IndexRow>, CatalogError> {
        self.read("read an index", move |tx| indexes::row(tx, index, grip)).await
    }

    /// Pardons an object whose bytes were just stored, and clears the damage recorded of it.
    /// Returns [`Added::Swept`] if a sweep may have removed the bytes since.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn keep_object(
        &self,
        object: Collectable,
        stored: Stored,
    ) -> Result<Added, CatalogError> {
        self.write("pardon an object", move |tx| condemn::keep(tx, object, stored)).await
    }
}

/// Leases, which keep content from collection.
impl Catalog {
    /// Opens a lease and deletes leases that ended before `now_secs`.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn open_lease(
        &self,
        lease: NewLease,
        now_secs: u64,
    ) -> Result<LeaseOpened, CatalogError> {
        self.write("open a lease", move |tx| leases::open(tx, &lease, now_secs)).await
    }

    /// Returns a lease if alive at `now_secs`.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn lease(&self, id: LeaseId, now_secs: u64) -> Result<Option<Lease>, CatalogError> {
        self.read("read a lease", move |tx| leases::alive(tx, id, now_secs)).await
    }

    /// Admits an object to be stored under a push lease: records that the lease keeps objects,
    /// renews the lease when due, and returns both with the data stored under the lease so far. If
    /// the lease ends without a release, a collection looks for objects left behind. Returns `None`
    /// if the lease is not alive; a pull lease is returned unchanged.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn admit_upload(
        &self,
        id: LeaseId,
        renewal: Renewal,
    ) -> Result<Option<Admission>, CatalogError> {
        self.write("admit an upload", move |tx| leases::admit(tx, id, renewal)).await
    }

    /// Moves the deadline of a lease. Returns false if the lease is not alive at `now_secs`, or is
    /// a pull lease opened at least
    /// [`PULL_LEASE_AGE_MAX_SECS`](super::super::PULL_LEASE_AGE_MAX_SECS) ago.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn renew_lease(
        &self,
        id: LeaseId,
        now_secs: u64,
        deadline_secs: u64,
    ) -> Result<bool, CatalogError> {
        self.write("renew a lease", move |tx| leases::renew(tx, id, now_secs, deadline_secs)).await
    }

    /// Records that an object is about to be stored under a lease. If the lease ends without a
    /// release, a collection looks for objects left behind.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn record_kept(&self, id: LeaseId) -> Result<(), CatalogError> {
        self.write("record a lease's objects", move |tx| leases::mark_kept(tx, id)).await
    }

    /// Ends a lease. Ending a lease twice is not an error.
    ///
    /// # Errors
    /// If the engine fails.
    pub async fn end_lease(&self, id: LeaseId) -> Result<(), CatalogError> {
        self.write("end a lease", move |tx| leases::end(tx, id)).await
    }
}
