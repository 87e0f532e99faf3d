//! A source of chunks in memory, which counts and can falsify its answers.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use seawall_api::digest::{ChunkDigest, PackDigest};
use seawall_api::index::ChunkRef;
use seawall_api::units::ChunkLen;

use crate::error::ErrorKind;
use crate::pack::{Footer, PackWriter};
use crate::read::{Freshness, Place, Source, SourceError};

/// Packs in memory as a [`Source`]. Records its calls.
#[derive(Default)]
pub struct MemoryPacks {
    packs: Mutex<HashMap<PackDigest, Bytes>>,
    places: Mutex<HashMap<ChunkDigest, Place>>,
    /// Packs in a cache before the source, whatever their state at rest.
    stale: Mutex<HashMap<PackDigest, Bytes>>,
    calls: Mutex<Calls>,
}

/// The calls of a [`MemoryPacks`] source.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Calls {
    /// The number of chunks in each question.
    pub questions: Vec<usize>,
    /// The ranges read.
    pub ranges: Vec<(PackDigest, Range<u64>)>,
}

/// The error of a question about a chunk that is in no pack.
#[derive(Debug, thiserror::Error)]
#[error("{0} is not in the source")]
pub struct NotHere(String);

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MemoryPacks {
    /// Stores chunks in one pack, in order. Returns references to them.
    ///
    /// # Panics
    /// If a chunk has an illegal length.
    pub fn pack<B: AsRef<[u8]>>(&self, chunks: impl IntoIterator<Item = B>) -> Vec<ChunkRef> {
        let mut writer = PackWriter::default();
        let chunks: Vec<_> = chunks
            .into_iter()
            .map(|plain| {
                let (plain, len) = (plain.as_ref(), plain.as_ref().len() as u64);
                let len = ChunkLen::new(len).expect("a chunk of legal length");
                let chunk = ChunkRef { digest: ChunkDigest::of(plain), len };
                writer.push(chunk.digest, len, plain);
                chunk
            })
            .collect();
        let bytes = writer.finish(None).bytes;
        let (pack, footer) = Footer::of_pack(&bytes).expect("the pack just written");
        lock(&self.places).extend(footer.frames().iter().map(|frame| {
            let (offset, stored_len) = (frame.offset, frame.stored_len);
            let (plain_len, encoding) = (frame.plain_len.get(), frame.encoding.number());
            (frame.digest, Place { pack, offset, stored_len, plain_len, encoding })
        }));
        lock(&self.packs).insert(pack, bytes);
        chunks
    }

    /// Returns the calls since the last call of this function.
    pub fn calls(&self) -> Calls {
        std::mem::take(&mut *lock(&self.calls))
    }

    /// Changes the place of a chunk, as a lying source does.
    pub fn misplace(&self, chunk: ChunkDigest, change: impl FnOnce(&mut Place)) {
        lock(&self.places).entry(chunk).and_modify(change);
    }

    /// Removes a chunk.
    pub fn lose(&self, chunk: ChunkDigest) {
        lock(&self.places).remove(&chunk);
    }

    /// Removes a pack, as a collection does. Its chunks are left where later packs have them.
    pub fn remove(&self, pack: PackDigest) {
        lock(&self.packs).remove(&pack);
        lock(&self.places).retain(|_, place| place.pack != pack);
    }

    /// Keeps the present bytes of a chunk's pack in a cache, which answers reads from now on.
    ///
    /// # Panics
    /// If there is no such chunk.
    pub fn cache(&self, chunk: ChunkDigest) {
        let pack = lock(&self.places)[&chunk].pack;
        lock(&self.stale).insert(pack, lock(&self.packs)[&pack].clone());
    }

    /// Changes the bytes of a chunk's pack, given the range of the chunk's frame.
    ///
    /// # Panics
    /// If there is no such chunk.
    pub fn damage(&self, chunk: ChunkDigest, change: impl FnOnce(&mut Vec<u8>, Range<usize>)) {
        let place = lock(&self.places)[&chunk];
        let start = usize::try_from(place.offset).expect("an offset in memory");
        let mut packs = lock(&self.packs);
        let mut bytes = packs[&place.pack].to_vec();
        change(&mut bytes, start..start + place.stored_len as usize);
        packs.insert(place.pack, bytes.into());
    }
}

#[async_trait]
impl Source for MemoryPacks {
    async fn locate(&self, chunks: &[ChunkDigest]) -> Result<Vec<Place>, SourceError> {
        lock(&self.calls).questions.push(chunks.len());
        let places = lock(&self.places);
        let missing =
            |chunk| SourceError::new(ErrorKind::NotFound, NotHere(format!("chunk {chunk}")));
        chunks
            .iter()
            .map(|chunk| places.get(chunk).copied().ok_or_else(|| missing(chunk)))
            .collect()
    }

    async fn range(
        &self,
        pack: PackDigest,
        range: Range<u64>,
        freshness: Freshness,
    ) -> Result<Bytes, SourceError> {
        lock(&self.calls).ranges.push((pack, range.clone()));
        // Gives other readers the chance to ask for the same meanwhile.
        tokio::task::yield_now().await;
        let kept = lock(&self.stale).get(&pack).filter(|_| freshness == Freshness::Any).cloned();
        let at_rest = || lock(&self.packs).get(&pack).cloned();
        let bytes = kept.or_else(at_rest).ok_or_else(|| {
            SourceError::new(ErrorKind::NotFound, NotHere(format!("pack {pack}")))
        })?;
        let end = usize::try_from(range.end).unwrap_or(usize::MAX).min(bytes.len());
        let start = usize::try_from(range.start).unwrap_or(usize::MAX).min(end);
        Ok(bytes.slice(start..end))
    }
}
