//! Rows, requests and answers of the catalog, as validated values.

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

/// The purpose of a lease.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// Pushing a release and publishing it.
    Push,
    /// Reading a release. Nothing that the release needs is swept meanwhile.
    Pull,
}

/// The maximum number of open leases of one token, which bounds its concurrent pulls and pushes.
pub const LEASES_PER_TOKEN_MAX: u32 = 4096;
/// The maximum number of open leases of all tokens together.
pub const LEASES_MAX: u32 = 65_536;
/// The age up to which a pull lease can be renewed, in seconds. A collection waits for older
/// leases; a longer pull opens another lease.
pub const PULL_LEASE_AGE_MAX_SECS: u64 = 24 * 3600;

/// The outcome of opening a lease.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LeaseOpened {
    /// The lease is open.
    Done,
    /// The token has [`LEASES_PER_TOKEN_MAX`] open leases.
    TooManyOfToken,
    /// The registry has [`LEASES_MAX`] open leases.
    TooMany,
}

/// A lease to be opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewLease {
    /// The id of the lease.
    pub id: LeaseId,
    /// The application to push to or pull from.
    pub application: ApplicationName,
    /// The purpose of the lease.
    pub purpose: Purpose,
    /// End of the lease, in seconds since 1970-01-01 UTC.
    pub deadline_secs: u64,
    /// The name of the token that opens the lease; empty without authentication.
    pub opened_by: String,
}

/// The right of a push or a pull to rely on content until a deadline.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lease {
    /// The id of the lease.
    pub id: LeaseId,
    /// The application to push to or pull from.
    pub application: ApplicationName,
    /// The purpose of the lease.
    pub purpose: Purpose,
    /// End of the lease, in seconds since 1970-01-01 UTC.
    pub deadline_secs: u64,
    /// The content that may be relied on under this lease, as of when the lease was read.
    pub grip: Grip,
    /// True if objects may have been stored under the lease that no release reaches yet.
    pub has_kept: bool,
}

/// A pack whose frames were decoded and re-hashed.
#[derive(Clone, Debug)]
pub struct NewPack {
    /// The pack's digest.
    pub digest: PackDigest,
    /// Length of the pack in bytes.
    pub len: u64,
    /// The chunks in the pack.
    pub frames: Vec<Frame>,
}

/// A chunk as stored in a pack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frame {
    /// The chunk's digest.
    pub digest: ChunkDigest,
    /// Offset of the frame in the pack, in bytes.
    pub offset: u64,
    /// Length of the frame in the pack, in bytes.
    pub stored_len: u32,
    /// Length of the decoded chunk.
    pub plain_len: ChunkLen,
    /// Encoding, as numbered in docs/FORMAT.md, section 5.
    pub encoding: u8,
}

/// The place of a chunk in one of the packs of [`Located::All`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ChunkPlace {
    /// Position of the pack in the answer's list of packs.
    pub pack: u32,
    /// The frame in the pack.
    pub frame: Frame,
}

/// The answer to a query for the places of chunks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Located {
    /// Every chunk has a place. Places are in the order of the query.
    All {
        /// The packs to which the places refer by position.
        packs: Vec<PackDigest>,
        /// One place per chunk.
        places: Vec<ChunkPlace>,
    },
    /// The first chunk without a place.
    Missing(ChunkDigest),
}

/// A leaf whose chunks are all present.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LeafRow {
    /// The leaf's digest.
    pub digest: LeafDigest,
    /// Length of the part of the disk that the leaf describes, in bytes.
    pub span_len: u64,
    /// Bytes of data in that part.
    pub data_bytes: u64,
}

/// The outcome of adding a leaf.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LeafAdded {
    /// The leaf is present.
    Present,
    /// The first few chunks of the leaf that have no place or another decoded length.
    Unfit(Vec<ChunkRef>),
    /// As [`Added::Swept`](super::collect::Added::Swept).
    Swept,
}

/// An index whose leaves are all present.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IndexRow {
    /// The index's digest.
    pub digest: IndexDigest,
    /// Length of the disk.
    pub disk_len: DiskLen,
    /// Content digest of the disk.
    pub content: ContentDigest,
    /// Bytes of data on the disk.
    pub data_bytes: u64,
}

/// An application and a summary of its releases.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Application {
    /// The application's name.
    pub name: ApplicationName,
    /// Time of the first publication, in seconds since 1970-01-01 UTC.
    pub created_at_secs: u64,
    /// The number of releases, deleted ones excluded.
    pub release_count: u64,
    /// The version of the newest release.
    pub newest: Option<Version>,
}

