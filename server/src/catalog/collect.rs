//! The trait through which the registry deletes releases and collects what they leave behind.

use std::any::Any;
use std::collections::HashSet;

use seawall_api::digest::{
    ChunkDigest, DescriptorDigest, IndexDigest, LeafDigest, PackDigest, ReleaseDigest,
};
use seawall_api::names::{ApplicationName, ChannelName, HostName, PinName, Version};
use seawall_store::port::ObjectName;

use super::error::CatalogError;
use super::id::LeaseId;
use super::model::{NewPack, Release};

/// What a caller may rely on.
///
/// Collections count generations: what is condemned bears the number of the collection that
/// condemned it. A lease that was open before may still rely on it, and the sweep waits for that
/// lease; everybody else is told that it is missing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Grip {
    /// The newest generation when its lease was opened: what was condemned since is still there.
    pub generation: u64,
    /// How many sweeps had begun when the caller looked at what it is about to name; `None` where
    /// it is certain that none runs. Bytes that were found before another sweep began may be gone.
    pub sweeps: Option<u64>,
    /// Whose hand it is that adds; `None` where rows are only made anew from what is there.
    pub hand: Option<Hand>,
}

/// Whose hand brings something, and when: what it heals is logged so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hand {
    /// That of whoever opened this lease; `None` for the registry itself.
    pub lease: Option<LeaseId>,
    /// Seconds since 1970-01-01 UTC.
    pub at_secs: u64,
}

impl Grip {
    /// Relies on nothing that is condemned: of whoever asks without a lease.
    pub const NEWEST: Self = Self { generation: i64::MAX as u64, sweeps: None, hand: None };
    /// Relies on whatever is there: of a collection, which decides what goes, and of a rebuild.
    pub const ANY: Self = Self { generation: 0, sweeps: None, hand: None };
}

/// What became of something that was to be added.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Added {
    /// It is there.
    Present,
    /// A sweep may have taken its bytes meanwhile: keep them again, then add it again.
    Swept,
}

/// An object of the store that is no pack; packs are condemned by what lies in them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Collectable {
    /// A leaf of an index.
    Leaf(LeafDigest),
    /// The list of an index.
    Index(IndexDigest),
    /// An original descriptor.
    Descriptor(DescriptorDigest),
    /// A release document.
    Release(ReleaseDigest),
}

impl Collectable {
    /// Its name in the store.
    #[must_use]
    pub const fn object(self) -> ObjectName {
        match self {
            Self::Leaf(digest) => ObjectName::Leaf(digest),
            Self::Index(digest) => ObjectName::Index(digest),
            Self::Descriptor(digest) => ObjectName::Descriptor(digest),
            Self::Release(digest) => ObjectName::Release(digest),
        }
    }

    /// What it is, if it is one.
    #[must_use]
    pub const fn of(object: &ObjectName) -> Option<Self> {
        match object {
            ObjectName::Leaf(digest) => Some(Self::Leaf(*digest)),
            ObjectName::Index(digest) => Some(Self::Index(*digest)),
            ObjectName::Descriptor(digest) => Some(Self::Descriptor(*digest)),
            ObjectName::Release(digest) => Some(Self::Release(*digest)),
            ObjectName::Pack(_) | ObjectName::Name(_) => None,
        }
    }
}

/// Names a pack within one catalog; never stored outside of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct PackKey(pub i64);

/// A pack as the catalog knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PackRow {
    /// Names it in [`PlaceRow`]s.
    pub key: PackKey,
    /// Its name.
    pub digest: PackDigest,
    /// Its length in bytes.
    pub len: u64,
    /// Whether the store was found not to hold it.
    pub is_lost: bool,
    /// The generation that condemned it.
    pub condemned: Option<u64>,
}

/// Where a chunk lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PlaceRow {
    /// The chunk.
    pub digest: ChunkDigest,
    /// The pack.
    pub pack: PackKey,
    /// Its length there, in bytes.
    pub stored_len: u32,
}

