//! The trait through which flows read releases: from a registry, or from any place that holds whole
//! releases.

use std::ops::Range;

use bytes::Bytes;
use seawall_api::digest::{ChunkDigest, DescriptorDigest, IndexDigest, LeafDigest, PackDigest};
use seawall_api::index::{DiskIndex, Leaf};
use seawall_api::names::{ApplicationName, ChannelName, Version};
use seawall_api::reference::Selector;
use seawall_api::release::Release;
use seawall_api::v1::{
    Application, ApplicationPage, Channel, ChannelMove, Lease, LeasePurpose, ReleasePage,
};
use seawall_store::read::{Freshness, Place};

use crate::registry::RegistryError;

/// A place to read releases from.
///
/// # Contract
///
/// 1. An object returned by digest matches that digest.
/// 2. Every call is idempotent except [`Self::open_lease`], whose repeat opens a second lease.
#[async_trait::async_trait]
pub trait Reading: Send + Sync {
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

    /// Returns all channels of an application, by name.
    async fn channels(&self, application: &ApplicationName) -> Result<Vec<Channel>, RegistryError>;

    /// Returns one channel, or `None` if the channel or its application does not exist.
    async fn channel(
        &self,
        application: &ApplicationName,
        channel: &ChannelName,
    ) -> Result<Option<Channel>, RegistryError>;

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

    /// Returns the places of chunks, in the same order. Fails if the registry lacks one. There is
    /// no limit on their number.
    ///
    /// The lengths are possible for a frame. The reader must prove the bytes.
    async fn locate_chunks(&self, chunks: &[ChunkDigest]) -> Result<Vec<Place>, RegistryError>;

    /// Returns an index, verified.
    async fn index(&self, index: IndexDigest) -> Result<DiskIndex, RegistryError>;

    /// Returns a leaf of a span of `span_len` bytes, verified.
    async fn leaf(&self, leaf: LeafDigest, span_len: u64) -> Result<Leaf, RegistryError>;

    /// Returns an original descriptor, verified.
    async fn descriptor(&self, descriptor: DescriptorDigest) -> Result<Bytes, RegistryError>;

    /// Returns exactly the bytes `range` of a pack. The caller verifies the chunks decoded from
    /// them.
    async fn pack_range(
        &self,
        pack: PackDigest,
        range: Range<u64>,
        freshness: Freshness,
    ) -> Result<Bytes, RegistryError>;
}
