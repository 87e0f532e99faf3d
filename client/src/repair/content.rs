//! Restores the content of a release: descriptors, indexes, leaves and chunks that the registry
//! lacks.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use seawall_api::digest::{ChunkDigest, DescriptorDigest, IndexDigest};
use seawall_api::index::{ChunkRef, DiskIndex, Leaf, leaf_range};
use seawall_api::release::Release;
use seawall_api::v1::Lease;
use seawall_store::pack::PackWriter;

use super::report::RepairReport;
use super::{RegistrySource, Repair, RepairError, Source, permanent};

/// The number of plain bytes requested from a source at once.
const BATCH_LEN: u64 = 16 << 20;

/// The maximum number of leaves held in memory until their pack is sent, at most 4 MiB each.
const LEAVES_HELD_MAX: usize = 16;
/// The maximum number of missing objects reported by name. The others are only counted.
const MISSING_NAMED_MAX: usize = 1000;

/// The objects missing in every source.
#[derive(Default)]
pub(super) struct Missing {
    /// The first missing objects, by name.
    pub(super) named: Vec<String>,
    /// The number of missing objects beyond the named ones.
    pub(super) left_out: u64,
}

impl Missing {
    pub(super) fn add(&mut self, what: String) {
        if self.named.len() < MISSING_NAMED_MAX {
            self.named.push(what);
        } else {
            self.left_out += 1;
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.named.len() as u64 + self.left_out
    }
}

/// A repair of the content of one release.
pub(super) struct Content<'a> {
    repair: &'a Repair,
    lease: &'a Lease,
    report: &'a mut RepairReport,
    pack: PackWriter,
    /// Leaves waiting for the open pack, which may hold their last chunks.
    leaves: Vec<Leaf>,
    missing: Missing,
}

impl<'a> Content<'a> {
    pub(super) fn new(repair: &'a Repair, lease: &'a Lease, report: &'a mut RepairReport) -> Self {
        let (leaves, missing) = (Vec::new(), Missing::default());
        Self { repair, lease, report, pack: PackWriter::default(), leaves, missing }
    }

    /// Restores the unreadable original descriptors.
    pub(super) async fn descriptors(&mut self, release: &Release) -> Result<(), RepairError> {
        let named = release.machines().iter().filter_map(|m| m.descriptor.as_ref());
        let named: BTreeSet<_> = named.map(|descriptor| descriptor.digest).collect();
        for digest in named {
            match self.repair.registry.descriptor(digest).await {
                Ok(_) => continue,
                Err(error) => drop(permanent(error)?),
            }
            let mut found = None;
            for source in &self.repair.sources {
                found = source.descriptor(digest).await;
                found = found.filter(|bytes| DescriptorDigest::of(bytes) == digest);
                if found.is_some() {
                    break;
                }
            }
            match found {
                Some(bytes) => {
                    self.repair.registry.put_descriptor(self.lease, bytes).await?;
                    self.report.descriptors += 1;
                }
                None => self.missing.add(format!("descriptor {digest}")),
            }
        }
        Ok(())
    }

    /// Restores the missing leaves of a disk's index, then the index itself.
    pub(super) async fn index(&mut self, digest: IndexDigest) -> Result<(), RepairError> {
        let Some(list) = self.list(digest).await? else {
            self.missing.add(format!("index {digest}"));
            return Ok(());
        };
        let registry = Arc::clone(&self.repair.registry);
        let mut seen = HashSet::new();
        let positions: Vec<_> = (0..list.leaves().len())
            .filter(|&position| seen.insert(list.leaves()[position].digest))
            .collect();
        let names: Vec<_> = positions.iter().map(|&at| list.leaves()[at].digest).collect();
        let missing = registry.missing_leaves(self.lease, &names).await?;
        let before = self.missing.count();
        for (position, _) in positions.into_iter().zip(missing).filter(|(_, missing)| *missing) {
            self.leaf(&list, position).await?;
        }
        self.ship().await?;
        if self.missing.count() == before {
            // Idempotent if the index is there. A lost or incomplete index is now restored.
            registry.put_index(self.lease, &list).await?;
        }
        Ok(())
    }

    /// Returns an index from the registry itself or from a source.
    async fn list(&self, digest: IndexDigest) -> Result<Option<DiskIndex>, RepairError> {
        match self.repair.registry.index(digest).await {
            Ok(list) => return Ok(Some(list)),
            Err(error) => drop(permanent(error)?),
        }
        for source in &self.repair.sources {
            let found = source.index(digest).await;
            if let Some(list) = found.filter(|list| list.digest() == digest) {
                return Ok(Some(list));
            }
        }
        Ok(None)
    }

