//! Indexes and leaves on this host, by digest.
//!
//! A cache: missing and damaged entries are fetched again, and every read is verified.

use std::collections::HashSet;
use std::io::Write;
use std::ops::Range;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use seawall_api::digest::{IndexDigest, LeafDigest};
use seawall_api::index::{DiskIndex, Extent, INDEX_LEN_MAX, LEAF_LEN_MAX, Leaf, leaf_range};
use seawall_api::release::Release;

use super::{INDEXES_FOLDER, LockedDisk};
use crate::fetch::FetchError;
use crate::folder::{Folder, FolderPath, mode};
use crate::host::HostError;
use crate::registry::Registry;

/// The number of leaves fetched concurrently.
const LEAVES_AT_ONCE: usize = 8;

/// A folder of indexes and leaves.
#[derive(Clone, Debug)]
pub struct IndexCache {
    root: Folder,
    /// The cache's folder below `root`. `None` if the cache is `root` itself.
    below: Option<FolderPath>,
}

/// A disk's index whose leaves were all in the cache.
#[derive(Clone, Debug)]
pub struct DiskLayout {
    index: DiskIndex,
    cache: IndexCache,
}

impl IndexCache {
    /// Returns a cache in a folder.
    #[must_use]
    pub fn new(root: Folder) -> Self {
        Self { root, below: None }
    }

    /// Returns the cache of a pulled directory. Its folder is created on demand.
    #[must_use]
    pub(crate) fn below(directory: &Folder) -> Self {
        let below = Some(FolderPath::composed(INDEXES_FOLDER));
        Self { root: directory.clone(), below }
    }

    fn path(&self, name: String) -> FolderPath {
        let name = FolderPath::composed(name);
        self.below.as_ref().map_or(name.clone(), |below| below.join(&name))
    }

    fn leaf_path(&self, leaf: LeafDigest) -> FolderPath {
        self.path(format!("{}.leaf", leaf.to_hex()))
    }

    fn list_path(&self, index: IndexDigest) -> FolderPath {
        self.path(format!("{}.list", index.to_hex()))
    }

    fn put(&self, path: &FolderPath, bytes: &[u8]) -> Result<(), HostError> {
        self.root.make_folder_of(path, mode::OWN_FOLDER)?;
        // Not synced: a file torn by a crash does not match its digest and is fetched again.
        let mut file = self.root.create(path, mode::FILE)?;
        let failed = |source| HostError::new("write", &self.root.path_of(path), source);
        file.write_all(bytes).map_err(failed)
    }

    /// Reads a file of at most `len_max` bytes. Returns `None` on any error.
    fn read(&self, path: &FolderPath, len_max: usize) -> Option<Vec<u8>> {
        self.root.read(path, len_max as u64).ok()
    }

    /// Returns a disk's layout, or `None` unless its list and every leaf are cached and undamaged.
    #[must_use]
    pub fn layout(&self, index: IndexDigest) -> Option<DiskLayout> {
        let index = self.list(index)?;
        let layout = DiskLayout { index, cache: self.clone() };
        let complete = (0..layout.leaf_count()).all(|position| layout.leaf(position).is_some());
        complete.then_some(layout)
    }

    fn list(&self, digest: IndexDigest) -> Option<DiskIndex> {
        let bytes = self.read(&self.list_path(digest), INDEX_LEN_MAX)?;
        if IndexDigest::of(&bytes) != digest {
            return None;
        }
        DiskIndex::decode(&bytes).ok()
    }

