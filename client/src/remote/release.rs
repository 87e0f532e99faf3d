//! A release whose disks are read from the registry.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use seawall_api::names::{DiskName, MachineName};

use super::RemoteDisk;
use crate::fetch::{Fetch, Seeds};
use crate::host::{HostError, HostState};
use crate::progress::Silent;
use crate::resolve::{ResolveError, Resolved, Scratch};

/// A resolved release whose disks are read from the registry.
pub(crate) struct RemoteRelease<'a> {
    resolved: &'a Resolved,
    scratch: Scratch,
    seeds: Arc<Seeds>,
    threads: usize,
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
        Ok(Self { resolved, scratch, seeds, threads })
    }

    pub(crate) fn resolved(&self) -> &'a Resolved {
        self.resolved
    }

    /// Returns a disk of the release.
    pub(crate) async fn disk(
        &self,
        machine: &MachineName,
        disk: &DiskName,
    ) -> Result<RemoteDisk, ResolveError> {
        let layout = self.resolved.layout(machine, disk, &self.scratch.indexes()).await?;
        let name = PathBuf::from(format!("{machine}/{disk}"));
        let fetch = Fetch::of(self.resolved, Arc::new(Silent), self.threads);
        Ok(RemoteDisk::open(name, layout, fetch, Arc::clone(&self.seeds))?)
    }
}
