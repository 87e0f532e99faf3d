//! What the catalog keeps, as proven values.

use seawall_api::digest::{
    ChunkDigest, ContentDigest, DescriptorDigest, IndexDigest, LeafDigest, PackDigest,
    ReleaseDigest,
};
use seawall_api::index::ChunkRef;
use seawall_api::names::{ApplicationName, ChannelName, MachineName, Version};
use seawall_api::units::{ChunkLen, DiskLen};

use super::collect::Grip;
use super::id::LeaseId;
use super::watch::Excess;

/// What a lease is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// To send a release and publish it.
    Push,
    /// To read one: nothing that it needs is swept meanwhile.
    Pull,
}

/// The most leases of one token at once: as many pulls and pushes as run with it.
pub const LEASES_PER_TOKEN_MAX: u32 = 4096;
/// The most leases of all tokens at once.
pub const LEASES_MAX: u32 = 65_536;
/// How long a lease to pull can be renewed, in seconds: a collection waits for older leases, and a
/// pull that goes on opens another.
pub const PULL_LEASE_AGE_MAX_SECS: u64 = 24 * 3600;

/// What became of a lease that was to be opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LeaseOpened {
    /// It is open.
    Done,
    /// Its token has as many as it may have.
    TooManyOfToken,
    /// There are as many as there may be.
    TooMany,
}

/// A lease that is to be opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewLease {
    /// Its name.
    pub id: LeaseId,
    /// The application it is for.
    pub application: ApplicationName,
    /// What it is for.
    pub purpose: Purpose,
    /// When it ends, seconds since 1970-01-01 UTC.
    pub deadline_secs: u64,
    /// The name of the token it is opened with; empty without authentication.
    pub opened_by: String,
}

/// What a push or a pull relies on, until its deadline.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lease {
    /// Its name.
    pub id: LeaseId,
    /// The application it is for.
    pub application: ApplicationName,
    /// What it is for.
    pub purpose: Purpose,
    /// When it ends, seconds since 1970-01-01 UTC.
    pub deadline_secs: u64,
    /// What may be relied on under it, as of when it was read.
    pub grip: Grip,
    /// Whether something may have been kept under it that nothing reaches yet.
    pub has_kept: bool,
}

/// A pack whose frames were decoded and re-hashed.
#[derive(Clone, Debug)]
pub struct NewPack {
    /// Its name.
    pub digest: PackDigest,
    /// Its length in bytes.
    pub len: u64,
    /// What it holds.
    pub frames: Vec<Frame>,
}

/// A chunk as a pack holds it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frame {
    /// The chunk's name.
    pub digest: ChunkDigest,
    /// Where in the pack it begins, in bytes.
    pub offset: u64,
    /// Its length there, in bytes.
    pub stored_len: u32,
    /// Its length when decoded.
    pub plain_len: ChunkLen,
    /// How it is encoded; the numbers of docs/FORMAT.md, section 5.
    pub encoding: u8,
}

/// Where a chunk lies; `pack` counts in [`Located::All`]'s packs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ChunkPlace {
    /// Position among the packs of the answer.
    pub pack: u32,
    /// The frame there.
    pub frame: Frame,
}

/// The answer to where chunks lie.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Located {
    /// Every chunk has a place, in the order asked.
    All {
        /// The packs that the places name by position.
        packs: Vec<PackDigest>,
        /// A place for each chunk.
        places: Vec<ChunkPlace>,
    },
    /// The first chunk that the registry lacks.
    Missing(ChunkDigest),
}

/// A leaf whose chunks are all present.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LeafRow {
    /// Its name.
    pub digest: LeafDigest,
    /// The bytes of disk it describes.
    pub span_len: u64,
    /// Those of them that are data.
    pub data_bytes: u64,
}

/// What became of a leaf that was to be added.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LeafAdded {
    /// It is there.
    Present,
    /// The first few of its chunks that have no place, or another plain length.
    Unfit(Vec<ChunkRef>),
    /// As [`Added::Swept`](super::collect::Added::Swept).
    Swept,
}

/// An index whose leaves are all present.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IndexRow {
    /// Its name.
    pub digest: IndexDigest,
    /// Length of its disk.
    pub disk_len: DiskLen,
    /// Identity of its disk.
    pub content: ContentDigest,
    /// Those bytes of the disk that are data.
    pub data_bytes: u64,
}

