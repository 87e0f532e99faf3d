//! The indexes and leaves of disks, fetched where this host lacks them, and proven.

use futures::{StreamExt, TryStreamExt, stream};
use seawall_api::digest::IndexDigest;
use seawall_api::names::{DiskName, MachineName};

use super::{ResolveError, Resolved};
use crate::directory::{DiskLayout, IndexCache, Lockfile};

/// The number of leaves fetched concurrently.
const LEAVES_AT_ONCE: usize = 8;

impl Resolved {
    /// Returns the layouts of the disks in a lockfile of this release, in the same order.
    ///
    /// # Errors
    /// As for [`Self::layout`].
    pub async fn layouts(
        &self,
        lock: &Lockfile,
        cache: &IndexCache,
    ) -> Result<Vec<DiskLayout>, ResolveError> {
        let mut layouts = Vec::with_capacity(lock.disks.len());
        for locked in &lock.disks {
            layouts.push(self.layout(&locked.machine, &locked.disk, cache).await?);
        }
        Ok(layouts)
    }

    /// Returns the layout of a disk of the release.
    ///
    /// # Errors
    /// Fails if the index describes another disk than the release, the registry fails, or the cache
    /// cannot be written.
    pub async fn layout(
        &self,
        machine: &MachineName,
        disk: &DiskName,
        cache: &IndexCache,
    ) -> Result<DiskLayout, ResolveError> {
        let wrong = || ResolveError::WrongIndex { disk: format!("{machine}/{disk}") };
        let mut disks = self.release.disks().filter(|(it, _)| it.name == *machine);
        let (_, disk) = disks.find(|(_, it)| it.name == *disk).ok_or_else(wrong)?;
        let layout = self.load(disk.index, cache).await?;
        let index = layout.index();
        if (index.content(), index.disk_len().get()) != (disk.content, disk.len) {
            return Err(wrong());
        }
        Ok(layout)
    }

    /// Returns the layout that an index describes, of a disk of this or of another release. Fetches
    /// its missing parts from the registry.
    ///
    /// # Errors
    /// Fails if the registry fails or the cache cannot be written.
    pub(crate) async fn load(
        &self,
        digest: IndexDigest,
        cache: &IndexCache,
    ) -> Result<DiskLayout, ResolveError> {
        let layout = match cache.list(digest) {
            Some(layout) => layout,
            None => cache.put_list(self.registry.index(digest).await?)?,
        };
        stream::iter(layout.missing())
            .map(|(digest, span_len)| self.registry.leaf(digest, span_len))
            .buffer_unordered(LEAVES_AT_ONCE)
            .map_err(ResolveError::from)
            .try_for_each(|leaf| async move { Ok(cache.put_leaf(&leaf)?) })
            .await?;
        Ok(layout)
    }
}
