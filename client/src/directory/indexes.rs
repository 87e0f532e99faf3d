//! Indexes and leaves on this host, by digest.
//!
//! A cache: missing and damaged entries are fetched again, and every read is verified.

use std::collections::HashSet;
use std::io::Write;
use std::ops::Range;

use seawall_api::digest::{IndexDigest, LeafDigest};
use seawall_api::index::{DiskIndex, Extent, INDEX_LEN_MAX, LEAF_LEN_MAX, Leaf, leaf_range};

use super::INDEXES_FOLDER;
use crate::folder::{Folder, FolderPath, mode};
use crate::host::HostError;

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

    /// Stores an index. Returns its layout, whose leaves may be missing.
    pub(crate) fn put_list(&self, index: DiskIndex) -> Result<DiskLayout, HostError> {
        self.put(&self.list_path(index.digest()), &index.encode())?;
        Ok(DiskLayout { index, cache: self.clone() })
    }

    /// Stores a leaf.
    pub(crate) fn put_leaf(&self, leaf: &Leaf) -> Result<(), HostError> {
        self.put(&self.leaf_path(leaf.digest()), &leaf.encode())
    }

    /// Reads a file of at most `len_max` bytes. Returns `None` on any error.
    fn read(&self, path: &FolderPath, len_max: usize) -> Option<Vec<u8>> {
        self.root.read(path, len_max as u64).ok()
    }

    /// Returns a disk's layout, or `None` unless its list and every leaf are cached and undamaged.
    #[must_use]
    pub fn layout(&self, index: IndexDigest) -> Option<DiskLayout> {
        self.list(index).filter(|layout| layout.missing().is_empty())
    }

    /// Returns a disk's layout, whose leaves may be missing, or `None` unless its list is cached
    /// and undamaged.
    pub(crate) fn list(&self, digest: IndexDigest) -> Option<DiskLayout> {
        let bytes = self.read(&self.list_path(digest), INDEX_LEN_MAX)?;
        if IndexDigest::of(&bytes) != digest {
            return None;
        }
        let index = DiskIndex::decode(&bytes).ok()?;
        Some(DiskLayout { index, cache: self.clone() })
    }
}

impl DiskLayout {
    /// Returns the index.
    #[must_use]
    pub fn index(&self) -> &DiskIndex {
        &self.index
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

    /// Returns the digest and the span in bytes of each leaf that the cache lacks or has damaged.
    /// Lists a digest once, even if several places of the disk have it.
    pub(crate) fn missing(&self) -> Vec<(LeafDigest, u64)> {
        let mut seen = HashSet::new();
        let missing = (0..self.leaf_count()).filter(|&position| {
            seen.insert(self.index.leaves()[position].digest) && self.leaf(position).is_none()
        });
        let spans = missing.map(|position| self.span(position));
        spans.map(|(digest, span)| (digest, span.end - span.start)).collect()
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
        (0..self.leaf_count()).flat_map(|position| match self.extents_of(position) {
            Ok(extents) => {
                let mut offset = self.span(position).1.start;
                let extents = extents.into_iter().map(|extent| {
                    let at = offset;
                    offset += extent.disk_len();
                    Ok((at, extent))
                });
                extents.collect::<Vec<_>>()
            }
            Err(error) => vec![Err(error)],
        })
    }

    /// Returns the extents of the leaf at `position`, in order.
    ///
    /// # Errors
    /// Fails if the cache has lost the leaf since.
    pub(crate) fn extents_of(&self, position: usize) -> Result<Vec<Extent>, HostError> {
        let leaf = self.leaf(position).ok_or_else(|| {
            let path = self.cache.leaf_path(self.span(position).0);
            let path = self.cache.root.path_of(&path);
            let lost = std::io::Error::other("it was removed or changed meanwhile");
            HostError::new("read", &path, lost)
        })?;
        Ok(leaf.extents().to_vec())
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