/// How far collections are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CollectState {
    /// The newest generation.
    pub generation: u64,
    /// Counts what may have left something to collect.
    pub litter: u64,
    /// The `litter` up to which all was collected.
    pub collected: u64,
    /// Counts releases that became visible.
    pub published: u64,
    /// How many sweeps were begun.
    pub sweeps: u64,
    /// How many packs and objects are condemned, and not swept yet.
    pub condemned: u64,
    /// Whether a sweep was begun and not ended.
    pub is_sweeping: bool,
}

/// What must not be collected: what visible releases name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Roots {
    /// The releases; their documents name all that they need.
    pub releases: Vec<Release>,
    /// How many releases had become visible by then, in all.
    pub published: u64,
}

/// The leases that a sweep waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OlderLeases {
    /// How many are alive.
    pub count: u64,
    /// When the last of them ends, unless it is renewed; seconds since 1970-01-01 UTC.
    pub deadline_secs: u64,
}

/// What is to be swept, all of it unreachable when it was looked at last.
#[derive(Clone, Default, Debug)]
pub struct Sweep {
    /// The generation whose older leases have ended: what was condemned since stays.
    pub generation: u64,
    /// Condemned packs in which no reachable chunk lies.
    pub packs: Vec<PackDigest>,
    /// Condemned objects that no release reaches.
    pub objects: Vec<Collectable>,
    /// The leaves that releases reach: a pack that one of them needs stays.
    pub live_leaves: HashSet<LeafDigest>,
}

/// What a sweep has decided to remove: nobody relies on it any more, and nobody can begin to.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Sweeping {
    /// Packs.
    pub packs: Vec<PackDigest>,
    /// Other objects.
    pub objects: Vec<Collectable>,
}

/// Why a release may not be deleted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Holder {
    /// A channel points at it.
    Channel(ChannelName),
    /// It is among the last moves of a channel, to which one may want to go back.
    History {
        /// The channel.
        channel: ChannelName,
        /// How many moves ago, from 1.
        moves_ago: u64,
    },
    /// Somebody pinned it.
    Pin {
        /// The pin's name.
        name: PinName,
        /// Why.
        reason: String,
    },
    /// A host runs it.
    Host {
        /// The host's name.
        host: HostName,
        /// When it said so last, seconds since 1970-01-01 UTC.
        renewed_at_secs: u64,
    },
}

/// Asks to delete a release.
#[derive(Clone, Debug)]
pub struct DeleteRequest {
    /// Its application.
    pub application: ApplicationName,
    /// Its version.
    pub version: Version,
    /// When it is asked, seconds since 1970-01-01 UTC.
    pub now_secs: u64,
    /// By whom: the name of a token.
    pub deleted_by: String,
    /// How many moves of a channel are remembered as places to go back to.
    pub moves_held: u32,
}

/// What became of a [`DeleteRequest`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Deletion {
    /// It is gone.
    Done(Release),
    /// It is held, and stays.
    Held(Vec<Holder>),
    /// There is no such release.
    Absent,
    /// It was deleted before.
    Already(Tombstone),
}

/// What stays of a release that was deleted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tombstone {
    /// The release as it was.
    pub release: Release,
    /// When, seconds since 1970-01-01 UTC.
    pub deleted_at_secs: u64,
    /// By whom.
    pub deleted_by: String,
}

/// Held by the one collection that may sweep; dropping it lets another.
#[derive(Debug)]
pub struct CollectClaim {
    _held: Box<dyn Any + Send>,
}

impl CollectClaim {
    /// A claim that holds as long as `held` is not dropped.
    pub fn new(held: impl Any + Send) -> Self {
        Self { _held: Box::new(held) }
    }
}

