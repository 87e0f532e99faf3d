//! Deletion and collection.

use std::collections::HashSet;

use seawall_api::digest::{ChunkDigest, LeafDigest, PackDigest};
use seawall_api::names::{ApplicationName, ChannelName, HostName, PinName, Version};
pub use seawall_store::kind::Collectable;
use serde::{Deserialize, Serialize};

use super::check::Healing;
use super::releases::Release;
use crate::catalog::id::LeaseId;

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
    /// The sweep counter ([`CollectState::sweeps`]) at the time when the caller found the content
    /// that it relies on. A later value of the counter means that the bytes may be gone. `None` if
    /// no sweep can run.
    pub sweeps: Option<u64>,
    /// The actor credited in the audit log. `None` during a rebuild.
    pub actor: Option<Actor>,
}

/// The actor and the time of an addition, for the audit log if the addition heals damage.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Actor {
    /// The lease, whose opener is the actor; `None` for the registry itself.
    pub lease: Option<LeaseId>,
    /// Time of the addition, in seconds since 1970-01-01 UTC.
    pub at_secs: u64,
}

impl Grip {
    /// Relies on nothing condemned: for callers without a lease.
    pub const NEWEST: Self = Self { generation: i64::MAX as u64, sweeps: None, actor: None };
    /// Relies on everything that is not being swept: for collections, checks and rebuilds.
    pub const ANY: Self = Self { generation: 0, sweeps: None, actor: None };
}

/// The bytes of an object that was just stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stored {
    /// The grip of the lease, read before the bytes were stored.
    pub grip: Grip,
    /// The evidence that the object was damaged before.
    pub healing: Healing,
    /// True if the data counts toward the quota of the lease's application.
    pub is_metered: bool,
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
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
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
