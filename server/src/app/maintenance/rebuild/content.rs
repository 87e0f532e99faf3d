//! Packs, leaves and indexes, added to the catalog once found complete.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use seawall_api::digest::{IndexDigest, LeafDigest};
use seawall_api::index::{DiskIndex, Leaf};
use seawall_store::port::{ObjectKind, ObjectName};

use super::{READS_AT_ONCE, Rebuild, progress};
use crate::app::AppError;
use crate::app::content::indexes::{index_row, leaf_row};
use crate::app::content::objects::{self, read_pack, retry_once};
use crate::catalog::collect::Grip;
use crate::catalog::{IndexRow, LeafAdded};

/// A value, or the description of its damage.
type Sound<T> = Result<T, String>;

fn leaves_of(index: &DiskIndex) -> Vec<LeafDigest> {
    index.leaves().iter().map(|leaf| leaf.digest).collect()
}

impl Rebuild<'_> {
    pub(super) async fn packs(&mut self) -> Result<(), AppError> {
        let names = self.list(ObjectKind::Pack).await?;
        let store = Arc::clone(&self.store);
        let store = &*store;
        let reads = names.into_iter().filter_map(|name| match name {
            ObjectName::Pack(digest) => Some(digest),
            _ => None,
        });
        let reads = reads.map(|digest| {
            let read = retry_once(move || read_pack(store, digest));
            async move { Ok::<_, AppError>((digest, read.await?)) }
        });
        let mut packs = stream::iter(reads).buffered(READS_AT_ONCE);
        while let Some((digest, pack)) = packs.try_next().await? {
            let name = ObjectName::Pack(digest);
            match pack.sound(&name) {
                Ok(pack) => {
                    self.catalog.add_pack(pack, Grip::ANY).await?;
                    self.found.packs += 1;
                    progress(ObjectKind::Pack, self.found.packs);
                }
                Err(what) => self.found.damaged(name.path(), what),
            }
        }
        Ok(())
    }

    pub(super) async fn leaves(&mut self) -> Result<(), AppError> {
        let names = self.list(ObjectKind::Leaf).await?;
        let store = Arc::clone(&self.store);
        let store = &*store;
        let reads = names.into_iter().filter_map(|name| match name {
            ObjectName::Leaf(digest) => Some(digest),
            _ => None,
        });
        let reads = reads.map(|digest| {
            let read = objects::read(store, digest);
            async move { Ok::<_, AppError>((digest, read.await?)) }
        });
        let mut leaves = stream::iter(reads).buffered(READS_AT_ONCE);
        while let Some((digest, leaf)) = leaves.try_next().await? {
            let name = ObjectName::Leaf(digest);
            match self.add_leaf(digest, leaf.sound(&name)).await? {
                Ok(()) => {
                    self.found.leaves += 1;
                    progress(ObjectKind::Leaf, self.found.leaves);
                }
                Err(what) => self.found.damaged(name.path(), what),
            }
        }
        Ok(())
    }

    async fn add_leaf(&self, digest: LeafDigest, leaf: Sound<Leaf>) -> Result<Sound<()>, AppError> {
        let leaf = match leaf {
            Ok(leaf) => leaf,
            Err(what) => return Ok(Err(what)),
        };
        let (row, chunks) = (leaf_row(digest, &leaf), leaf.chunks().collect());
        Ok(match self.catalog.add_leaf(row, chunks, Grip::ANY).await? {
            LeafAdded::Unfit(chunks) => Err(match chunks.first() {
                Some(chunk) => {
                    format!("it needs chunk {}, which no sound pack contains", chunk.digest)
                }
                None => "it needs a chunk that no sound pack contains".to_owned(),
            }),
            LeafAdded::Present | LeafAdded::Swept => Ok(()),
        })
    }

    pub(super) async fn indexes(&mut self) -> Result<(), AppError> {
        for name in self.list(ObjectKind::Index).await? {
            let ObjectName::Index(digest) = name else { continue };
            let index = objects::read(&*self.store, digest).await?.sound(&name);
            let leaves = index.as_ref().map(leaves_of).unwrap_or_default();
            match self.complete_index(digest, index).await? {
                Ok(row) => {
                    self.catalog.add_index(row, Grip::ANY).await?;
                    self.catalog.record_leaves(digest, leaves).await?;
                    self.found.indexes += 1;
                    progress(ObjectKind::Index, self.found.indexes);
                }
                Err(what) => self.found.damaged(name.path(), what),
            }
        }
        Ok(())
    }

    async fn complete_index(
        &self,
        digest: IndexDigest,
        index: Sound<DiskIndex>,
    ) -> Result<Sound<IndexRow>, AppError> {
        let index = match index {
            Ok(index) => index,
            Err(what) => return Ok(Err(what)),
        };
        let names = index.leaves().iter().map(|leaf| leaf.digest).collect();
        let rows = self.catalog.leaves(names, Grip::ANY).await?;
        Ok(index_row(digest, &index, &rows).map_err(|position| {
            let leaf = ObjectName::Leaf(index.leaves()[position].digest).path();
            format!("it needs {leaf}, which is incomplete")
        }))
    }
}
