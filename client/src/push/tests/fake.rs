//! A registry in memory that counts its calls, for tests of pushes.
//!
//! An object is refused, by a panic, if an object that it names is missing or if it is sent twice.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;
use bytes::Bytes;
use seawall_api::digest::{
    ChunkDigest, DescriptorDigest, IndexDigest, LeafDigest, PackDigest, ReleaseDigest,
};
use seawall_api::index::{DiskIndex, Leaf};
use seawall_api::names::{ApplicationName, ChannelName, Version};
use seawall_api::problem::{Code, Problem};
use seawall_api::reference::Selector;
use seawall_api::release::Release;
use seawall_api::v1::{
    Application, ApplicationPage, Channel, ChannelMove, Collection, CollectionPlan, Lease,
    LeasePurpose, Published, ReleaseDiff, ReleasePage, ServerVersion, StartCollection, Usage,
};
use seawall_store::pack::VerifiedPack;
use seawall_store::read::{Freshness, Place};
use tokio::sync::Barrier;

use crate::registry::{Expect, Reading, Registry, RegistryError, Writing};

mod unused;

/// A registry in memory.
#[derive(Default)]
pub(super) struct FakeRegistry {
    state: Mutex<State>,
    refuses_packs: bool,
    together: Option<Barrier>,
}

#[derive(Default)]
struct State {
    calls: HashMap<&'static str, usize>,
    chunks: HashSet<ChunkDigest>,
    leaves: HashSet<LeafDigest>,
    indexes: HashMap<IndexDigest, DiskIndex>,
    releases: Vec<Release>,
}

impl FakeRegistry {
    /// Returns a registry that fails every upload of a pack.
    pub(super) fn refusing_packs() -> Self {
        Self { refuses_packs: true, ..Self::default() }
    }

    /// Returns a registry that holds back answers about chunks until `count` questions were asked.
    pub(super) fn answering_together(count: usize) -> Self {
        Self { together: Some(Barrier::new(count)), ..Self::default() }
    }

    /// Returns the number of calls of a method so far.
    pub(super) fn calls(&self, method: &str) -> usize {
        self.state().calls.get(method).copied().unwrap_or(0)
    }

    /// Returns the number of stored chunks.
    pub(super) fn chunks(&self) -> usize {
        self.state().chunks.len()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn called(&self, method: &'static str) {
        *self.state().calls.entry(method).or_default() += 1;
    }

    async fn answer_together(&self) {
        if let Some(barrier) = &self.together {
            barrier.wait().await;
        }
    }
}

fn not_found() -> RegistryError {
    Problem::new(Code::NotFound, "not there").into()
}

fn unused<T>() -> T {
    unreachable!("no push calls this")
}

#[async_trait]
impl Reading for FakeRegistry {
    async fn applications(
        &self,
        _: Option<&ApplicationName>,
    ) -> Result<ApplicationPage, RegistryError> {
        unused()
    }

    async fn application(&self, name: &ApplicationName) -> Result<Application, RegistryError> {
        self.called("application");
        let releases = self.state().releases.clone();
        let newest = releases.last().map(|release| release.version().clone());
        let newest = Some(newest.ok_or_else(not_found)?);
        let (name, release_count) = (name.clone(), releases.len() as u64);
        Ok(Application { name, created_at_secs: 0, release_count, newest })
    }

    async fn releases(
        &self,
        _: &ApplicationName,
        _: Option<&Version>,
    ) -> Result<ReleasePage, RegistryError> {
        unused()
    }

    async fn release(
        &self,
        _: &ApplicationName,
        selector: &Selector,
    ) -> Result<Release, RegistryError> {
        self.called("release");
        let is_named = |release: &&Release| match selector {
            Selector::Version(version) => release.version() == version,
            Selector::Digest(digest) => release.digest() == *digest,
            Selector::Channel(_) => false,
        };
        self.state().releases.iter().find(is_named).cloned().ok_or_else(not_found)
    }

    async fn channels(&self, _: &ApplicationName) -> Result<Vec<Channel>, RegistryError> {
        unused()
    }

    async fn channel(
        &self,
        _: &ApplicationName,
        _: &ChannelName,
    ) -> Result<Option<Channel>, RegistryError> {
        unused()
    }

    async fn channel_history(
        &self,
        _: &ApplicationName,
        _: &ChannelName,
    ) -> Result<Vec<ChannelMove>, RegistryError> {
        unused()
    }

    async fn open_lease(
        &self,
        _: &ApplicationName,
        _: LeasePurpose,
        _: Option<&Version>,
    ) -> Result<Lease, RegistryError> {
        self.called("open_lease");
        Ok(Lease { id: "lease".to_owned(), ttl_secs: 3600 })
    }