/// Deletes releases and collects what nothing reaches any more.
///
/// # Contract
///
/// 1. Each method is one transaction.
/// 2. What is condemned is missing for every [`Grip`] of its generation or a later one.
/// 3. What [`Self::begin_sweep`] has decided on has no row that names it as present, and can get
///    none before [`Self::end_sweep`].
#[async_trait::async_trait]
pub trait Collecting: Send + Sync + 'static {
    /// Claims the sweeping for one collection, as long as the claim is held; `None` when another
    /// holds it, in this process or in another one. It ends with the process.
    async fn claim_collecting(&self) -> Result<Option<CollectClaim>, CatalogError>;
    /// Forgets leases that ended before `now_secs`, and tells how far collections are.
    async fn collect_state(&self, now_secs: u64) -> Result<CollectState, CatalogError>;
    /// What must not be collected.
    async fn roots(&self) -> Result<Roots, CatalogError>;
    /// Every pack.
    async fn all_packs(&self) -> Result<Vec<PackRow>, CatalogError>;
    /// Where chunks lie, in the order of their digests, from the one after `after`.
    async fn places(
        &self,
        after: Option<ChunkDigest>,
        limit: u32,
    ) -> Result<Vec<PlaceRow>, CatalogError>;
    /// Where these chunks lie, those that have a place.
    async fn places_of(&self, chunks: Vec<ChunkDigest>) -> Result<Vec<PlaceRow>, CatalogError>;
    /// Every leaf and index there is a row for.
    async fn all_objects(&self) -> Result<Vec<Collectable>, CatalogError>;
    /// The leaves that are said to need one of these packs.
    async fn leaves_in(&self, packs: Vec<PackDigest>) -> Result<Vec<LeafDigest>, CatalogError>;
    /// Adds a pack and gives its chunks their place in it where they lie in one of `from`.
    async fn move_frames(
        &self,
        pack: NewPack,
        from: Vec<PackDigest>,
        grip: Grip,
    ) -> Result<Added, CatalogError>;
    /// Condemns packs of these lengths, known or not, and objects, in a new generation, which it
    /// returns.
    async fn condemn(
        &self,
        packs: Vec<(PackDigest, u64)>,
        objects: Vec<Collectable>,
    ) -> Result<u64, CatalogError>;
    /// What is condemned, and not swept yet.
    async fn condemned(&self) -> Result<Sweeping, CatalogError>;
    /// The leases that are older than a generation and alive at `now_secs`; those that are not are
    /// forgotten, so that none of them publishes any more.
    async fn older_leases(
        &self,
        generation: u64,
        now_secs: u64,
    ) -> Result<Option<OlderLeases>, CatalogError>;
    /// Pardons what is condemned, but for what is being swept.
    async fn pardon(
        &self,
        packs: Vec<PackDigest>,
        objects: Vec<Collectable>,
    ) -> Result<(), CatalogError>;
    /// Decides what is swept: what is still condemned, but for packs that a live leaf needs.
    /// Removes the rows of leaves and indexes that go, and of those that need a pack that goes.
    async fn begin_sweep(&self, sweep: Sweep) -> Result<Sweeping, CatalogError>;
    /// What a sweep has decided on and not ended.
    async fn sweeping(&self) -> Result<Sweeping, CatalogError>;
    /// Removes the places in packs that are swept among the next `limit` chunks after `after`;
    /// returns the last of them, `None` once all were seen.
    async fn forget_places(
        &self,
        after: Option<ChunkDigest>,
        limit: u32,
    ) -> Result<Option<ChunkDigest>, CatalogError>;
    /// Forgets what was swept: its bytes are gone.
    async fn end_sweep(&self, done: Sweeping) -> Result<(), CatalogError>;
    /// Notes that everything up to `litter` was collected.
    async fn end_collection(&self, litter: u64) -> Result<(), CatalogError>;

    /// Pardons an object that was kept again; [`Added::Swept`] when its bytes may be gone.
    async fn revive(&self, object: Collectable, grip: Grip) -> Result<Added, CatalogError>;
    /// Deletes a release that nothing holds.
    async fn delete_release(&self, request: DeleteRequest) -> Result<Deletion, CatalogError>;
    /// Releases that were deleted, in the order of their publishing, from the one after `after`.
    async fn tombstones(
        &self,
        after: Option<(ApplicationName, Version)>,
        limit: u32,
    ) -> Result<Vec<Tombstone>, CatalogError>;
    /// Notes that a release that was just restored had been deleted.
    async fn restore_tombstone(&self, tombstone: Tombstone) -> Result<(), CatalogError>;
}