/// A published release.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Release {
    /// The application of the release.
    pub application: ApplicationName,
    /// The version of the release.
    pub version: Version,
    /// The digest of the release document.
    pub digest: ReleaseDigest,
    /// The machines of the release.
    pub machines: Vec<MachineName>,
    /// Time of publication, in seconds since 1970-01-01 UTC.
    pub published_at_secs: u64,
    /// The name of the publishing token; empty without authentication.
    pub published_by: String,
    /// Sum of the lengths of the disks, in bytes.
    pub disk_bytes: u64,
    /// Sum of the data on the disks, in bytes.
    pub data_bytes: u64,
}

/// The total length of machine names, in bytes, after which a listing of releases ends. One release
/// may have tens of thousands of machines.
pub const LISTED_NAMES_LEN_MAX: usize = 1 << 20;

impl Release {
    /// Returns the total length of the machine names, in bytes.
    #[must_use]
    pub fn names_len(&self) -> usize {
        self.machines.iter().map(|name| name.as_str().len()).sum()
    }
}

/// A request to publish a release and end the lease of its push.
#[derive(Clone, Debug)]
pub struct NewRelease {
    /// The release.
    pub release: Release,
    /// The indexes of the release, each once.
    pub indexes: Vec<IndexDigest>,
    /// The original descriptors of the release.
    pub descriptors: Vec<DescriptorDigest>,
    /// The lease of the push, which must be alive at `release.published_at_secs`.
    pub lease: LeaseId,
    /// The grip of the lease, read before the release document was stored.
    pub grip: Grip,
}

/// The outcome of a [`NewRelease`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Publication {
    /// The release is published.
    Created,
    /// The release was published before.
    AlreadyPresent,
    /// The version belongs to another release.
    VersionTaken(ReleaseDigest),
    /// The lease is not alive.
    LeaseEnded,
    /// An index of the release is missing.
    IndexMissing(IndexDigest),
    /// The release would exceed the quota of its application.
    QuotaExceeded(Excess),
    /// A descriptor of the release is condemned.
    DescriptorMissing(DescriptorDigest),
    /// A sweep may have removed the release document. The caller stores it again and retries.
    Swept,
    /// The version was deleted at this time, in seconds since 1970-01-01 UTC, and is never reused.
    Deleted(u64),
}

/// A channel and the release it points at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Channel {
    /// The channel's name.
    pub name: ChannelName,
    /// The release the channel points at.
    pub release: ReleaseDigest,
    /// The version of that release.
    pub version: Version,
    /// The number of the channel's last move, from 1.
    pub sequence: u64,
    /// Time of the last move, in seconds since 1970-01-01 UTC.
    pub moved_at_secs: u64,
}

/// One move of a channel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChannelMove {
    /// The number of the move, from 1.
    pub sequence: u64,
    /// The release the channel moved to.
    pub release: ReleaseDigest,
    /// The version of that release.
    pub version: Version,
    /// Time of the move, in seconds since 1970-01-01 UTC.
    pub moved_at_secs: u64,
    /// The name of the token that moved the channel; empty without authentication.
    pub moved_by: String,
}

/// A channel as known before its catalog was lost.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PastChannel {
    /// The application of the channel.
    pub application: ApplicationName,
    /// The channel's name.
    pub name: ChannelName,
    /// The known moves, oldest first; at least one.
    pub moves: Vec<ChannelMove>,
    /// The number of the last move, whether or not that move is known. A number is never reused.
    pub sequence: u64,
}

/// The state of a channel that a move expects to replace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expected {
    /// The channel does not exist yet.
    Absent,
    /// The channel's last move has this number.
    Sequence(u64),
}

/// A request to move a channel.
#[derive(Clone, Debug)]
pub struct MoveRequest {
    /// The channel's application.
    pub application: ApplicationName,
    /// The channel.
    pub channel: ChannelName,
    /// The expected state of the channel.
    pub expected: Expected,
    /// The release to point at.
    pub release: ReleaseDigest,
    /// Time of the request, in seconds since 1970-01-01 UTC.
    pub now_secs: u64,
    /// The name of the requesting token; empty without authentication.
    pub moved_by: String,
}

/// The outcome of a [`MoveRequest`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Moved {
    /// The channel points at the release.
    Done(Channel),
    /// The channel is not in the expected state. The number of its last move, if any.
    Stale(Option<u64>),
    /// The application has no such release.
    NoSuchRelease,
    /// The application already has the maximum number of channels, given here.
    TooMany(u32),
}
