//! The trait through which flows write releases: to a registry, or to any place that holds whole
//! releases.

use bytes::Bytes;
use seawall_api::digest::{ChunkDigest, IndexDigest, LeafDigest, PackDigest, ReleaseDigest};
use seawall_api::index::{DiskIndex, Leaf};
use seawall_api::names::{ApplicationName, ChannelName};
use seawall_api::release::Release;
use seawall_api::v1::{Channel, Lease, Published};

use super::Reading;
use crate::registry::RegistryError;

/// The state of a channel that a move replaces.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expect {
    /// The channel must not exist.
    New,
    /// The sequence number of the channel's last move.
    Sequence(u64),
}

/// A place to write releases to. Content is written before the names that refer to it.
///
/// # Contract
///
/// Every call is idempotent except [`Self::move_channel`], whose repeat reports a conflict.
#[async_trait::async_trait]
pub trait Writing: Reading {
    /// Makes a release visible. Publishing the same release again is a no-op.
    async fn publish(&self, release: &Release, lease: &Lease) -> Result<Published, RegistryError>;

    /// Points a channel at a release, if its state still matches `expect`.
    async fn move_channel(
        &self,
        application: &ApplicationName,
        channel: &ChannelName,
        expect: Expect,
        release: ReleaseDigest,
    ) -> Result<Channel, RegistryError>;

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

    /// Returns whether the registry holds an index.
    async fn has_index(&self, index: IndexDigest) -> Result<bool, RegistryError>;

    /// Stores a leaf. The registry must hold its chunks.
    async fn put_leaf(&self, lease: &Lease, leaf: &Leaf) -> Result<(), RegistryError>;

    /// Stores an index. The registry must hold its leaves.
    async fn put_index(&self, lease: &Lease, index: &DiskIndex) -> Result<(), RegistryError>;

    /// Stores an original descriptor.
    async fn put_descriptor(&self, lease: &Lease, bytes: Bytes) -> Result<(), RegistryError>;

    /// Stores a pack.
    async fn put_pack(
        &self,
        lease: &Lease,
        pack: PackDigest,
        bytes: Bytes,
    ) -> Result<(), RegistryError>;
}
