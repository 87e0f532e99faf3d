//! Checks of leaves and index lists: their hashes, and the places of the chunks they name.

use std::collections::HashMap;
use std::sync::Arc;

use seawall_api::digest::{IndexDigest, LeafDigest, PackDigest};
use seawall_api::index::{DiskIndex, Leaf};
use seawall_store::port::ObjectName;

use super::footers::Frames;
use super::{Check, Class, GONE, PAGE_COUNT};
use crate::app::AppError;
use crate::app::content::indexes::{index_row, leaf_row};
use crate::app::content::objects::{Found, read_pack};
use crate::catalog::collect::Grip;
use crate::catalog::{IndexRow, LeafAdded, Located};

/// Leaves per catalog query.
const LEAVES_ASKED: usize = 1024;

impl Check {
    /// Checks a leaf. Returns the number of bytes read.
    pub(super) async fn leaf(&mut self, digest: LeafDigest) -> Result<u64, AppError> {
        let name = ObjectName::Leaf(digest);
        let catalog = self.checker.catalog.clone();
        let is_needed = catalog.is_needed(name.clone()).await?;
        let (leaf, len) = match self.read(digest).await? {
            Found::Gone => return Ok(0),
            Found::Sound(found) => found,
            Found::Damaged(what) if is_needed => {
                catalog.mark_leaf_lost(digest).await?;
                self.damage(&name, what, vec![]).await?;
                return Ok(0);
            }
            Found::Damaged(what) => {
                catalog.delete_leaf_row(digest).await?;
                self.reclaimable(&name, 0, &what);
                return Ok(0);
            }
        };
        let row = leaf_row(digest, &leaf);
        match catalog.leaves(vec![digest], Grip::ANY).await?.first().copied().flatten() {
            None if !is_needed => {
                self.reclaimable(&name, len, "no index of a release refers to it");
                return Ok(len);
            }
            None => self.complete_leaf(digest, &leaf).await?,
            Some(_) if !is_needed => {
                self.reclaimable(&name, len, "no index of a release refers to it");
            }
            Some(known) => {
                if known != row {
                    catalog.delete_leaf_row(digest).await?;
                    catalog.add_leaf(row, leaf.chunks().collect(), self.grip()).await?;
                    let what = "it contradicted the leaf".to_owned();
                    self.find("catalog", format!("row of {}", name.path()), what, Class::Mended);
                }
                self.check_places(&leaf).await?;
                self.sound(&name).await?;
            }
        }
        Ok(len)
    }

    /// Adds the row of a leaf that is missing from the catalog, if the leaf is complete. Chunks in
    /// lost packs are reported with the pack.
    async fn complete_leaf(&mut self, digest: LeafDigest, leaf: &Leaf) -> Result<(), AppError> {
        let name = ObjectName::Leaf(digest);
        let catalog = self.checker.catalog.clone();
        let row = leaf_row(digest, leaf);
        let digests = match catalog.add_leaf(row, leaf.chunks().collect(), self.grip()).await? {
            LeafAdded::Present => return self.sound(&name).await,
            // A sweep removed the leaf, so the leaf was unreferenced when the sweep began.
            LeafAdded::Swept => return Ok(()),
            LeafAdded::Unfit(unfit) => unfit.iter().map(|chunk| chunk.digest).collect(),
        };
        if let Located::Missing(chunk) = catalog.locate_chunks(digests).await? {
            catalog.mark_leaf_lost(digest).await?;
            let what = format!("it needs chunk {chunk}, which no pack contains");
            self.damage(&name, what, vec![]).await?;
        }
        Ok(())
    }

    /// Compares the catalog's places of a leaf's chunks with the footers of the packs.
    async fn check_places(&mut self, leaf: &Leaf) -> Result<(), AppError> {
        let chunks: Vec<_> = leaf.chunks().collect();
        let digests = chunks.iter().map(|chunk| chunk.digest).collect();
        let located = self.checker.catalog.locate_chunks(digests).await?;
        let Located::All { packs, places } = located else { return Ok(()) };
        let mut frames = Vec::with_capacity(packs.len());
        for pack in &packs {
            frames.push(self.frames_of(*pack).await?);
        }
        for place in places {
            let Some(Some(known)) = frames.get(place.pack as usize) else { continue };
            if known.get(&place.frame.offset) != Some(&place.frame) {
                let pack = packs[place.pack as usize];
                let what = format!("it places the chunk in {pack}, which does not list it");
                let object = format!("row of chunk {}", place.frame.digest);
                self.catalog_damage(object, what).await;
            }
        }
        Ok(())
    }

    /// Returns the frames in a pack's footer. An unreadable footer is reported elsewhere.
    async fn frames_of(&mut self, pack: PackDigest) -> Result<Frames, AppError> {
        if let Some(frames) = self.footers.find(pack) {
            return Ok(frames);
        }
        let frames = match read_pack(&*self.checker.store, pack).await? {
            Found::Sound(pack) => {
                let frames = pack.frames.into_iter().map(|frame| (frame.offset, frame));
                Some(Arc::new(frames.collect::<HashMap<_, _>>()))
            }
            Found::Gone | Found::Damaged(_) => None,
        };
        self.footers.keep(pack, frames.clone());
        Ok(frames)
    }

