//! Sources of lost objects. The repair hashes everything that a source returns.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use seawall_api::digest::{ChunkDigest, DescriptorDigest, IndexDigest, LeafDigest, ReleaseDigest};
use seawall_api::index::{ChunkRef, DiskIndex, Extent, LEAF_SPAN, Leaf};
use seawall_api::names::ApplicationName;
use seawall_api::reference::Selector;
use seawall_api::release::Release;
use seawall_store::image::DiskImage;
use seawall_store::read::{Freshness, Plan, Prover, Reader};
use seawall_store::scan::{self, LeafScan, ScanError};

use super::RepairError;
use crate::directory::{Directory, Lockfile};
use crate::fetch::Packs;
use crate::registry::Reading;
use crate::resolve;

/// A source of lost objects. Returns `None` for objects that it lacks or cannot read.
#[async_trait]
pub trait Source: Send + Sync {
    /// Returns a release document.
    async fn document(
        &self,
        application: &ApplicationName,
        release: ReleaseDigest,
    ) -> Option<Release>;
    /// Returns an original descriptor.
    async fn descriptor(&self, descriptor: DescriptorDigest) -> Option<Bytes>;
    /// Returns an index.
    async fn index(&self, index: IndexDigest) -> Option<DiskIndex>;
    /// Returns a leaf of a span of `span_len` bytes.
    async fn leaf(&self, leaf: LeafDigest, span_len: u64) -> Option<Leaf>;
    /// Returns the available chunks, in any order.
    async fn chunks(&self, chunks: Vec<ChunkRef>) -> Vec<(ChunkRef, Vec<u8>)>;
}

/// A registry as a source.
pub struct RegistrySource(pub Arc<dyn Reading>);

impl RegistrySource {
    /// Reads the chunks that the registry can prove.
    async fn read(&self, chunks: Vec<ChunkRef>) -> Vec<(ChunkRef, Vec<u8>)> {
        let reader = Reader::new(Arc::new(Packs::unprotected(Arc::clone(&self.0))), 1);
        let Plan { requests, lost } = reader.plan_each(chunks).await;
        let mut found = Vec::new();
        let mut errors: Vec<_> = lost.into_iter().map(|(_, error)| error).collect();
        let mut prover = Prover::default();
        for request in requests {
            let mut open: Vec<_> = (0..request.frames.len()).collect();
            let mut wrong = Vec::new();
            for freshness in [Freshness::Any, Freshness::AtRest] {
                let bytes = match reader.read(&request, freshness).await {
                    Ok(bytes) => bytes,
                    Err(error) => {
                        wrong = vec![error];
                        break;
                    }
                };
                wrong.clear();
                open.retain(|position| match request.prove(*position, &bytes, &mut prover) {
                    Ok(proven) => {
                        found.push((request.frames[*position].want, proven.plain.to_vec()));
                        false
                    }
                    Err(error) => {
                        wrong.push(Arc::new(error));
                        true
                    }
                });
                if open.is_empty() {
                    break;
                }
            }
            errors.extend(wrong);
        }
        errors.dedup_by(|one, other| Arc::ptr_eq(one, other));
        for error in errors {
            tracing::warn!(%error, "a source cannot provide a chunk");
        }
        found
    }
}

#[async_trait]
impl Source for RegistrySource {
    async fn document(
        &self,
        application: &ApplicationName,
        release: ReleaseDigest,
    ) -> Option<Release> {
        resolve::document(self.0.as_ref(), application, &Selector::Digest(release)).await.ok()
    }

    async fn descriptor(&self, descriptor: DescriptorDigest) -> Option<Bytes> {
        self.0.descriptor(descriptor).await.ok()
    }

    async fn index(&self, index: IndexDigest) -> Option<DiskIndex> {
        self.0.index(index).await.ok()
    }

    async fn leaf(&self, leaf: LeafDigest, span_len: u64) -> Option<Leaf> {
        self.0.leaf(leaf, span_len).await.ok()
    }

    async fn chunks(&self, chunks: Vec<ChunkRef>) -> Vec<(ChunkRef, Vec<u8>)> {
        self.read(chunks).await
    }
}

/// A directory with a pulled release as a source: its disks and their cached indexes. A disk
/// without a cached index is scanned again.
pub struct DirectorySource(Arc<Held>);

struct Held {
    /// The directory, whose lock is held.
    directory: Directory,
    release: Release,
    disks: Vec<Box<dyn DiskImage>>,
    indexes: HashMap<IndexDigest, DiskIndex>,
    /// Leaves of rescanned disks, which may be missing from the cache of indexes.
    leaves: HashMap<LeafDigest, Leaf>,
    chunks: HashMap<ChunkDigest, (usize, u64)>,
}

