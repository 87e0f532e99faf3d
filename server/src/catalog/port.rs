//! The catalog's port: the only trait through which the registry reaches its catalog.

use seawall_api::digest::{ChunkDigest, IndexDigest, LeafDigest, PackDigest, ReleaseDigest};
use seawall_api::index::ChunkRef;
use seawall_api::names::{ApplicationName, ChannelName, Version};
use seawall_api::reference::Selector;

use super::check::Checking;
use super::collect::{Added, Collecting, Grip};
use super::error::{Barrier, CatalogError};
use super::fleet::Fleet;
use super::id::LeaseId;
use super::model::{
    Application, Channel, ChannelMove, IndexRow, LeafAdded, LeafRow, Lease, LeaseOpened, Located,
    MoveRequest, Moved, NewLease, NewPack, NewRelease, PastChannel, Publication, Release,
};
use super::watch::Watching;

/// The names and the state of the registry.
///
/// # Contract (`conformance` holds every adapter to it)
///
/// 1. Each method is one transaction. Once a method that changes something returns, the change
///    survives loss of power.
/// 2. Adding a row that exists is not an error and changes nothing.
/// 3. Answers about a list come in the order of the list.
/// 4. Condemned content counts as missing, except for an older [`Grip`].
#[async_trait::async_trait]
pub trait Catalog: Collecting + Checking + Fleet + Watching {
    /// Opens a lease and deletes leases that ended before `now_secs`.
    async fn open_lease(&self, lease: NewLease, now_secs: u64)
    -> Result<LeaseOpened, CatalogError>;
    /// Returns a lease if alive at `now_secs`.
    async fn lease(&self, id: LeaseId, now_secs: u64) -> Result<Option<Lease>, CatalogError>;
    /// Moves the deadline of a lease. Returns false if the lease is not alive at `now_secs`, or is
    /// a pull lease opened at least [`PULL_LEASE_AGE_MAX_SECS`](super::PULL_LEASE_AGE_MAX_SECS)
    /// ago.
    async fn renew_lease(
        &self,
        id: LeaseId,
        now_secs: u64,
        deadline_secs: u64,
    ) -> Result<bool, CatalogError>;
    /// Records that an object is about to be stored under a lease. If the lease ends without a
    /// release, a collection looks for objects left behind.
    async fn note_kept(&self, id: LeaseId) -> Result<(), CatalogError>;
    /// Ends a lease. Ending a lease twice is not an error.
    async fn end_lease(&self, id: LeaseId) -> Result<(), CatalogError>;

    /// Adds a pack and its chunks. A chunk keeps its existing place unless that place is in a lost
    /// or condemned pack. The added pack is no longer lost or condemned.
    async fn add_pack(&self, pack: NewPack, grip: Grip) -> Result<Added, CatalogError>;
    /// Returns the length of a pack in bytes.
    async fn pack_len(&self, pack: PackDigest) -> Result<Option<u64>, CatalogError>;
    /// Records that the store no longer holds a pack. Until a push adds its chunks again, they have
    /// no place and the leaves that need them are incomplete.
    async fn lose_pack(&self, pack: PackDigest) -> Result<(), CatalogError>;
    /// Returns the positions of the chunks without a usable place, ascending.
    async fn missing_chunks(
        &self,
        chunks: Vec<ChunkDigest>,
        grip: Grip,
    ) -> Result<Vec<u32>, CatalogError>;
    /// Returns the places of chunks, including places in lost packs, so that a reader learns which
    /// pack is lost.
    async fn locate_chunks(&self, chunks: Vec<ChunkDigest>) -> Result<Located, CatalogError>;
    /// Adds a leaf if all its chunks are present.
    async fn add_leaf(
        &self,
        leaf: LeafRow,
        chunks: Vec<ChunkRef>,
        grip: Grip,
    ) -> Result<LeafAdded, CatalogError>;
    /// Deletes the row of a leaf whose bytes are no longer in the store.
    async fn forget_leaf(&self, leaf: LeafDigest) -> Result<(), CatalogError>;
    /// Returns the packs with chunks of these leaves, each once, with its length in bytes.
    async fn packs_of(
        &self,
        leaves: Vec<LeafDigest>,
    ) -> Result<Vec<(PackDigest, u64)>, CatalogError>;
    /// Returns the rows of leaves, in order; `None` for a leaf that is absent or incomplete.
    async fn leaves(
        &self,
        leaves: Vec<LeafDigest>,
        grip: Grip,
    ) -> Result<Vec<Option<LeafRow>>, CatalogError>;
    /// Adds an index. Its leaves must all be present.
    async fn add_index(&self, index: IndexRow, grip: Grip) -> Result<Added, CatalogError>;
    /// Returns an index.
    async fn index(&self, index: IndexDigest, grip: Grip)
    -> Result<Option<IndexRow>, CatalogError>;

