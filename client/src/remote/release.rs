//! A release whose disks are read from the registry.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use seawall_api::names::{ApplicationName, MachineName};
use seawall_api::reference::Selector;
use seawall_api::release::{Disk, Release};

use super::RemoteDisk;
use crate::fetch::FetchError;
use crate::host::HostState;
use crate::pull::seeds::Seeds;
use crate::pull::target::Scratch;
use crate::registry::Registry;

/// A release whose disks are read from the registry.
pub(crate) struct RemoteRelease {
    registry: Arc<dyn Registry>,
    release: Release,
    scratch: Scratch,
    seeds: Arc<Seeds>,
    threads: usize,
}

impl RemoteRelease {
    /// Resolves the release and opens this host's holdings as seeds.
    pub(crate) async fn open(
        registry: Arc<dyn Registry>,
        (application, selector): (&ApplicationName, &Selector),
        state: &HostState,
        threads: usize,
    ) -> Result<Self, FetchError> {
        let release = registry.release(application, selector).await?;
        let scratch = Scratch::new(state)?;
        let seeds = Arc::new(Seeds::open(state, &release, Path::new("")));
        Ok(Self { registry, release, scratch, seeds, threads })
    }

    pub(crate) fn release(&self) -> &Release {
        &self.release
    }

    pub(crate) fn registry(&self) -> &Arc<dyn Registry> {
        &self.registry
    }

    /// Returns a disk of the release, or `None` if its index describes other content or another
    /// length.
    pub(crate) async fn disk(
        &self,
        machine: &MachineName,
        disk: &Disk,
    ) -> Result<Option<RemoteDisk>, FetchError> {
        let layout = self.scratch.indexes().load(&self.registry, disk.index).await?;
        let index = layout.index();
        if index.content() != disk.content || index.disk_len().get() != disk.len {
            return Ok(None);
        }
        let name = PathBuf::from(format!("{machine}/{}", disk.name));
        let (registry, seeds) = (Arc::clone(&self.registry), Arc::clone(&self.seeds));
        Ok(Some(RemoteDisk::open(name, layout, registry, seeds, self.threads)?))
    }
}