    /// Returns a disk's layout. Fetches its missing parts from the registry.
    ///
    /// # Errors
    /// Fails if the registry fails or the cache cannot be written.
    pub async fn load(
        &self,
        registry: &Arc<dyn Registry>,
        digest: IndexDigest,
    ) -> Result<DiskLayout, FetchError> {
        let index = match self.list(digest) {
            Some(index) => index,
            None => {
                let index = registry.index(digest).await?;
                self.put(&self.list_path(digest), &index.encode())?;
                index
            }
        };
        let layout = DiskLayout { index, cache: self.clone() };
        let mut seen = HashSet::new();
        let missing: Vec<_> = (0..layout.leaf_count())
            .filter(|&position| {
                seen.insert(layout.index.leaves()[position].digest)
                    && layout.leaf(position).is_none()
            })
            .collect();
        stream::iter(missing)
            .map(|position| {
                let (digest, span) = layout.span(position);
                async move { registry.leaf(digest, span.end - span.start).await }
            })
            .buffer_unordered(LEAVES_AT_ONCE)
            .map_err(FetchError::from)
            .try_for_each(|leaf| async move {
                Ok(self.put(&self.leaf_path(leaf.digest()), &leaf.encode())?)
            })
            .await?;
        Ok(layout)
    }
}

impl DiskLayout {
    /// Returns the index.
    #[must_use]
    pub fn index(&self) -> &DiskIndex {
        &self.index
    }

    /// Returns true if the index matches the disk's content digest and length in the release.
    #[must_use]
    pub fn is_of(&self, release: &Release, disk: &LockedDisk) -> bool {
        let mut disks = release.disks().filter(|(machine, _)| machine.name == disk.machine);
        let said = disks.find(|(_, said)| said.name == disk.disk).map(|(_, said)| said);
        let (content, len) = (self.index.content(), self.index.disk_len().get());
        said.is_some_and(|said| (said.content, said.len) == (content, len))
    }

    /// Returns the number of leaves of the disk.
    #[must_use]
    pub fn leaf_count(&self) -> usize {
        self.index.leaves().len()
    }

    fn span(&self, position: usize) -> (LeafDigest, Range<u64>) {
        let leaf = self.index.leaves()[position];
        (leaf.digest, leaf_range(self.index.disk_len(), position))
    }

    /// Returns the leaf at `position`, or `None` if the cache lost it.
    #[must_use]
    pub fn leaf(&self, position: usize) -> Option<Leaf> {
        let (digest, span) = self.span(position);
        let span_len = span.end - span.start;
        // A hole's leaf is not stored: its digest is known from its length.
        let hole = Leaf::hole(span_len);
        if hole.digest() == digest {
            return Some(hole);
        }
        let bytes = self.cache.read(&self.cache.leaf_path(digest), LEAF_LEN_MAX)?;
        if LeafDigest::of(&bytes) != digest {
            return None;
        }
        Leaf::decode(&bytes, span_len).ok()
    }

    /// Returns every extent with its offset in bytes, in order.
    ///
    /// # Errors
    /// Fails if the cache has lost a leaf since.
    pub fn extents(
        &self,
    ) -> impl Iterator<Item = Result<(u64, Extent), HostError>> + Send + use<'_> {
        (0..self.leaf_count()).flat_map(|position| match self.leaf(position) {
            Some(leaf) => {
                let mut offset = self.span(position).1.start;
                let extents = leaf.extents().iter().map(|extent| {
                    let at = offset;
                    offset += extent.disk_len();
                    Ok((at, *extent))
                });
                extents.collect::<Vec<_>>()
            }
            None => {
                let path = self.cache.leaf_path(self.span(position).0);
                let path = self.cache.root.path_of(&path);
                let lost = std::io::Error::other("it was removed or changed meanwhile");
                vec![Err(HostError::new("read", &path, lost))]
            }
        })
    }

    /// Returns the ranges of data in bytes, with adjacent ranges joined.
    ///
    /// # Errors
    /// Fails if the cache has lost a leaf since.
    pub fn data_runs(&self) -> Result<Vec<Range<u64>>, HostError> {
        let mut runs: Vec<Range<u64>> = Vec::new();
        for extent in self.extents() {
            let (offset, extent) = extent?;
            if !matches!(extent, Extent::Data(_)) {
                continue;
            }
            let end = offset + extent.disk_len();
            match runs.last_mut() {
                Some(run) if run.end == offset => run.end = end,
                _ => runs.push(offset..end),
            }
        }
        Ok(runs)
    }
}