    /// Checks that every leaf in the catalog has its object.
    pub(super) async fn leaf_rows(&mut self) -> Result<(), AppError> {
        let catalog = self.checker.catalog.clone();
        loop {
            let after = LeafDigest::from_hex(&self.cursor).ok();
            let page = catalog.known_leaves(after, PAGE_COUNT).await?;
            let Some(last) = page.last().map(|leaf| leaf.digest) else { return Ok(()) };
            for leaf in page {
                let name = ObjectName::Leaf(leaf.digest);
                if self.checker.store.len(&name).await?.is_some() {
                    continue;
                }
                let before = catalog.known_leaves(preceding(leaf.digest), 1).await?;
                if before.first().is_none_or(|still| still.digest != leaf.digest) {
                    continue;
                }
                self.lost_leaf(leaf.digest, GONE.to_owned()).await?;
            }
            self.done(last.to_hex(), 0).await?;
        }
    }

    /// Marks an unreadable leaf as lost if a release needs it, and deletes its row otherwise.
    async fn lost_leaf(&mut self, digest: LeafDigest, what: String) -> Result<(), AppError> {
        let name = ObjectName::Leaf(digest);
        let catalog = self.checker.catalog.clone();
        if catalog.is_needed(name.clone()).await? {
            catalog.mark_leaf_lost(digest).await?;
            return self.damage(&name, what, vec![]).await;
        }
        Ok(catalog.delete_leaf_row(digest).await?)
    }

    /// Checks an index's list. Returns the number of bytes read.
    pub(super) async fn index(&mut self, digest: IndexDigest) -> Result<u64, AppError> {
        let name = ObjectName::Index(digest);
        let catalog = self.checker.catalog.clone();
        let (list, len) = match self.read(digest).await? {
            Found::Gone => return Ok(0),
            Found::Sound(found) => found,
            Found::Damaged(what) => {
                if catalog.is_needed(name.clone()).await? {
                    self.damage(&name, what, vec![]).await?;
                } else {
                    self.reclaimable(&name, 0, &what);
                }
                return Ok(0);
            }
        };
        let Some(known) = catalog.index(digest, Grip::ANY).await? else {
            self.reclaimable(&name, len, "no release refers to it");
            return Ok(len);
        };
        if (known.disk_len, known.content) != (list.disk_len(), list.content()) {
            let what = "it contradicts the list".to_owned();
            self.catalog_damage(format!("row of {}", name.path()), what).await;
        }
        if !catalog.is_needed(name.clone()).await? {
            self.reclaimable(&name, len, "no release refers to it");
            return Ok(len);
        }
        self.complete_index(digest, &list).await?;
        self.sound(&name).await?;
        Ok(len)
    }

    /// Records the leaves of an index in the catalog. Leaves missing from the catalog, after a
    /// migration or a rebuild, are read and added, or reported as lost.
    pub(super) async fn complete_index(
        &mut self,
        digest: IndexDigest,
        list: &DiskIndex,
    ) -> Result<(), AppError> {
        let catalog = self.checker.catalog.clone();
        let names: Vec<_> = list.leaves().iter().map(|leaf| leaf.digest).collect();
        let mut lost = Vec::new();
        for batch in names.chunks(LEAVES_ASKED) {
            let rows = catalog.leaves(batch.to_vec(), Grip::ANY).await?;
            for (leaf, _) in batch.iter().zip(rows).filter(|(_, row)| row.is_none()) {
                match self.read(*leaf).await? {
                    // The leaf's missing chunks are reported in the leaves phase.
                    Found::Sound((found, _)) => {
                        let chunks = found.chunks().collect();
                        catalog.add_leaf(leaf_row(*leaf, &found), chunks, self.grip()).await?;
                    }
                    Found::Damaged(what) => lost.push((*leaf, what)),
                    Found::Gone => lost.push((*leaf, GONE.to_owned())),
                }
            }
        }
        catalog.record_leaves(digest, names).await?;
        for (leaf, what) in lost {
            self.lost_leaf(leaf, what).await?;
        }
        Ok(())
    }

    /// Returns the row of an index, or the first leaf that is not complete.
    pub(super) async fn row_of(
        &self,
        digest: IndexDigest,
        list: &DiskIndex,
    ) -> Result<Result<IndexRow, LeafDigest>, AppError> {
        let names: Vec<_> = list.leaves().iter().map(|leaf| leaf.digest).collect();
        let rows = self.checker.catalog.leaves(names, Grip::ANY).await?;
        Ok(index_row(digest, list, &rows).map_err(|position| list.leaves()[position].digest))
    }
}

/// Returns the digest immediately before a leaf's; `None` for the first digest.
fn preceding(leaf: LeafDigest) -> Option<LeafDigest> {
    let mut bytes = *leaf.as_bytes();
    for byte in bytes.iter_mut().rev() {
        let (less, borrows) = byte.overflowing_sub(1);
        *byte = less;
        if !borrows {
            return Some(LeafDigest::from_bytes(bytes));
        }
    }
    None
}