    /// Publishes a release and ends its lease. The first release creates its application.
    async fn publish(&self, release: NewRelease) -> Result<Publication, CatalogError>;
    /// Returns a release of an application.
    async fn release(
        &self,
        application: ApplicationName,
        release: ReleaseDigest,
    ) -> Result<Option<Release>, CatalogError>;
    /// Adds a release published before this catalog was made, as the newest of its application.
    /// Links the release to those of its indexes that are present. Returns false if its digest or
    /// version exists.
    async fn restore_release(
        &self,
        release: Release,
        indexes: Vec<IndexDigest>,
    ) -> Result<bool, CatalogError>;
    /// Resolves a selector to a release.
    async fn resolve(
        &self,
        application: ApplicationName,
        selector: Selector,
    ) -> Result<Option<ReleaseDigest>, CatalogError>;
    /// Lists the releases of an application published before `after`, newest first, at most
    /// `limit`. The list ends early, but not before the second release, once its machine names
    /// exceed [`LISTED_NAMES_LEN_MAX`](super::LISTED_NAMES_LEN_MAX).
    async fn releases(
        &self,
        application: ApplicationName,
        after: Option<Version>,
        limit: u32,
    ) -> Result<Vec<Release>, CatalogError>;
    /// Lists applications by name, beginning after `after`.
    async fn applications(
        &self,
        after: Option<ApplicationName>,
        limit: u32,
    ) -> Result<Vec<Application>, CatalogError>;
    /// Returns whether an application exists.
    async fn has_application(&self, name: ApplicationName) -> Result<bool, CatalogError>;
    /// Returns an application.
    async fn application(&self, name: ApplicationName)
    -> Result<Option<Application>, CatalogError>;

    /// Lists all channels of an application by name.
    async fn channels(&self, application: ApplicationName) -> Result<Vec<Channel>, CatalogError>;
    /// Returns a channel.
    async fn channel(
        &self,
        application: ApplicationName,
        channel: ChannelName,
    ) -> Result<Option<Channel>, CatalogError>;
    /// Lists the newest moves of a channel, newest first.
    async fn channel_moves(
        &self,
        application: ApplicationName,
        channel: ChannelName,
        limit: u32,
    ) -> Result<Vec<ChannelMove>, CatalogError>;
    /// Moves a channel if its last move is as expected, and records the move.
    async fn move_channel(&self, request: MoveRequest) -> Result<Moved, CatalogError>;
    /// Adds a channel that existed before this catalog was made, with its history. Its releases
    /// must be present.
    async fn restore_channel(&self, past: PastChannel) -> Result<(), CatalogError>;

    /// Returns the barrier that keeps the catalog from being written, if any.
    fn barrier(&self) -> Option<Barrier>;
    /// Releases the space reserved for deletions if the disk is full: freeing space takes some
    /// space. Fails if the catalog may not be written for another reason.
    async fn make_room(&self) -> Result<(), CatalogError>;
    /// Reserves space for deletions again once enough is free.
    async fn keep_room(&self) -> Result<(), CatalogError>;

    /// Fails unless the catalog can be read and, if no barrier is set, written.
    async fn probe(&self) -> Result<(), CatalogError>;
}
