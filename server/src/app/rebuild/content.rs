//! Packs, leaves and indexes, added to the catalog once found complete.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use seawall_api::digest::{IndexDigest, LeafDigest, PackDigest};
use seawall_api::index::{DiskIndex, Leaf};
use seawall_store::pack::{Footer, PACK_LEN_MAX, TRAILER_LEN};
use seawall_store::port::{ObjectKind, ObjectName, ObjectStore};

use super::{READS_AT_ONCE, Rebuild, progress, readable};
use crate::app::AppError;
use crate::app::indexes::{index_row, leaf_row};
use crate::app::packs::frame_of;
use crate::catalog::collect::Grip;
use crate::catalog::{IndexRow, LeafAdded, NewPack};

/// A value, or the description of its damage.
type Sound<T> = Result<T, String>;

/// Retries a failed read once, so that a transient read error is not reported as damage.
pub(in crate::app) async fn twice<T, R>(read: impl Fn() -> R) -> Result<Sound<T>, AppError>
where
    R: Future<Output = Result<Sound<T>, AppError>>,
{
    match read().await? {
        Ok(value) => Ok(Ok(value)),
        Err(_) => read().await,
    }
}

/// Reads the length and the footer of a pack, without reading the frames.
pub(in crate::app) async fn read_footer(
    store: Arc<dyn ObjectStore>,
    digest: PackDigest,
) -> Result<Sound<(u64, Footer)>, AppError> {
    const TRAILER: u64 = TRAILER_LEN as u64;
    let name = ObjectName::Pack(digest);
    let pack = match readable(&*store, store.open(&name).await).await? {
        Ok(pack) => pack,
        Err(what) => return Ok(Err(what)),
    };
    let len = pack.len();
    if len < TRAILER || len > PACK_LEN_MAX as u64 {
        return Ok(Err(format!("no pack has {len} bytes")));
    }
    let trailer = match readable(&*store, pack.read(len - TRAILER..len).await).await? {
        Ok(trailer) => trailer,
        Err(what) => return Ok(Err(what)),
    };
    let Some(trailer) = trailer.first_chunk() else { return Ok(Err("it is truncated".to_owned())) };
    let place = match Footer::place(len, trailer) {
        Ok(place) => place,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let start = place.start;
    let footer = match readable(&*store, pack.read(place).await).await? {
        Ok(footer) => Footer::of_tail(digest, &footer, start).map_err(|error| error.to_string()),
        Err(what) => Err(what),
    };
    Ok(footer.map(|footer| (len, footer)))
}

/// Reads the catalog's row of a pack from its footer.
pub(in crate::app) async fn read_pack(
    store: Arc<dyn ObjectStore>,
    digest: PackDigest,
) -> Result<Sound<NewPack>, AppError> {
    let read = read_footer(store, digest).await?;
    Ok(read.map(|(len, footer)| {
        let frames = footer.frames().iter().map(frame_of).collect();
        NewPack { digest, len, frames }
    }))
}

async fn read_leaf(
    store: Arc<dyn ObjectStore>,
    digest: LeafDigest,
) -> Result<Sound<Leaf>, AppError> {
    let bytes = readable(&*store, store.get(&ObjectName::Leaf(digest)).await).await?;
    Ok(bytes.and_then(|bytes| match LeafDigest::of(&bytes) == digest {
        true => Leaf::decode_any(&bytes).map_err(|error| error.to_string()),
        false => Err("its bytes do not match its name".to_owned()),
    }))
}

async fn read_index(
    store: Arc<dyn ObjectStore>,
    digest: IndexDigest,
) -> Result<Sound<DiskIndex>, AppError> {
    let bytes = readable(&*store, store.get(&ObjectName::Index(digest)).await).await?;
    Ok(bytes.and_then(|bytes| match IndexDigest::of(&bytes) == digest {
        true => DiskIndex::decode(&bytes).map_err(|error| error.to_string()),
        false => Err("its bytes do not match its name".to_owned()),
    }))
}

fn leaves_of(index: &DiskIndex) -> Vec<LeafDigest> {
    index.leaves().iter().map(|leaf| leaf.digest).collect()
}

impl Rebuild<'_> {
    pub(super) async fn packs(&mut self) -> Result<(), AppError> {
        let names = self.list(ObjectKind::Pack).await?;
        let store = Arc::clone(&self.store);
        let reads = names.into_iter().filter_map(|name| match name {
            ObjectName::Pack(digest) => Some(digest),
            _ => None,
        });
        let reads = reads.map(|digest| {
            let store = &store;
            let read = twice(move || read_pack(Arc::clone(store), digest));
            async move { Ok::<_, AppError>((digest, read.await?)) }
        });
        let mut packs = stream::iter(reads).buffered(READS_AT_ONCE);
        while let Some((digest, pack)) = packs.try_next().await? {
            match pack {
                Ok(pack) => {
                    self.catalog.add_pack(pack, Grip::ANY).await?;
                    self.found.packs += 1;
                    progress(ObjectKind::Pack, self.found.packs);
                }
                Err(what) => self.found.damaged(ObjectName::Pack(digest).path(), what),
            }
        }
        Ok(())
    }

    pub(super) async fn leaves(&mut self) -> Result<(), AppError> {
        let names = self.list(ObjectKind::Leaf).await?;
        let store = Arc::clone(&self.store);
        let reads = names.into_iter().filter_map(|name| match name {
            ObjectName::Leaf(digest) => Some(digest),
            _ => None,
        });
        let reads = reads.map(|digest| {
            let store = &store;
            let read = twice(move || read_leaf(Arc::clone(store), digest));
            async move { Ok::<_, AppError>((digest, read.await?)) }
        });
        let mut leaves = stream::iter(reads).buffered(READS_AT_ONCE);
        while let Some((digest, leaf)) = leaves.try_next().await? {
            match self.add_leaf(digest, leaf).await? {
                Ok(()) => {
                    self.found.leaves += 1;
                    progress(ObjectKind::Leaf, self.found.leaves);
                }
                Err(what) => self.found.damaged(ObjectName::Leaf(digest).path(), what),
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
            let index = twice(|| read_index(Arc::clone(&self.store), digest)).await?;
            let leaves = index.as_ref().map(leaves_of).unwrap_or_default();
            match self.complete_index(digest, index).await? {
                Ok(row) => {
                    self.catalog.add_index(row, Grip::ANY).await?;
                    self.catalog.note_leaves(digest, leaves).await?;
                    self.found.indexes += 1;
                    progress(ObjectKind::Index, self.found.indexes);
                }
                Err(what) => self.found.damaged(ObjectName::Index(digest).path(), what),
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