/// An application and a summary of its releases.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Application {
    /// Its name.
    pub name: ApplicationName,
    /// When its first release was published.
    pub created_at_secs: u64,
    /// How many releases it has.
    pub release_count: u64,
    /// The version published last.
    pub newest: Option<Version>,
}

/// A published release.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Release {
    /// Its application.
    pub application: ApplicationName,
    /// Its version.
    pub version: Version,
    /// Its identity.
    pub digest: ReleaseDigest,
    /// Its machines.
    pub machines: Vec<MachineName>,
    /// When it was published.
    pub published_at_secs: u64,
    /// The token it was published with; empty without authentication.
    pub published_by: String,
    /// Sum of its disks' lengths.
    pub disk_bytes: u64,
    /// Sum of its disks' data.
    pub data_bytes: u64,
}

/// The longest names of machines that one listing of releases holds, in bytes: a release may have
/// tens of thousands of them.
pub const LISTED_NAMES_LEN_MAX: usize = 1 << 20;

impl Release {
    /// How long the names of its machines are together.
    #[must_use]
    pub fn names_len(&self) -> usize {
        self.machines.iter().map(|name| name.as_str().len()).sum()
    }
}

/// Asks to make a release visible and to end the lease it was pushed under.
#[derive(Clone, Debug)]
pub struct NewRelease {
    /// The release.
    pub release: Release,
    /// Its indexes, each once.
    pub indexes: Vec<IndexDigest>,
    /// The original descriptors it names.
    pub descriptors: Vec<DescriptorDigest>,
    /// The lease, which must be alive at `release.published_at_secs`.
    pub lease: LeaseId,
    /// What the lease permits to rely on, read before the document was kept.
    pub grip: Grip,
}

/// What became of a [`NewRelease`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Publication {
    /// It is visible now.
    Created,
    /// It was published before.
    AlreadyPresent,
    /// Its version names another release.
    VersionTaken(ReleaseDigest),
    /// The lease is not alive.
    LeaseEnded,
    /// One of its indexes is gone.
    IndexMissing(IndexDigest),
    /// Its application would have more than it may.
    QuotaExceeded(Excess),
    /// One of its descriptors is about to go.
    DescriptorMissing(DescriptorDigest),
    /// A sweep may have taken its document meanwhile: keep it again.
    Swept,
    /// Its version was deleted, at this time: it is never used again.
    Deleted(u64),
}

/// Where a channel points.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Channel {
    /// Its name.
    pub name: ChannelName,
    /// The release it points at.
    pub release: ReleaseDigest,
    /// That release's version.
    pub version: Version,
    /// Counts its moves from 1.
    pub sequence: u64,
    /// When it moved here.
    pub moved_at_secs: u64,
}

/// One move of a channel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChannelMove {
    /// Which move, from 1.
    pub sequence: u64,
    /// The release it moved to.
    pub release: ReleaseDigest,
    /// That release's version.
    pub version: Version,
    /// When.
    pub moved_at_secs: u64,
    /// The token it was moved with; empty without authentication.
    pub moved_by: String,
}

/// A channel as it was before its catalog was lost.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PastChannel {
    /// Its application.
    pub application: ApplicationName,
    /// Its name.
    pub name: ChannelName,
    /// Its moves as far as they are known, oldest first; at least one.
    pub moves: Vec<ChannelMove>,
    /// Its last move, known or not: a sequence number is never used again.
    pub sequence: u64,
}

/// What a move of a channel says it replaces.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expected {
    /// There is no such channel yet.
    Absent,
    /// The channel's last move is this one.
    Sequence(u64),
}

/// Asks to move a channel.
#[derive(Clone, Debug)]
pub struct MoveRequest {
    /// The channel's application.
    pub application: ApplicationName,
    /// The channel.
    pub channel: ChannelName,
    /// What it replaces.
    pub expected: Expected,
    /// The release to point at.
    pub release: ReleaseDigest,
    /// When it is asked.
    pub now_secs: u64,
    /// By whom.
    pub moved_by: String,
}

/// What became of a [`MoveRequest`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Moved {
    /// It points there now.
    Done(Channel),
    /// It is not where the request says; its last move, if it has any.
    Stale(Option<u64>),
    /// The release is none of this application.
    NoSuchRelease,
    /// The application has as many channels as it may have: this many.
    TooMany(u32),
}
