//! A registry that retries when the network or the server fails for a moment.
//!
//! This module alone decides which calls are retried, when, and how often. A push can be retried,
//! publishing included, because every object is named by digest. [`Registry::move_channel`] cannot:
//! if the first answer is lost, the repeat finds the channel moved and reports a conflict.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
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

use super::{Expect, Located, Registry, RegistryError};

mod fleet;
mod upkeep;
mod watch;

/// The number and pace of retries.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// The number of attempts, the first included.
    pub attempts_max: u32,
    /// The pause after the first failure. Each further failure doubles the pause.
    pub delay_first: Duration,
    /// The longest pause, even if the registry asks for a longer one.
    pub delay_max: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        // A restarting registry is back within the pauses of up to 0.25 + 0.5 + 1 + 2 + 4 s.
        Self {
            attempts_max: 6,
            delay_first: Duration::from_millis(250),
            delay_max: Duration::from_secs(30),
        }
    }
}

impl RetryPolicy {
    /// Returns the pause after failure number `failure` (from 0). `jitter` is 0 to 1.
    fn delay(&self, failure: u32, asked: Option<Duration>, jitter: f64) -> Duration {
        let doubled = self.delay_first.saturating_mul(1_u32 << failure.min(16));
        // Half fixed, half random, so that clients that failed together do not return together.
        let own = doubled.min(self.delay_max).mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0));
        asked.map_or(own, |asked| asked.max(own)).min(self.delay_max)
    }
}

/// A registry that retries the calls of an inner registry if they are idempotent.
pub struct Retry<R> {
    inner: R,
    policy: RetryPolicy,
    hear: Box<dyn Fn(&RegistryError) + Send + Sync>,
    was_heard: AtomicBool,
}

impl<R> Retry<R> {
    /// Wraps a registry.
    pub fn new(inner: R, policy: RetryPolicy) -> Self {
        Self { inner, policy, hear: Box::new(|_| {}), was_heard: AtomicBool::new(false) }
    }

    /// Calls `hear` with the error before the first retry, once in the life of this wrapper.
    #[must_use]
    pub fn telling(self, hear: impl Fn(&RegistryError) + Send + Sync + 'static) -> Self {
        Self { hear: Box::new(hear), ..self }
    }

    async fn again<T, F: Future<Output = Result<T, RegistryError>>>(
        &self,
        mut call: impl FnMut() -> F,
    ) -> Result<T, RegistryError> {
        let mut failure = 0;
        loop {
            let error = match call().await {
                Err(error) if error.is_transient() && failure + 1 < self.policy.attempts_max => {
                    error
                }
                settled => return settled,
            };
            let delay = self.policy.delay(failure, error.retry_after(), jitter());
            if !self.was_heard.swap(true, Ordering::Relaxed) {
                (self.hear)(&error);
            }
            tracing::warn!(%error, delay_ms = delay.as_millis(), "asking the registry again");
            tokio::time::sleep(delay).await;
            failure += 1;
        }
    }
}