impl DirectorySource {
    /// Opens a directory. Disks without a cached index are read whole, on `threads` threads.
    ///
    /// # Errors
    /// Fails if the directory holds no pulled release.
    pub async fn open(root: &Path, threads: usize) -> Result<Self, RepairError> {
        let root = root.to_owned();
        let open = move || Held::open(&root, threads);
        let held = tokio::task::spawn_blocking(open).await.map_err(|_| RepairError::Defect)??;
        Ok(Self(Arc::new(held)))
    }
}

impl Held {
    fn open(root: &Path, threads: usize) -> Result<Self, RepairError> {
        let directory = Directory::open(root)?;
        let (lock, release) = Lockfile::of_folder(directory.folder())?;
        let mut held = Self {
            directory,
            release,
            disks: Vec::new(),
            indexes: HashMap::new(),
            leaves: HashMap::new(),
            chunks: HashMap::new(),
        };
        for disk in &lock.disks {
            let path = held.directory.folder().path_of(&disk.file);
            match held.directory.image(disk) {
                Ok(image) => held.add(image, disk.index, threads),
                Err(error) => {
                    tracing::warn!(%error, path = %path.display(), "a disk cannot be used as a \
                        source");
                }
            }
        }
        Ok(held)
    }

    fn add(&mut self, image: Box<dyn DiskImage>, index: IndexDigest, threads: usize) {
        let disk = self.disks.len();
        if let Some(layout) = self.directory.indexes().layout(index) {
            for (offset, extent) in layout.extents().flatten() {
                self.record(disk, offset, extent);
            }
            self.indexes.insert(index, layout.index().clone());
        } else {
            self.cut(&*image, disk, threads);
        }
        self.disks.push(image);
    }

    /// Scans a disk as a push does, so that unchanged content has the same digests.
    fn cut(&mut self, image: &dyn DiskImage, disk: usize, threads: usize) {
        let found = Mutex::new(Vec::new());
        let keep = |position: usize, scan: &LeafScan| -> Result<(), ScanError> {
            let leaf = (position, scan.leaf.clone());
            found.lock().unwrap_or_else(PoisonError::into_inner).push(leaf);
            Ok(())
        };
        match scan::scan_disk(image, threads, &keep, &|_| {}) {
            Ok(list) => drop(self.indexes.insert(list.digest(), list)),
            Err(error) => tracing::warn!(%error, "a disk can be used in part as a source"),
        }
        for (position, leaf) in found.into_inner().unwrap_or_else(PoisonError::into_inner) {
            let mut offset = position as u64 * LEAF_SPAN;
            for extent in leaf.extents() {
                self.record(disk, offset, *extent);
                offset += extent.disk_len();
            }
            self.leaves.insert(leaf.digest(), leaf);
        }
    }

    fn record(&mut self, disk: usize, offset: u64, extent: Extent) {
        if let Extent::Data(chunk) = extent {
            self.chunks.entry(chunk.digest).or_insert((disk, offset));
        }
    }

    fn read(&self, chunk: ChunkRef) -> Option<Vec<u8>> {
        let (disk, offset) = self.chunks.get(&chunk.digest)?;
        let mut plain = vec![0; usize::from(chunk.len)];
        self.disks.get(*disk)?.read_at(*offset, &mut plain).ok()?;
        Some(plain)
    }

    fn leaf(&self, digest: LeafDigest) -> Option<Leaf> {
        if let Some(leaf) = self.leaves.get(&digest) {
            return Some(leaf.clone());
        }
        self.indexes.iter().find_map(|(index, list)| {
            let position = list.leaves().iter().position(|leaf| leaf.digest == digest)?;
            self.directory.indexes().layout(*index)?.leaf(position)
        })
    }
}

#[async_trait]
impl Source for DirectorySource {
    async fn document(&self, _: &ApplicationName, release: ReleaseDigest) -> Option<Release> {
        (self.0.release.digest() == release).then(|| self.0.release.clone())
    }

    async fn descriptor(&self, _: DescriptorDigest) -> Option<Bytes> {
        // A pulled directory has descriptors for its hosts, but not the original ones.
        None
    }

    async fn index(&self, index: IndexDigest) -> Option<DiskIndex> {
        self.0.indexes.get(&index).cloned()
    }

    async fn leaf(&self, leaf: LeafDigest, _span_len: u64) -> Option<Leaf> {
        let held = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || held.leaf(leaf)).await.ok().flatten()
    }

    async fn chunks(&self, chunks: Vec<ChunkRef>) -> Vec<(ChunkRef, Vec<u8>)> {
        let held = Arc::clone(&self.0);
        let read = move || {
            let mut found = Vec::new();
            for chunk in chunks {
                found.extend(held.read(chunk).map(|plain| (chunk, plain)));
            }
            found
        };
        tokio::task::spawn_blocking(read).await.unwrap_or_default()
    }
}
