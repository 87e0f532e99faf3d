//! The trait through which flows reach a registry, nothing else.

use std::ops::Range;

use bytes::Bytes;
use seawall_api::digest::{
    ChunkDigest, DescriptorDigest, IndexDigest, LeafDigest, PackDigest, ReleaseDigest,
};
use seawall_api::index::{DiskIndex, Leaf};
use seawall_api::names::{ApplicationName, ChannelName, Version};
use seawall_api::reference::Selector;
use seawall_api::release::Release;
use seawall_api::v1::{
    Application, ApplicationPage, Channel, ChannelMove, ChunkLocation, Collection, CollectionPlan,
    Lease, LeasePurpose, Published, ReleaseDiff, ReleasePage, ServerVersion, StartCollection,
    Usage,
};

use super::{Fleet, RegistryError, Upkeep, Watching};

/// What a move of a channel replaces.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expect {
    /// Nothing: the channel must not exist.
    New,
    /// The channel as it is at this move.
    Sequence(u64),
}

/// Where chunks lie.
///
/// Proven: there is one location per chunk asked for, each names a pack of the list, and its
/// lengths are those a frame can have. Whether the bytes there are the chunk is for the reader.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Located {
    /// The packs that locations name by position, each once.
    pub packs: Vec<PackDigest>,
    /// One for each chunk asked for, in that order.
    pub locations: Vec<ChunkLocation>,
}

/// A registry.
///
/// # Contract
///
/// 1. What is returned by digest matches that digest.
/// 2. Every call may be repeated with the same outcome but for [`Self::move_channel`], which a
///    repeat finds moved already, and [`Self::open_lease`], which a repeat opens twice.
#[async_trait::async_trait]
pub trait Registry: Upkeep + Fleet + Watching {
    /// What answers, and which format epochs it knows.
    async fn server_version(&self) -> Result<ServerVersion, RegistryError>;

    /// A page of applications by name, beginning after `after`.
    async fn applications(
        &self,
        after: Option<&ApplicationName>,
    ) -> Result<ApplicationPage, RegistryError>;

    /// One application.
    async fn application(&self, name: &ApplicationName) -> Result<Application, RegistryError>;

    /// A page of an application's releases, newest first, beginning after `after`.
    async fn releases(
        &self,
        application: &ApplicationName,
        after: Option<&Version>,
    ) -> Result<ReleasePage, RegistryError>;

    /// The release that `selector` names now; its bytes, application and version are verified.
    async fn release(
        &self,
        application: &ApplicationName,
        selector: &Selector,
    ) -> Result<Release, RegistryError>;

    /// Makes a release visible. Publishing the same release again is a no-op.
    async fn publish(&self, release: &Release, lease: &Lease) -> Result<Published, RegistryError>;

    /// All channels of an application, by name.
    async fn channels(&self, application: &ApplicationName) -> Result<Vec<Channel>, RegistryError>;

    /// One channel; `None` where it, or its application, does not exist.
    async fn channel(
        &self,
        application: &ApplicationName,
        channel: &ChannelName,
    ) -> Result<Option<Channel>, RegistryError>;

    /// Points a channel at a release, if it still is what `expect` says.
    async fn move_channel(
        &self,
        application: &ApplicationName,
        channel: &ChannelName,
        expect: Expect,
        release: ReleaseDigest,
    ) -> Result<Channel, RegistryError>;

    /// The moves of a channel, newest first.
    async fn channel_history(
        &self,
        application: &ApplicationName,
        channel: &ChannelName,
    ) -> Result<Vec<ChannelMove>, RegistryError>;

    /// Opens a lease: what a push is told to be present under it, or a pull reads, stays until it
    /// ends. A push says which version it brings, so that a quota can refuse it at once.
    async fn open_lease(
        &self,
        application: &ApplicationName,
        purpose: LeasePurpose,
        version: Option<&Version>,
    ) -> Result<Lease, RegistryError>;

    /// Puts a lease's deadline off to its full time from now.
    async fn renew_lease(&self, lease: &Lease) -> Result<Lease, RegistryError>;

    /// Ends a lease; one that has ended already is not an error.
    async fn end_lease(&self, lease: &Lease) -> Result<(), RegistryError>;

    /// For each chunk in turn: is it missing? Any number may be asked at once.
    async fn missing_chunks(
        &self,
        lease: &Lease,
        chunks: &[ChunkDigest],
    ) -> Result<Vec<bool>, RegistryError>;

    /// For each leaf in turn: is it missing? Any number may be asked at once.
    async fn missing_leaves(
        &self,
        lease: &Lease,
        leaves: &[LeafDigest],
    ) -> Result<Vec<bool>, RegistryError>;

    /// Where chunks lie; not found if the registry lacks one. Any number may be asked at once.
    async fn locate_chunks(&self, chunks: &[ChunkDigest]) -> Result<Located, RegistryError>;

    /// Whether the registry holds an index.
    async fn has_index(&self, index: IndexDigest) -> Result<bool, RegistryError>;

    /// An index, verified.
    async fn index(&self, index: IndexDigest) -> Result<DiskIndex, RegistryError>;

    /// A leaf of a span of `span_len` bytes, verified.
    async fn leaf(&self, leaf: LeafDigest, span_len: u64) -> Result<Leaf, RegistryError>;

    /// Gives the registry a leaf; its chunks must be there.
    async fn put_leaf(&self, lease: &Lease, leaf: &Leaf) -> Result<(), RegistryError>;

    /// Gives the registry an index; its leaves must be there.
    async fn put_index(&self, lease: &Lease, index: &DiskIndex) -> Result<(), RegistryError>;

    /// An original descriptor, verified.
    async fn descriptor(&self, descriptor: DescriptorDigest) -> Result<Bytes, RegistryError>;

    /// Gives the registry an original descriptor.
    async fn put_descriptor(&self, lease: &Lease, bytes: Bytes) -> Result<(), RegistryError>;

    /// Gives the registry a pack.
    async fn put_pack(
        &self,
        lease: &Lease,
        pack: PackDigest,
        bytes: Bytes,
    ) -> Result<(), RegistryError>;

    /// Exactly these bytes of a pack. The caller verifies the chunks it decodes from them.
    async fn pack_range(&self, pack: PackDigest, range: Range<u64>)
    -> Result<Bytes, RegistryError>;

    /// What differs between two releases, and what moving from one to the other costs.
    async fn diff(
        &self,
        from: (&ApplicationName, &Selector),
        to: (&ApplicationName, &Selector),
    ) -> Result<ReleaseDiff, RegistryError>;

    /// Starts a collection, unless one runs.
    async fn start_collection(&self, order: StartCollection) -> Result<Collection, RegistryError>;

    /// How far a collection is.
    async fn collection(&self) -> Result<Collection, RegistryError>;

    /// What a collection would remove now, with packs rewritten below this percentage.
    async fn collection_plan(
        &self,
        live_percent_min: Option<u8>,
    ) -> Result<CollectionPlan, RegistryError>;

    /// What releases occupy.
    async fn usage(&self) -> Result<Usage, RegistryError>;
}