/// Returns a random number from 0 to 1 of low quality.
fn jitter() -> f64 {
    RandomState::new().hash_one(0) as f64 / u64::MAX as f64
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<R: Registry> Registry for Retry<R> {
    async fn server_version(&self) -> Result<ServerVersion, RegistryError> {
        self.again(|| self.inner.server_version()).await
    }

    async fn applications(
        &self,
        after: Option<&ApplicationName>,
    ) -> Result<ApplicationPage, RegistryError> {
        self.again(|| self.inner.applications(after)).await
    }

    async fn application(&self, name: &ApplicationName) -> Result<Application, RegistryError> {
        self.again(|| self.inner.application(name)).await
    }

    async fn releases(
        &self,
        application: &ApplicationName,
        after: Option<&Version>,
    ) -> Result<ReleasePage, RegistryError> {
        self.again(|| self.inner.releases(application, after)).await
    }

    async fn release(
        &self,
        application: &ApplicationName,
        selector: &Selector,
    ) -> Result<Release, RegistryError> {
        self.again(|| self.inner.release(application, selector)).await
    }

    async fn publish(&self, release: &Release, lease: &Lease) -> Result<Published, RegistryError> {
        self.again(|| self.inner.publish(release, lease)).await
    }

    async fn channels(&self, application: &ApplicationName) -> Result<Vec<Channel>, RegistryError> {
        self.again(|| self.inner.channels(application)).await
    }

    async fn channel(
        &self,
        application: &ApplicationName,
        channel: &ChannelName,
    ) -> Result<Option<Channel>, RegistryError> {
        self.again(|| self.inner.channel(application, channel)).await
    }

    async fn move_channel(
        &self,
        application: &ApplicationName,
        channel: &ChannelName,
        expect: Expect,
        release: ReleaseDigest,
    ) -> Result<Channel, RegistryError> {
        self.inner.move_channel(application, channel, expect, release).await
    }

    async fn channel_history(
        &self,
        application: &ApplicationName,
        channel: &ChannelName,
    ) -> Result<Vec<ChannelMove>, RegistryError> {
        self.again(|| self.inner.channel_history(application, channel)).await
    }

    /// Retries: a lease opened by a lost attempt is never used and expires.
    async fn open_lease(
        &self,
        application: &ApplicationName,
        purpose: LeasePurpose,
        version: Option<&Version>,
    ) -> Result<Lease, RegistryError> {
        self.again(|| self.inner.open_lease(application, purpose, version)).await
    }

    async fn renew_lease(&self, lease: &Lease) -> Result<Lease, RegistryError> {
        self.again(|| self.inner.renew_lease(lease)).await
    }

    async fn end_lease(&self, lease: &Lease) -> Result<(), RegistryError> {
        self.again(|| self.inner.end_lease(lease)).await
    }

    async fn missing_chunks(
        &self,
        lease: &Lease,
        chunks: &[ChunkDigest],
    ) -> Result<Vec<bool>, RegistryError> {
        self.again(|| self.inner.missing_chunks(lease, chunks)).await
    }

    async fn missing_leaves(
        &self,
        lease: &Lease,
        leaves: &[LeafDigest],
    ) -> Result<Vec<bool>, RegistryError> {
        self.again(|| self.inner.missing_leaves(lease, leaves)).await
    }

    async fn locate_chunks(&self, chunks: &[ChunkDigest]) -> Result<Located, RegistryError> {
        self.again(|| self.inner.locate_chunks(chunks)).await
    }

    async fn has_index(&self, index: IndexDigest) -> Result<bool, RegistryError> {
        self.again(|| self.inner.has_index(index)).await
    }

    async fn index(&self, index: IndexDigest) -> Result<DiskIndex, RegistryError> {
        self.again(|| self.inner.index(index)).await
    }

    async fn leaf(&self, leaf: LeafDigest, span_len: u64) -> Result<Leaf, RegistryError> {
        self.again(|| self.inner.leaf(leaf, span_len)).await
    }

    async fn put_leaf(&self, lease: &Lease, leaf: &Leaf) -> Result<(), RegistryError> {
        self.again(|| self.inner.put_leaf(lease, leaf)).await
    }

    async fn put_index(&self, lease: &Lease, index: &DiskIndex) -> Result<(), RegistryError> {
        self.again(|| self.inner.put_index(lease, index)).await
    }

    async fn descriptor(&self, descriptor: DescriptorDigest) -> Result<Bytes, RegistryError> {
        self.again(|| self.inner.descriptor(descriptor)).await
    }

    async fn put_descriptor(&self, lease: &Lease, bytes: Bytes) -> Result<(), RegistryError> {
        self.again(|| self.inner.put_descriptor(lease, bytes.clone())).await
    }

    async fn put_pack(
        &self,
        lease: &Lease,
        pack: PackDigest,
        bytes: Bytes,
    ) -> Result<(), RegistryError> {
        self.again(|| self.inner.put_pack(lease, pack, bytes.clone())).await
    }

    async fn pack_range(
        &self,
        pack: PackDigest,
        range: Range<u64>,
    ) -> Result<Bytes, RegistryError> {
        self.again(|| self.inner.pack_range(pack, range.clone())).await
    }

    async fn diff(
        &self,
        from: (&ApplicationName, &Selector),
        to: (&ApplicationName, &Selector),
    ) -> Result<ReleaseDiff, RegistryError> {
        self.again(|| self.inner.diff(from, to)).await
    }

    async fn start_collection(&self, order: StartCollection) -> Result<Collection, RegistryError> {
        self.again(|| self.inner.start_collection(order)).await
    }

    async fn collection(&self) -> Result<Collection, RegistryError> {
        self.again(|| self.inner.collection()).await
    }

    async fn collection_plan(
        &self,
        live_percent_min: Option<u8>,
    ) -> Result<CollectionPlan, RegistryError> {
        self.again(|| self.inner.collection_plan(live_percent_min)).await
    }

    async fn usage(&self) -> Result<Usage, RegistryError> {
        self.again(|| self.inner.usage()).await
    }
}
