use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use seawall_api::index::{Extent, Leaf};
use seawall_api::units::ChunkLen;

use super::ranges::{GAP_LEN_MAX, RANGE_LEN_MAX, coalesce};
use super::*;
use crate::error::ErrorKind;
use crate::image::DiskImage;
use crate::testing::MemoryPacks;

const LEN: usize = 64 << 10;
const HOLE_LEN: usize = 1 << 20;

/// Returns the bytes of a chunk that does not compress.
fn noise(seed: usize) -> Vec<u8> {
    let mut bytes = vec![0; LEN];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// A source with one pack of chunks in disk order, and a reader over it.
struct Bench {
    packs: Arc<MemoryPacks>,
    chunks: Vec<ChunkRef>,
    reader: Arc<Reader>,
}

impl Bench {
    fn of(count: usize) -> Self {
        let packs = Arc::new(MemoryPacks::default());
        let chunks = packs.pack((0..count).map(noise));
        let reader = Arc::new(Reader::new(packs.clone(), 2));
        Self { packs, chunks, reader }
    }

    /// Returns a disk of all chunks, with a hole in the middle.
    fn disk(&self) -> Arc<StoredDisk> {
        let middle = self.chunks.len() / 2;
        let mut extents: Vec<_> = self.chunks.iter().copied().map(Extent::Data).collect();
        extents.insert(middle, Extent::Hole(HOLE_LEN.try_into().unwrap()));
        let len = (self.chunks.len() * LEN + HOLE_LEN) as u64;
        let leaf = Leaf::new(extents, len).unwrap();
        let middle = (middle * LEN) as u64;
        let runs = vec![0..middle, middle + HOLE_LEN as u64..len];
        let leaves = Box::new(move |_| Some(leaf.clone()));
        let name = PathBuf::from("web/root");
        Arc::new(StoredDisk::new(name, len, runs, leaves, Arc::clone(&self.reader)))
    }

    /// Returns the bytes of [`Self::disk`].
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = (0..self.chunks.len()).flat_map(noise).collect::<Vec<_>>();
        let middle = self.chunks.len() / 2 * LEN;
        bytes.splice(middle..middle, vec![0; HOLE_LEN]);
        bytes
    }

    async fn one(&self, position: usize, urgency: Urgency) -> Result<Bytes, Arc<ReadError>> {
        let pending = self.reader.want([self.chunks[position]], urgency).remove(0);
        pending.bytes().await
    }

    /// Reads a chunk that cannot be read, and returns the error.
    async fn error(&self, position: usize) -> Arc<ReadError> {
        self.one(position, Urgency::Now).await.unwrap_err()
    }
}

