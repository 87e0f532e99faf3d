//! The part of the catalog's port for deletion and collection.

use std::any::Any;
use std::collections::HashSet;

use seawall_api::digest::{ChunkDigest, LeafDigest, PackDigest};
use seawall_api::names::{ApplicationName, ChannelName, HostName, PinName, Version};
pub use seawall_store::kind::Collectable;

use super::error::CatalogError;
use super::id::LeaseId;
use super::model::{NewPack, Release};

/// The condemned content a caller may still rely on.
///
/// Collections are numbered as generations, and condemned content bears the generation that
/// condemned it. A lease opened before that generation may still rely on the content, and the sweep
/// waits for the lease. For every other caller the content is missing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Grip {
    /// The newest generation when the lease was opened. Content condemned in later generations is
    /// still present.
    pub generation: u64,
    /// The sweep counter ([`CollectState::sweeps`]) when the caller found the content it is about
    /// to name; `None` if certainly no sweep runs. If the counter has moved since, the bytes may be
    /// gone.
    pub sweeps: Option<u64>,
    /// The actor credited in the audit log. `None` during a rebuild.
    pub hand: Option<Hand>,
}

/// The actor and the time of an addition, for the audit log if the addition heals damage.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hand {
    /// The lease, whose opener is the actor; `None` for the registry itself.
    pub lease: Option<LeaseId>,
    /// Time of the addition, in seconds since 1970-01-01 UTC.
    pub at_secs: u64,
}

impl Grip {
    /// Relies on nothing condemned: for callers without a lease.
    pub const NEWEST: Self = Self { generation: i64::MAX as u64, sweeps: None, hand: None };
    /// Relies on everything that is not being swept: for collections, checks and rebuilds.
    pub const ANY: Self = Self { generation: 0, sweeps: None, hand: None };
}

/// The outcome of an addition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Added {
    /// The object is present.
    Present,
    /// A sweep may have removed the object's bytes. The caller stores them again and retries.
    Swept,
}

/// The key of a pack within one catalog, never stored elsewhere.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct PackKey(pub i64);

/// A pack as recorded in the catalog.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PackRow {
    /// The key used in [`PlaceRow`]s.
    pub key: PackKey,
    /// The pack's digest.
    pub digest: PackDigest,
    /// Length of the pack in bytes.
    pub len: u64,
    /// True if the store was found to lack the pack.
    pub is_lost: bool,
    /// The generation in which the pack was condemned, if it is.
    pub condemned: Option<u64>,
}

/// The place of a chunk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PlaceRow {
    /// The chunk.
    pub digest: ChunkDigest,
    /// The pack.
    pub pack: PackKey,
    /// Length of the frame in the pack, in bytes.
    pub stored_len: u32,
}

/// The counters of collection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CollectState {
    /// The newest generation.
    pub generation: u64,
    /// The litter counter, incremented by each event that may leave something to collect.
    pub litter: u64,
    /// The value of the litter counter up to which everything has been collected.
    pub collected: u64,
    /// The publication counter, incremented by each publication, repeated ones included.
    pub published: u64,
    /// The sweep counter, incremented when a sweep begins and when one ends.
    pub sweeps: u64,
    /// The number of condemned packs and objects not being swept.
    pub condemned: u64,
    /// True if a sweep has begun and not ended.
    pub is_sweeping: bool,
}

/// The roots of collection: the visible releases.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Roots {
    /// The visible releases. Their documents name all they need.
    pub releases: Vec<Release>,
    /// The publication counter when the releases were read.
    pub published: u64,
}

/// The leases a sweep waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OlderLeases {
    /// The number of leases still alive.
    pub count: u64,
    /// The latest deadline among them, in seconds since 1970-01-01 UTC. Leases can be renewed.
    pub deadline_secs: u64,
}

/// The candidates for a sweep, all unreachable when last looked at.
#[derive(Clone, Default, Debug)]
pub struct Sweep {
    /// The generation up to which content may be swept: no older lease is alive.
    pub generation: u64,
    /// Condemned packs without a reachable chunk.
    pub packs: Vec<PackDigest>,
    /// Condemned objects that no release reaches.
    pub objects: Vec<Collectable>,
    /// The leaves that releases reach. A pack needed by one of these leaves is not swept.
    pub live_leaves: HashSet<LeafDigest>,
}

/// The content a sweep removes. No caller relies on any of it, or can begin to.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Sweeping {
    /// The packs.
    pub packs: Vec<PackDigest>,
    /// The other objects.
    pub objects: Vec<Collectable>,
}

/// A reason why a release may not be deleted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Holder {
    /// A channel points at the release.
    Channel(ChannelName),
    /// The release is among the recent moves of a channel, held for a rollback.
    History {
        /// The channel.
        channel: ChannelName,
        /// The number of moves since the channel pointed at the release, from 1.
        moves_ago: u64,
    },
    /// The release is pinned.
    Pin {
        /// The pin's name.
        name: PinName,
        /// The reason for the pin.
        reason: String,
    },
    /// A host runs the release.
    Host {
        /// The host's name.
        host: HostName,
        /// Time of the host's last report, in seconds since 1970-01-01 UTC.
        renewed_at_secs: u64,
    },
}

/// A request to delete a release.
#[derive(Clone, Debug)]
pub struct DeleteRequest {
    /// The application of the release.
    pub application: ApplicationName,
    /// The version of the release.
    pub version: Version,
    /// Time of the request, in seconds since 1970-01-01 UTC.
    pub now_secs: u64,
    /// The name of the requesting token; empty without authentication.
    pub deleted_by: String,
    /// The number of past moves of a channel whose releases are held.
    pub moves_held: u32,
}