    async fn renew_lease(&self, _: &Lease) -> Result<Lease, RegistryError> {
        unused()
    }

    async fn end_lease(&self, _: &Lease) -> Result<(), RegistryError> {
        self.called("end_lease");
        Ok(())
    }

    async fn locate_chunks(&self, _: &[ChunkDigest]) -> Result<Vec<Place>, RegistryError> {
        unused()
    }

    async fn index(&self, index: IndexDigest) -> Result<DiskIndex, RegistryError> {
        self.called("index");
        self.state().indexes.get(&index).cloned().ok_or_else(not_found)
    }

    async fn leaf(&self, _: LeafDigest, _: u64) -> Result<Leaf, RegistryError> {
        unused()
    }

    async fn descriptor(&self, _: DescriptorDigest) -> Result<Bytes, RegistryError> {
        unused()
    }

    async fn pack_range(
        &self,
        _: PackDigest,
        _: Range<u64>,
        _: Freshness,
    ) -> Result<Bytes, RegistryError> {
        unused()
    }
}

#[async_trait]
impl Writing for FakeRegistry {
    async fn publish(&self, release: &Release, _: &Lease) -> Result<Published, RegistryError> {
        self.called("publish");
        let mut state = self.state();
        assert!(release.disks().all(|(_, disk)| state.indexes.contains_key(&disk.index)));
        state.releases.push(release.clone());
        Ok(Published { digest: release.digest(), already_present: false })
    }

    async fn move_channel(
        &self,
        _: &ApplicationName,
        _: &ChannelName,
        _: Expect,
        _: ReleaseDigest,
    ) -> Result<Channel, RegistryError> {
        unused()
    }

    async fn missing_chunks(
        &self,
        _: &Lease,
        chunks: &[ChunkDigest],
    ) -> Result<Vec<bool>, RegistryError> {
        self.called("missing_chunks");
        let missing = chunks.iter().map(|chunk| !self.state().chunks.contains(chunk)).collect();
        self.answer_together().await;
        Ok(missing)
    }

    async fn missing_leaves(
        &self,
        _: &Lease,
        leaves: &[LeafDigest],
    ) -> Result<Vec<bool>, RegistryError> {
        self.called("missing_leaves");
        let state = self.state();
        Ok(leaves.iter().map(|leaf| !state.leaves.contains(leaf)).collect())
    }

    async fn has_index(&self, index: IndexDigest) -> Result<bool, RegistryError> {
        self.called("has_index");
        Ok(self.state().indexes.contains_key(&index))
    }

    async fn put_leaf(&self, _: &Lease, leaf: &Leaf) -> Result<(), RegistryError> {
        self.called("put_leaf");
        let mut state = self.state();
        assert!(leaf.chunks().all(|chunk| state.chunks.contains(&chunk.digest)), "chunks first");
        assert!(state.leaves.insert(leaf.digest()), "a leaf is stored once");
        Ok(())
    }

    async fn put_index(&self, _: &Lease, index: &DiskIndex) -> Result<(), RegistryError> {
        self.called("put_index");
        let mut state = self.state();
        assert!(index.leaves().iter().all(|leaf| state.leaves.contains(&leaf.digest)));
        state.indexes.insert(index.digest(), index.clone());
        Ok(())
    }

    async fn put_descriptor(&self, _: &Lease, _: Bytes) -> Result<(), RegistryError> {
        unused()
    }

    async fn put_pack(
        &self,
        _: &Lease,
        pack: PackDigest,
        bytes: Bytes,
    ) -> Result<(), RegistryError> {
        self.called("put_pack");
        if self.refuses_packs {
            return Err(Problem::new(Code::StorageFull, "no space for packs").into());
        }
        let pack = VerifiedPack::verify(pack, bytes).unwrap();
        for frame in pack.frames() {
            assert!(self.state().chunks.insert(frame.digest), "a chunk is uploaded once");
        }
        Ok(())
    }
}

#[async_trait]
impl Registry for FakeRegistry {
    async fn server_version(&self) -> Result<ServerVersion, RegistryError> {
        unused()
    }

    async fn diff(
        &self,
        _: (&ApplicationName, &Selector),
        _: (&ApplicationName, &Selector),
    ) -> Result<ReleaseDiff, RegistryError> {
        unused()
    }

    async fn start_collection(&self, _: StartCollection) -> Result<Collection, RegistryError> {
        unused()
    }

    async fn collection(&self) -> Result<Collection, RegistryError> {
        unused()
    }

    async fn collection_plan(&self, _: Option<u8>) -> Result<CollectionPlan, RegistryError> {
        unused()
    }

    async fn usage(&self) -> Result<Usage, RegistryError> {
        unused()
    }
}