    /// Restores a leaf: its missing chunks, then the leaf itself.
    async fn leaf(&mut self, list: &DiskIndex, position: usize) -> Result<(), RepairError> {
        let digest = list.leaves()[position].digest;
        let span = leaf_range(list.disk_len(), position);
        let span_len = span.end - span.start;
        let mut leaf = match self.repair.registry.leaf(digest, span_len).await {
            Ok(leaf) => Some(leaf),
            Err(error) => {
                drop(permanent(error)?);
                None
            }
        };
        for source in &self.repair.sources {
            if leaf.is_none() {
                leaf = source.leaf(digest, span_len).await;
                leaf = leaf.filter(|leaf| leaf.digest() == digest && leaf.span_len() == span_len);
            }
        }
        let Some(leaf) = leaf else {
            self.missing.add(format!("leaf {digest}"));
            return Ok(());
        };
        let mut seen = HashSet::new();
        let chunks: Vec<_> = leaf.chunks().filter(|chunk| seen.insert(chunk.digest)).collect();
        let digests: Vec<_> = chunks.iter().map(|chunk| chunk.digest).collect();
        let missing = self.repair.registry.missing_chunks(self.lease, &digests).await?;
        let wanted = chunks.into_iter().zip(missing).filter(|(_, missing)| *missing);
        let wanted: Vec<_> = wanted.map(|(chunk, _)| chunk).collect();
        if self.chunks(wanted).await? {
            self.leaves.push(leaf);
            self.report.leaves += 1;
            if self.leaves.len() >= LEAVES_HELD_MAX {
                self.ship().await?;
            }
        }
        Ok(())
    }

    /// Packs chunks from the sources. Returns whether all of them were found.
    ///
    /// The registry counts a damaged pack as missing entirely, although most of its chunks are
    /// intact. The damaged registry is therefore the last source.
    async fn chunks(&mut self, wanted: Vec<ChunkRef>) -> Result<bool, RepairError> {
        let mut is_whole = true;
        let own: Arc<dyn Source> = Arc::new(RegistrySource(self.repair.registry.clone()));
        for batch in batches(wanted) {
            let mut left: HashMap<ChunkDigest, ChunkRef> =
                batch.into_iter().map(|chunk| (chunk.digest, chunk)).collect();
            for source in self.repair.sources.iter().chain([&own]) {
                if left.is_empty() {
                    break;
                }
                let found = source.chunks(left.values().copied().collect()).await;
                for (chunk, plain) in found {
                    let is_it = usize::from(chunk.len) == plain.len()
                        && ChunkDigest::of(&plain) == chunk.digest;
                    if !is_it || left.remove(&chunk.digest).is_none() {
                        continue;
                    }
                    self.pack.push(chunk.digest, chunk.len, &plain);
                    self.report.chunks += 1;
                    self.report.bytes += plain.len() as u64;
                    self.repair.progress.advance(plain.len() as u64);
                    if self.pack.is_full() {
                        self.send_pack().await?;
                    }
                }
            }
            for chunk in left.keys() {
                self.missing.add(format!("chunk {chunk}"));
                is_whole = false;
            }
        }
        Ok(is_whole)
    }

    async fn send_pack(&mut self) -> Result<(), RepairError> {
        if !self.pack.is_empty() {
            let pack = self.pack.finish(None);
            let len = pack.bytes.len() as u64;
            self.repair.registry.put_pack(self.lease, pack.digest, pack.bytes).await?;
            self.repair.progress.transferred(len);
            self.report.packs += 1;
        }
        Ok(())
    }

    /// Sends the open pack, then the waiting leaves.
    async fn ship(&mut self) -> Result<(), RepairError> {
        self.send_pack().await?;
        for leaf in std::mem::take(&mut self.leaves) {
            self.repair.registry.put_leaf(self.lease, &leaf).await?;
        }
        Ok(())
    }

    /// Sends the rest and returns the objects missing in every source.
    pub(super) async fn finish(mut self) -> Result<Missing, RepairError> {
        self.ship().await?;
        Ok(self.missing)
    }
}

fn batches(chunks: Vec<ChunkRef>) -> Vec<Vec<ChunkRef>> {
    let mut batches: Vec<Vec<ChunkRef>> = Vec::new();
    let mut room = 0;
    for chunk in chunks {
        if room == 0 {
            batches.push(Vec::new());
            room = BATCH_LEN;
        }
        room = room.saturating_sub(chunk.len.into());
        if let Some(batch) = batches.last_mut() {
            batch.push(chunk);
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_objects_are_named_up_to_a_limit_and_counted_beyond() {
        let mut missing = Missing::default();
        for n in 0..MISSING_NAMED_MAX as u64 + 5 {
            assert_eq!(missing.count(), n);
            missing.add(format!("chunk {n}"));
        }
        assert_eq!((missing.named.len(), missing.left_out), (MISSING_NAMED_MAX, 5));
    }
}