/// The outcome of a [`DeleteRequest`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Deletion {
    /// The release was deleted.
    Done(Release),
    /// The release is held and was not deleted.
    Held(Vec<Holder>),
    /// There is no such release.
    Absent,
    /// The release was deleted before.
    Already(Tombstone),
}

/// The record of a deleted release.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tombstone {
    /// The release before its deletion.
    pub release: Release,
    /// Time of the deletion, in seconds since 1970-01-01 UTC.
    pub deleted_at_secs: u64,
    /// The name of the deleting token; empty without authentication.
    pub deleted_by: String,
}

/// The exclusive right to sweep, released when dropped.
#[derive(Debug)]
pub struct CollectClaim {
    _held: Box<dyn Any + Send>,
}

impl CollectClaim {
    /// Makes a claim that lasts until `held` is dropped.
    pub fn new(held: impl Any + Send) -> Self {
        Self { _held: Box::new(held) }
    }
}

/// The part of the catalog for deleting releases and collecting unreachable content.
///
/// # Contract
///
/// 1. Each method is one transaction.
/// 2. Condemned content is missing for every [`Grip`] of its generation or a later one.
/// 3. No row names content chosen by [`Self::begin_sweep`] as present, and none can until
///    [`Self::end_sweep`].
#[async_trait::async_trait]
pub trait Collecting: Send + Sync + 'static {
    /// Claims the exclusive right to sweep, among all processes. Returns `None` if the right is
    /// taken. A claim ends with its process at the latest.
    async fn claim_collecting(&self) -> Result<Option<CollectClaim>, CatalogError>;
    /// Deletes leases that ended before `now_secs`, and returns the counters of collection.
    async fn collect_state(&self, now_secs: u64) -> Result<CollectState, CatalogError>;
    /// Returns the roots of collection.
    async fn roots(&self) -> Result<Roots, CatalogError>;
    /// Lists all packs.
    async fn all_packs(&self) -> Result<Vec<PackRow>, CatalogError>;
    /// Lists the places of chunks by digest, beginning after `after`.
    async fn places(
        &self,
        after: Option<ChunkDigest>,
        limit: u32,
    ) -> Result<Vec<PlaceRow>, CatalogError>;
    /// Returns the places of these chunks; chunks without a place are left out.
    async fn places_of(&self, chunks: Vec<ChunkDigest>) -> Result<Vec<PlaceRow>, CatalogError>;
    /// Lists all leaves and indexes with a row.
    async fn all_objects(&self) -> Result<Vec<Collectable>, CatalogError>;
    /// Returns the leaves recorded as needing one of these packs.
    async fn leaves_in(&self, packs: Vec<PackDigest>) -> Result<Vec<LeafDigest>, CatalogError>;
    /// Adds a pack and moves to it those of its chunks that have their place in one of `from`.
    async fn move_frames(
        &self,
        pack: NewPack,
        from: Vec<PackDigest>,
        grip: Grip,
    ) -> Result<Added, CatalogError>;
    /// Condemns packs (with their lengths, known or not) and objects in a new generation. Returns
    /// the generation.
    async fn condemn(
        &self,
        packs: Vec<(PackDigest, u64)>,
        objects: Vec<Collectable>,
    ) -> Result<u64, CatalogError>;
    /// Returns the condemned content not being swept.
    async fn condemned(&self) -> Result<Sweeping, CatalogError>;
    /// Returns the leases older than `generation` and alive at `now_secs`. Leases that have ended
    /// are deleted, so that none of them can publish any more.
    async fn older_leases(
        &self,
        generation: u64,
        now_secs: u64,
    ) -> Result<Option<OlderLeases>, CatalogError>;
    /// Pardons condemned content, except content being swept.
    async fn pardon(
        &self,
        packs: Vec<PackDigest>,
        objects: Vec<Collectable>,
    ) -> Result<(), CatalogError>;
    /// Chooses the content to sweep: candidates still condemned, except packs that a live leaf
    /// needs. Deletes the rows of chosen leaves and indexes, and of leaves that need a chosen pack.
    async fn begin_sweep(&self, sweep: Sweep) -> Result<Sweeping, CatalogError>;
    /// Returns the content of sweeps that have begun and not ended.
    async fn sweeping(&self) -> Result<Sweeping, CatalogError>;
    /// Deletes the places in swept packs among the next `limit` chunks after `after`. Returns the
    /// last of these chunks; `None` once all chunks were seen.
    async fn forget_places(
        &self,
        after: Option<ChunkDigest>,
        limit: u32,
    ) -> Result<Option<ChunkDigest>, CatalogError>;
    /// Deletes the rows of swept content, whose bytes are gone.
    async fn end_sweep(&self, done: Sweeping) -> Result<(), CatalogError>;
    /// Records that everything up to `litter` has been collected.
    async fn end_collection(&self, litter: u64) -> Result<(), CatalogError>;

    /// Pardons an object that was stored again. Returns [`Added::Swept`] if its bytes may be gone.
    async fn revive(&self, object: Collectable, grip: Grip) -> Result<Added, CatalogError>;
    /// Deletes a release unless it is held.
    async fn delete_release(&self, request: DeleteRequest) -> Result<Deletion, CatalogError>;
    /// Lists deleted releases in order of publication, beginning after `after`.
    async fn tombstones(
        &self,
        after: Option<(ApplicationName, Version)>,
        limit: u32,
    ) -> Result<Vec<Tombstone>, CatalogError>;
    /// Marks a restored release as deleted.
    async fn restore_tombstone(&self, tombstone: Tombstone) -> Result<(), CatalogError>;
}
