use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use seawall_api::digest::{ChunkDigest, PackDigest};
use seawall_store::read::{self, Source, SourceError};
use seawall_store::testing::MemoryPacks;

use super::*;
use crate::error::Failure;
use crate::progress::Silent;
use crate::testing::{MemoryDisk, noise};

const LEN: usize = 64 << 10;
const COUNT: u8 = 40;

/// A source whose pack is collected between the question for places and the first read.
struct Collecting {
    packs: MemoryPacks,
    is_collected: AtomicBool,
    /// Whether the chunks live on in another pack.
    is_moved: bool,
}

#[async_trait]
impl Source for Collecting {
    async fn locate(&self, chunks: &[ChunkDigest]) -> Result<Vec<read::Place>, SourceError> {
        self.packs.locate(chunks).await
    }

    async fn range(
        &self,
        pack: PackDigest,
        range: Range<u64>,
        freshness: Freshness,
    ) -> Result<Bytes, SourceError> {
        if !self.is_collected.swap(true, Ordering::Relaxed) {
            if self.is_moved {
                self.packs.pack((0..COUNT).rev().map(|seed| noise(seed, LEN)));
            }
            self.packs.remove(pack);
        }
        self.packs.range(pack, range, freshness).await
    }
}

/// Fetches a disk whose pack is collected meanwhile. Returns the outcome, and the disk.
async fn fetch(is_moved: bool) -> (Result<FetchStats, FetchError>, Vec<u8>) {
    let packs = MemoryPacks::default();
    let chunks = packs.pack((0..COUNT).map(|seed| noise(seed, LEN)));
    let source = Collecting { packs, is_collected: AtomicBool::new(false), is_moved };
    let fetch =
        Fetch { reader: Arc::new(Reader::new(Arc::new(source), 2)), progress: Arc::new(Silent) };
    let wanted = chunks.iter().enumerate().map(|(at, chunk)| {
        let places = vec![Place { disk: 0, offset: (at * LEN) as u64 }];
        Want { chunk: *chunk, places }
    });
    let group = Group { seeded: Vec::new(), wanted: wanted.collect() };
    let disk = MemoryDisk::new(vec![0; usize::from(COUNT) * LEN]);
    let fetched = fetch.run(stream::iter([Ok(group)]), Arc::clone(&disk) as _).await;
    (fetched.map(|(stats, _)| stats), disk.bytes())
}

#[tokio::test]
async fn chunks_that_a_collection_moved_are_fetched_from_where_they_are_now() {
    let (fetched, disk) = fetch(true).await;
    fetched.unwrap();
    assert!((0..COUNT).flat_map(|seed| noise(seed, LEN)).eq(disk));
}

#[tokio::test]
async fn chunks_that_a_collection_removed_are_missing() {
    let (fetched, _) = fetch(false).await;
    let error = fetched.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("chunk "), "{error}");
}
