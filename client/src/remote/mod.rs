//! A release whose disks are read from the registry, without a local copy.
//!
//! Chunks that this host holds on other disks are read from there.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use seawall_api::digest::IndexDigest;
use seawall_api::index::ChunkRef;
use seawall_api::names::{DiskName, MachineName};
use seawall_store::read::{Nearby, Reader, StoredDisk};

use crate::directory::DiskLayout;
use crate::fetch::{Packs, Seeds};
use crate::host::{HostError, HostState};
use crate::resolve::{ResolveError, Resolved, Scratch};

/// A resolved release whose disks are read from the registry.
pub(crate) struct RemoteRelease<'a> {
    resolved: &'a Resolved,
    scratch: Scratch,
    reader: Arc<Reader>,
}

impl<'a> RemoteRelease<'a> {
    /// Opens this host's holdings as seeds.
    pub(crate) fn open(
        resolved: &'a Resolved,
        state: &HostState,
        threads: usize,
    ) -> Result<Self, HostError> {
        let scratch = Scratch::new(state)?;
        let seeds = Arc::new(Seeds::open(state, resolved.release(), Path::new("")));
        let source = Arc::new(Packs::of(resolved));
        let reader = Arc::new(Reader::new(source, threads).beside(seeds));
        Ok(Self { resolved, scratch, reader })
    }

    pub(crate) fn resolved(&self) -> &'a Resolved {
        self.resolved
    }

    /// Returns the layout of a disk of the release.
    pub(crate) async fn layout(
        &self,
        machine: &MachineName,
        disk: &DiskName,
    ) -> Result<DiskLayout, ResolveError> {
        self.resolved.layout(machine, disk, &self.scratch.indexes()).await
    }

    /// Returns the layout that an index describes, of a disk of another release.
    pub(crate) async fn load(&self, index: IndexDigest) -> Result<DiskLayout, ResolveError> {
        self.resolved.load(index, &self.scratch.indexes()).await
    }

    /// Returns a disk of the release.
    pub(crate) async fn disk(
        &self,
        machine: &MachineName,
        disk: &DiskName,
    ) -> Result<StoredDisk, ResolveError> {
        let layout = self.layout(machine, disk).await?;
        let name = PathBuf::from(format!("{machine}/{disk}"));
        let (len, runs) = (layout.index().disk_len().get(), layout.data_runs()?);
        let leaves = Box::new(move |position| layout.leaf(position));
        Ok(StoredDisk::new(name, len, runs, leaves, Arc::clone(&self.reader)))
    }
}

impl Nearby for Seeds {
    fn read(&self, chunk: ChunkRef, plain: &mut [u8]) -> bool {
        self.find(chunk.digest).is_some_and(|place| self.read(place, plain))
    }
}
