//! The trait through which the registry reaches its catalog, nothing else.

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

/// Keeps names and state.
///
/// # Contract (`conformance` holds every adapter to it)
///
/// 1. Each method is one transaction; when a method that changes something returns, the change
///    survives loss of power.
/// 2. Adding what is there is not an error and changes nothing.
/// 3. Lists that are asked about are answered in their order.
/// 4. What is condemned is missing, but for a [`Grip`] that is older.
#[async_trait::async_trait]
pub trait Catalog: Collecting + Checking + Fleet + Watching {
    /// Opens a lease, and forgets those that ended before `now_secs`.
    async fn open_lease(&self, lease: NewLease, now_secs: u64)
    -> Result<LeaseOpened, CatalogError>;
    /// A lease that is alive at `now_secs`.
    async fn lease(&self, id: LeaseId, now_secs: u64) -> Result<Option<Lease>, CatalogError>;
    /// Moves the deadline of a lease that is alive at `now_secs`; false when it is not, or is one
    /// to pull that was opened [`PULL_LEASE_AGE_MAX_SECS`](super::PULL_LEASE_AGE_MAX_SECS) before.
    async fn renew_lease(
        &self,
        id: LeaseId,
        now_secs: u64,
        deadline_secs: u64,
    ) -> Result<bool, CatalogError>;
    /// Notes that something is about to be kept under a lease: where it ends without a release,
    /// a collection looks for what that left.
    async fn note_kept(&self, id: LeaseId) -> Result<(), CatalogError>;
    /// Ends a lease; ending what has ended is not an error.
    async fn end_lease(&self, id: LeaseId) -> Result<(), CatalogError>;

    /// Adds a pack and its chunks. A chunk that has a place keeps it, unless that is in a lost
    /// or condemned pack. A pack that was lost or condemned is not any more.
    async fn add_pack(&self, pack: NewPack, grip: Grip) -> Result<Added, CatalogError>;
    /// Length of a pack in bytes.
    async fn pack_len(&self, pack: PackDigest) -> Result<Option<u64>, CatalogError>;
    /// Notes that the store does not hold a pack any more: its chunks have no place, and the leaves
    /// that need them are not complete, until a push brings them again.
    async fn lose_pack(&self, pack: PackDigest) -> Result<(), CatalogError>;
    /// Positions of the chunks that have no place, ascending.
    async fn missing_chunks(
        &self,
        chunks: Vec<ChunkDigest>,
        grip: Grip,
    ) -> Result<Vec<u32>, CatalogError>;
    /// Where chunks lie; in lost packs, too, so that a reader learns which.
    async fn locate_chunks(&self, chunks: Vec<ChunkDigest>) -> Result<Located, CatalogError>;
    /// Adds a leaf if its chunks are all present.
    async fn add_leaf(
        &self,
        leaf: LeafRow,
        chunks: Vec<ChunkRef>,
        grip: Grip,
    ) -> Result<LeafAdded, CatalogError>;
    /// Forgets a leaf whose bytes are not in the store any more.
    async fn forget_leaf(&self, leaf: LeafDigest) -> Result<(), CatalogError>;
    /// The packs that hold the chunks of leaves, each once, with its length in bytes.
    async fn packs_of(
        &self,
        leaves: Vec<LeafDigest>,
    ) -> Result<Vec<(PackDigest, u64)>, CatalogError>;
    /// The leaves among these that are present and complete.
    async fn leaves(
        &self,
        leaves: Vec<LeafDigest>,
        grip: Grip,
    ) -> Result<Vec<Option<LeafRow>>, CatalogError>;
    /// Adds an index whose leaves are all present.
    async fn add_index(&self, index: IndexRow, grip: Grip) -> Result<Added, CatalogError>;
    /// An index.
    async fn index(&self, index: IndexDigest, grip: Grip)
    -> Result<Option<IndexRow>, CatalogError>;

    /// Makes a release visible and ends its lease; creates its application where it is the first.
    async fn publish(&self, release: NewRelease) -> Result<Publication, CatalogError>;
    /// A release of an application.
    async fn release(
        &self,
        application: ApplicationName,
        release: ReleaseDigest,
    ) -> Result<Option<Release>, CatalogError>;
    /// Adds a release that was published before this catalog was made, as the newest of its
    /// application; of its indexes it remembers those that are present. False when its digest or
    /// version is there.
    async fn restore_release(
        &self,
        release: Release,
        indexes: Vec<IndexDigest>,
    ) -> Result<bool, CatalogError>;
    /// The release that a selector means now.
    async fn resolve(
        &self,
        application: ApplicationName,
        selector: Selector,
    ) -> Result<Option<ReleaseDigest>, CatalogError>;
    /// Releases of an application, newest first, from the one published before `after`: at most
    /// `limit`, and none after the one, from the second on, with which the names of machines get
    /// longer than [`LISTED_NAMES_LEN_MAX`](super::LISTED_NAMES_LEN_MAX).
    async fn releases(
        &self,
        application: ApplicationName,
        after: Option<Version>,
        limit: u32,
    ) -> Result<Vec<Release>, CatalogError>;
    /// Applications by name, from the one after `after`.
    async fn applications(
        &self,
        after: Option<ApplicationName>,
        limit: u32,
    ) -> Result<Vec<Application>, CatalogError>;
    /// Whether there is an application of that name.
    async fn has_application(&self, name: ApplicationName) -> Result<bool, CatalogError>;
    /// An application.
    async fn application(&self, name: ApplicationName)
    -> Result<Option<Application>, CatalogError>;

    /// All channels of an application, by name.
    async fn channels(&self, application: ApplicationName) -> Result<Vec<Channel>, CatalogError>;
    /// A channel.
    async fn channel(
        &self,
        application: ApplicationName,
        channel: ChannelName,
    ) -> Result<Option<Channel>, CatalogError>;
    /// The newest moves of a channel, newest first.
    async fn channel_moves(
        &self,
        application: ApplicationName,
        channel: ChannelName,
        limit: u32,
    ) -> Result<Vec<ChannelMove>, CatalogError>;
    /// Moves a channel where it is still as expected, and records the move.
    async fn move_channel(&self, request: MoveRequest) -> Result<Moved, CatalogError>;
    /// Adds a channel that had moved before this catalog was made, and its history. Its releases
    /// are there.
    async fn restore_channel(&self, past: PastChannel) -> Result<(), CatalogError>;

    /// What keeps the catalog from being written, where something does.
    fn barrier(&self) -> Option<Barrier>;
    /// Gives deletions the room that is kept for them, where the disk has none: what frees room
    /// takes some.
    async fn make_room(&self) -> Result<(), CatalogError>;
    /// Keeps room for deletions again, once there is enough.
    async fn keep_room(&self) -> Result<(), CatalogError>;

    /// Proves that the catalog can be read and written.
    async fn probe(&self) -> Result<(), CatalogError>;
}