async fn read(disk: &Arc<StoredDisk>, offset: usize, len: usize) -> Vec<u8> {
    let disk = Arc::clone(disk);
    let read = move || {
        let mut buf = vec![1; len];
        disk.read_at(offset as u64, &mut buf).map(|()| buf)
    };
    tokio::task::spawn_blocking(read).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_4_kib_read_fetches_the_chunk_that_holds_it() {
    let bench = Bench::of(64);
    let disk = bench.disk();
    let at = 5 * LEN + 8192;
    assert_eq!(read(&disk, at, 4096).await, noise(5)[8192..8192 + 4096]);
    let calls = bench.packs.calls();
    assert_eq!(calls.questions, [1]);
    let lens: Vec<_> = calls.ranges.iter().map(|(_, range)| range.end - range.start).collect();
    assert_eq!(lens, [LEN as u64], "the chunk, and nothing around it");
    assert_eq!(read(&disk, at + 4096, 4096).await, noise(5)[8192 + 4096..8192 + 8192]);
    let ranges = bench.packs.calls().ranges;
    assert!(ranges.len() <= 1, "{ranges:?}: the rest of the chunk is in memory");
}

#[tokio::test]
async fn a_read_across_a_boundary_fetches_both_chunks_with_one_range() {
    let bench = Bench::of(64);
    let bytes = read(&bench.disk(), 3 * LEN - 100, 200).await;
    assert_eq!(bytes, [&noise(2)[LEN - 100..], &noise(3)[..100]].concat());
    let calls = bench.packs.calls();
    assert_eq!((calls.questions, calls.ranges.len()), (vec![2], 1));
}

#[tokio::test]
async fn a_hole_is_read_without_a_call() {
    let bench = Bench::of(8);
    assert_eq!(read(&bench.disk(), 4 * LEN, HOLE_LEN).await, vec![0; HOLE_LEN]);
    assert_eq!(bench.packs.calls(), Default::default());
}

#[tokio::test]
async fn scattered_reads_fetch_only_their_chunks() {
    let bench = Bench::of(64);
    let disk = bench.disk();
    for position in [20, 3, 29, 11] {
        assert_eq!(read(&disk, position * LEN, 4096).await, noise(position)[..4096]);
    }
    assert_eq!(bench.packs.calls().questions, [1; 4]);
}

#[tokio::test]
async fn sequential_reads_fetch_every_chunk_once_and_ahead() {
    let bench = Bench::of(240);
    let (disk, bytes) = (bench.disk(), bench.bytes());
    for at in (0..bytes.len()).step_by(LEN) {
        let len = LEN.min(bytes.len() - at);
        assert!(read(&disk, at, len).await == bytes[at..at + len], "at {at}");
    }
    let calls = bench.packs.calls();
    assert_eq!(calls.questions.iter().sum::<usize>(), 240, "once each");
    assert!(calls.questions.len() < 20, "{:?}: by ever more", calls.questions);
    assert!(calls.ranges.len() < 32, "{:?}", calls.ranges);
}

#[tokio::test]
async fn any_read_returns_the_bytes_of_the_disk() {
    let bench = Bench::of(16);
    let (disk, bytes) = (bench.disk(), bench.bytes());
    let edges = [0, 1, LEN - 1, LEN, 8 * LEN - 7, 8 * LEN, 8 * LEN + HOLE_LEN - 1];
    for start in edges {
        for end in edges.into_iter().chain([9 * LEN + HOLE_LEN, bytes.len()]) {
            if start <= end {
                assert!(
                    read(&disk, start, end - start).await == bytes[start..end],
                    "{start} {end}"
                );
            }
        }
    }
    let outside = disk.read_at(bytes.len() as u64, &mut [0]).unwrap_err();
    assert!(matches!(outside, crate::image::ImageError::OutOfRange { .. }), "{outside}");
}

#[tokio::test]
async fn the_same_chunk_asked_twice_at_once_is_fetched_once() {
    let bench = Bench::of(4);
    let (ahead, now) = (bench.one(2, Urgency::Ahead), bench.one(2, Urgency::Now));
    let (ahead, now) = tokio::join!(ahead, now);
    assert_eq!(ahead.unwrap(), noise(2));
    assert_eq!(now.unwrap(), noise(2));
    bench.one(2, Urgency::Now).await.unwrap();
    let calls = bench.packs.calls();
    assert_eq!((calls.questions, calls.ranges.len()), (vec![1], 1));
}

#[tokio::test]
async fn a_caller_that_waits_is_not_behind_what_is_read_ahead() {
    let stuck = Arc::new(Stuck::default());
    let reader = Arc::new(Reader::new(stuck.clone(), 1));
    let chunk = |seed| ChunkRef {
        digest: ChunkDigest::of(&noise(seed)),
        len: ChunkLen::new(LEN as u64).unwrap(),
    };
    let ahead = reader.want((0..64).map(chunk), Urgency::Ahead);
    while stuck.begun.load(Ordering::SeqCst) < 6 {
        tokio::task::yield_now().await;
    }
    let now = reader.want([chunk(64)], Urgency::Now).remove(0);
    assert!(now.bytes().await.is_err(), "answered, though every other connection hangs");
    drop(ahead);
}

/// A source that hangs, except for requests about one chunk.
#[derive(Default)]
struct Stuck {
    begun: AtomicUsize,
}

#[async_trait]
impl Source for Stuck {
    async fn locate(&self, chunks: &[ChunkDigest]) -> Result<Vec<Place>, SourceError> {
        let is_last = |chunk: &ChunkDigest| *chunk == ChunkDigest::of(&noise(64));
        let place = |(at, chunk)| Place {
            pack: PackDigest::of(if is_last(chunk) { b"last" } else { b"hang" }),
            offset: at as u64 * RANGE_LEN_MAX,
            stored_len: LEN.try_into().unwrap(),
            plain_len: LEN.try_into().unwrap(),
            encoding: 0,
        };
        Ok(chunks.iter().enumerate().map(place).collect())
    }

    async fn range(
        &self,
        pack: PackDigest,
        _: Range<u64>,
        _: Freshness,
    ) -> Result<Bytes, SourceError> {
        if pack == PackDigest::of(b"last") {
            return Ok(Bytes::new());
        }
        self.begun.fetch_add(1, Ordering::SeqCst);
        std::future::pending().await
    }
}

/// Local copies: the right bytes of chunk 0, and wrong bytes of every other chunk.
struct Copies(ChunkRef);

impl Nearby for Copies {
    fn read(&self, chunk: ChunkRef, plain: &mut [u8]) -> bool {
        plain.copy_from_slice(&noise(0));
        chunk != self.0
    }
}

#[tokio::test]
async fn local_copies_replace_the_source_once_they_are_proven() {
    let mut bench = Bench::of(3);
    let copies = Arc::new(Copies(bench.chunks[2]));
    bench.reader = Arc::new(Reader::new(bench.packs.clone(), 1).beside(copies));
    for position in 0..3 {
        assert_eq!(bench.one(position, Urgency::Now).await.unwrap(), noise(position));
    }
    assert_eq!(bench.packs.calls().questions, [1, 1], "the wrong one, and the one not there");
}

#[tokio::test]
async fn neighbouring_frames_are_one_range() {
    let bench = Bench::of(10);
    let wants: Vec<_> = bench.chunks.iter().rev().copied().collect();
    let requests = bench.reader.plan(wants).await.unwrap();
    assert_eq!(requests.len(), 1, "whatever order they are wanted in");
    let bytes = bench.reader.read(&requests[0], Freshness::Any).await.unwrap();
    for (position, frame) in requests[0].frames.iter().enumerate() {
        assert_eq!(frame.want, bench.chunks[position]);
        let mut prover = Prover::default();
        let proven = requests[0].prove(position, &bytes, &mut prover).unwrap();
        assert_eq!(proven.plain, noise(position));
    }
    assert_eq!(bench.packs.calls().ranges.len(), 1);
}

/// Coalesces frames given as (pack, offset, length), and returns (pack, range, frame count).
fn ranges(frames: &[(u8, u64, u32)]) -> Vec<(u8, Range<u64>, usize)> {
    let pack = |number: u8| PackDigest::of(&[number]);
    let len = ChunkLen::new(4096).unwrap();
    let wants = (0..frames.len()).map(|i| ChunkRef { digest: ChunkDigest::of(&noise(i)), len });
    let places = frames.iter().map(|&(number, offset, stored_len)| Place {
        pack: pack(number),
        offset,
        stored_len,
        plain_len: 4096,
        encoding: 1,
    });
    let plan = coalesce(wants.collect(), &places.collect::<Vec<_>>());
    assert!(plan.lost.is_empty());
    let number = |digest| (0..=u8::MAX).find(|number| pack(*number) == digest).unwrap();
    plan.requests.into_iter().map(|it| (number(it.pack), it.range, it.frames.len())).collect()
}

#[test]
fn a_short_gap_is_read_over_and_a_long_one_is_not() {
    let near = GAP_LEN_MAX + 10;
    assert_eq!(ranges(&[(0, 0, 10), (0, near, 10)]), [(0, 0..near + 10, 2)]);
    let far = near + 1;
    assert_eq!(ranges(&[(0, 0, 10), (0, far, 10)]), [(0, 0..10, 1), (0, far..far + 10, 1)]);
}

#[test]
fn packs_are_never_joined_and_ranges_stay_short() {
    assert_eq!(ranges(&[(7, 16, 10), (1, 26, 10)]), [(7, 16..26, 1), (1, 26..36, 1)]);
    let frames: Vec<_> = (0..100).map(|i| (0, i * 100_000, 100_000)).collect();
    let ranges = ranges(&frames);
    assert!(ranges.iter().all(|(_, range, _)| range.end - range.start <= RANGE_LEN_MAX));
    assert_eq!(ranges.iter().map(|(_, _, count)| count).sum::<usize>(), 100);
}

/// Checks that an error names the chunk and its pack.
fn assert_named(bench: &Bench, position: usize, error: &ReadError) {
    let text = error.to_string();
    assert!(text.contains(&bench.chunks[position].digest.to_string()), "{text}");
    assert!(text.contains("pack blake3:"), "{text}");
    assert_eq!(error.kind(), ErrorKind::Damaged, "{text}");
}

#[tokio::test]
async fn a_damaged_frame_is_an_error_of_its_chunk_alone() {
    let bench = Bench::of(3);
    bench.packs.damage(bench.chunks[1].digest, |pack, frame| pack[frame.start + 9] ^= 1);
    let pending = bench.reader.want(bench.chunks.clone(), Urgency::Now);
    let [first, second, third] = pending.try_into().ok().unwrap();
    assert_eq!(first.bytes().await.unwrap(), noise(0));
    assert_eq!(third.bytes().await.unwrap(), noise(2));
    let error = second.bytes().await.unwrap_err();
    assert!(matches!(*error, ReadError::Digest { .. }), "{error:?}");
    assert_named(&bench, 1, &error);
}

#[tokio::test]
async fn wrong_bytes_of_a_cache_are_read_again_at_rest() {
    let bench = Bench::of(3);
    let harm = |pack: &mut Vec<u8>, frame: Range<usize>| pack[frame.start + 9] ^= 1;
    bench.packs.damage(bench.chunks[1].digest, harm);
    bench.packs.cache(bench.chunks[1].digest);
    bench.packs.damage(bench.chunks[1].digest, harm);
    let pending = bench.reader.want(bench.chunks.clone(), Urgency::Now);
    for (position, pending) in pending.into_iter().enumerate() {
        assert_eq!(pending.bytes().await.unwrap(), noise(position));
    }
    assert_eq!(bench.packs.calls().ranges.len(), 2, "the request, once more");
}

#[tokio::test]
async fn a_frame_that_cannot_be_decoded_is_an_error_with_its_cause() {
    let bench = Bench::of(1);
    bench.packs.misplace(bench.chunks[0].digest, |place| place.encoding = 1);
    let error = bench.error(0).await;
    assert!(error.source().is_some() && matches!(*error, ReadError::Codec { .. }), "{error:?}");
    assert_named(&bench, 0, &error);
    bench.packs.misplace(bench.chunks[0].digest, |place| place.encoding = 77);
    assert_named(&bench, 0, bench.error(0).await.as_ref());
}

#[tokio::test]
async fn a_short_range_is_an_error() {
    let bench = Bench::of(2);
    bench.packs.damage(bench.chunks[1].digest, |pack, frame| pack.truncate(frame.end - 1));
    let error = bench.error(1).await;
    assert!(matches!(*error, ReadError::Short { .. }), "{error:?}");
    assert_named(&bench, 1, &error);
    assert_eq!(bench.one(0, Urgency::Now).await.unwrap(), noise(0));
}

#[tokio::test]
async fn a_source_that_lies_about_a_place_is_an_error() {
    let bench = Bench::of(2);
    let lies: [fn(&mut Place); 4] = [
        |place| place.plain_len -= 1,
        |place| place.offset += 1,
        |place| place.stored_len -= 1,
        |place| place.stored_len = u32::MAX,
    ];
    for lie in lies {
        let bench = Bench::of(2);
        bench.packs.misplace(bench.chunks[0].digest, lie);
        assert_named(&bench, 0, bench.error(0).await.as_ref());
        assert!(bench.packs.calls().ranges.iter().all(|(_, it)| it.end < 1 << 20), "no long read");
    }
    let one = coalesce(bench.chunks.clone(), &[]);
    assert!(one.requests.is_empty());
    assert!(one.lost.iter().all(|(_, error)| matches!(**error, ReadError::Places { .. })));
}

#[tokio::test]
async fn a_missing_chunk_is_named_and_hides_no_other() {
    let bench = Bench::of(9);
    bench.packs.lose(bench.chunks[4].digest);
    let error = bench.reader.plan(bench.chunks.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(bench.packs.calls().questions, [9]);
    let plan = bench.reader.plan_each(bench.chunks.clone()).await;
    let lost: Vec<_> = plan.lost.iter().map(|(chunk, _)| *chunk).collect();
    assert_eq!(lost, [bench.chunks[4]]);
    assert!(plan.lost[0].1.to_string().contains(&bench.chunks[4].digest.to_string()));
    assert_eq!(plan.requests.iter().map(|request| request.frames.len()).sum::<usize>(), 8);
}

#[tokio::test]
async fn a_chunk_that_a_collection_moved_is_read_from_where_it_is_now() {
    let bench = Bench::of(4);
    let packs = Arc::clone(&bench.packs);
    let collecting = Arc::new(Collecting { packs, is_done: <_>::default() });
    let reader = Arc::new(Reader::new(collecting, 2));
    let pending = reader.want(bench.chunks.clone(), Urgency::Now);
    for (position, pending) in pending.into_iter().enumerate() {
        assert_eq!(pending.bytes().await.unwrap(), noise(position));
    }
}

/// A source whose chunks are packed anew between the question for places and the first read.
struct Collecting {
    packs: Arc<MemoryPacks>,
    is_done: std::sync::atomic::AtomicBool,
}

#[async_trait]
impl Source for Collecting {
    async fn locate(&self, chunks: &[ChunkDigest]) -> Result<Vec<Place>, SourceError> {
        self.packs.locate(chunks).await
    }

    async fn range(
        &self,
        pack: PackDigest,
        range: Range<u64>,
        freshness: Freshness,
    ) -> Result<Bytes, SourceError> {
        if !self.is_done.swap(true, Ordering::Relaxed) {
            self.packs.pack((0..4).rev().map(noise));
            self.packs.remove(pack);
        }
        self.packs.range(pack, range, freshness).await
    }
}

#[tokio::test]
async fn a_failed_read_is_tried_again_when_it_is_wanted_again() {
    let bench = Bench::of(2);
    bench.packs.lose(bench.chunks[1].digest);
    assert_eq!(bench.error(1).await.kind(), ErrorKind::NotFound);
    bench.packs.pack((0..2).map(noise));
    assert_eq!(bench.one(1, Urgency::Now).await.unwrap(), noise(1));
}

#[tokio::test]
async fn an_unreadable_disk_tells_its_cause() {
    let bench = Bench::of(2);
    bench.packs.damage(bench.chunks[1].digest, |pack, frame| pack[frame.start] ^= 1);
    let disk = bench.disk();
    let other = Arc::clone(&disk);
    let last = (LEN + HOLE_LEN) as u64;
    let read = move || other.read_at(last, &mut [0; 512]);
    let error = tokio::task::spawn_blocking(read).await.unwrap().unwrap_err();
    assert!(error.to_string().contains("web/root"), "{error}");
    assert_named(&bench, 1, &disk.failure().unwrap());
}
