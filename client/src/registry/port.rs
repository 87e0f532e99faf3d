//! The trait through which flows reach a registry.

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
    Application, ApplicationPage, Channel, ChannelMove, Collection, CollectionPlan, Lease,
    LeasePurpose, Published, ReleaseDiff, ReleasePage, ServerVersion, StartCollection, Usage,
};
use seawall_store::read::{Freshness, Place};

use super::{Audit, Maintenance, RegistryError, Retention, Tokens};

/// The state of a channel that a move replaces.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expect {
    /// The channel must not exist.
    New,
    /// The sequence number of the channel's last move.
    Sequence(u64),
}

/// A registry.
///
/// # Contract
///
/// 1. An object returned by digest matches that digest.
/// 2. Every call is idempotent except [`Self::move_channel`], whose repeat reports a conflict, and
///    [`Self::open_lease`], whose repeat opens a second lease.
#[async_trait::async_trait]
pub trait Registry: Maintenance + Retention + Audit + Tokens {
    /// Returns the server's name, version and format epochs.
    async fn server_version(&self) -> Result<ServerVersion, RegistryError>;

    /// Returns a page of applications by name, beginning after `after`.
    async fn applications(
        &self,
        after: Option<&ApplicationName>,
    ) -> Result<ApplicationPage, RegistryError>;

    /// Returns one application.
    async fn application(&self, name: &ApplicationName) -> Result<Application, RegistryError>;

    /// Returns a page of an application's releases, newest first, beginning after `after`.
    async fn releases(
        &self,
        application: &ApplicationName,
        after: Option<&Version>,
    ) -> Result<ReleasePage, RegistryError>;

    /// Returns the release that `selector` names now. Its bytes, application and version are
    /// verified.
    async fn release(
        &self,
        application: &ApplicationName,
        selector: &Selector,
    ) -> Result<Release, RegistryError>;

    /// Makes a release visible. Publishing the same release again is a no-op.
    async fn publish(&self, release: &Release, lease: &Lease) -> Result<Published, RegistryError>;

    /// Returns all channels of an application, by name.
    async fn channels(&self, application: &ApplicationName) -> Result<Vec<Channel>, RegistryError>;

    /// Returns one channel, or `None` if the channel or its application does not exist.
    async fn channel(
        &self,
        application: &ApplicationName,
        channel: &ChannelName,
    ) -> Result<Option<Channel>, RegistryError>;

    /// Points a channel at a release, if its state still matches `expect`.
    async fn move_channel(
        &self,
        application: &ApplicationName,
        channel: &ChannelName,
        expect: Expect,
        release: ReleaseDigest,
    ) -> Result<Channel, RegistryError>;

    /// Returns the moves of a channel, newest first.
    async fn channel_history(
        &self,
        application: &ApplicationName,
        channel: &ChannelName,
    ) -> Result<Vec<ChannelMove>, RegistryError>;

    /// Opens a lease. Objects that a push is told are present, or that a pull reads, stay until the
    /// lease ends. A push names its version, so that a quota can refuse the push at once.
    async fn open_lease(
        &self,
        application: &ApplicationName,
        purpose: LeasePurpose,
        version: Option<&Version>,
    ) -> Result<Lease, RegistryError>;

    /// Extends a lease to its full duration from now.
    async fn renew_lease(&self, lease: &Lease) -> Result<Lease, RegistryError>;

    /// Ends a lease. Succeeds if the lease has ended already.
    async fn end_lease(&self, lease: &Lease) -> Result<(), RegistryError>;

    /// Returns for each chunk whether the registry lacks it. There is no limit on their number.
    async fn missing_chunks(
        &self,
        lease: &Lease,
        chunks: &[ChunkDigest],
    ) -> Result<Vec<bool>, RegistryError>;

    /// Returns for each leaf whether the registry lacks it. There is no limit on their number.
    async fn missing_leaves(
        &self,
        lease: &Lease,
        leaves: &[LeafDigest],
    ) -> Result<Vec<bool>, RegistryError>;

    /// Returns the places of chunks, in the same order. Fails if the registry lacks one. There is
    /// no limit on their number.
    ///
    /// The lengths are possible for a frame. The reader must prove the bytes.
    async fn locate_chunks(&self, chunks: &[ChunkDigest]) -> Result<Vec<Place>, RegistryError>;

    /// Returns whether the registry holds an index.
    async fn has_index(&self, index: IndexDigest) -> Result<bool, RegistryError>;

    /// Returns an index, verified.
    async fn index(&self, index: IndexDigest) -> Result<DiskIndex, RegistryError>;

    /// Returns a leaf of a span of `span_len` bytes, verified.
    async fn leaf(&self, leaf: LeafDigest, span_len: u64) -> Result<Leaf, RegistryError>;

    /// Stores a leaf. The registry must hold its chunks.
    async fn put_leaf(&self, lease: &Lease, leaf: &Leaf) -> Result<(), RegistryError>;

    /// Stores an index. The registry must hold its leaves.
    async fn put_index(&self, lease: &Lease, index: &DiskIndex) -> Result<(), RegistryError>;

    /// Returns an original descriptor, verified.
    async fn descriptor(&self, descriptor: DescriptorDigest) -> Result<Bytes, RegistryError>;

    /// Stores an original descriptor.
    async fn put_descriptor(&self, lease: &Lease, bytes: Bytes) -> Result<(), RegistryError>;

    /// Stores a pack.
    async fn put_pack(
        &self,
        lease: &Lease,
        pack: PackDigest,
        bytes: Bytes,
    ) -> Result<(), RegistryError>;

    /// Returns exactly the bytes `range` of a pack. The caller verifies the chunks decoded from
    /// them.
    async fn pack_range(
        &self,
        pack: PackDigest,
        range: Range<u64>,
        freshness: Freshness,
    ) -> Result<Bytes, RegistryError>;

    /// Returns the differences between two releases, and the cost of moving from one to the other.
    async fn diff(
        &self,
        from: (&ApplicationName, &Selector),
        to: (&ApplicationName, &Selector),
    ) -> Result<ReleaseDiff, RegistryError>;

    /// Starts a collection unless one is running.
    async fn start_collection(&self, order: StartCollection) -> Result<Collection, RegistryError>;

    /// Returns the progress of the current or last collection.
    async fn collection(&self) -> Result<Collection, RegistryError>;

    /// Returns what a collection would remove now, rewriting packs below this percentage of live
    /// bytes.
    async fn collection_plan(
        &self,
        live_percent_min: Option<u8>,
    ) -> Result<CollectionPlan, RegistryError>;

    /// Returns the storage that releases occupy.
    async fn usage(&self) -> Result<Usage, RegistryError>;
}
