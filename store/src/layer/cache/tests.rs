use std::fs;
use std::sync::atomic::AtomicUsize;

use seawall_api::digest::LeafDigest;
use tokio::sync::Notify;

use super::segments::SEGMENT_LEN;
use super::*;

/// A pack in memory that counts its reads, and answers them when it may.
struct Source {
    bytes: Bytes,
    reads: Mutex<Vec<Range<u64>>>,
    failing: AtomicUsize,
    gate: Option<Notify>,
}

impl Source {
    fn new(len: u64) -> Arc<Self> {
        Arc::new(Self::of(len, None))
    }

    fn of(len: u64, gate: Option<Notify>) -> Self {
        let bytes = (0..len).map(|n| (n / 1000).to_le_bytes()[0] ^ n.to_le_bytes()[0]).collect();
        Self { bytes, reads: Mutex::default(), failing: AtomicUsize::new(0), gate }
    }

    /// Returns the start and the end of each read since the last call.
    fn reads(&self) -> Vec<(u64, u64)> {
        let reads = std::mem::take(&mut *self.reads.lock().unwrap());
        reads.into_iter().map(|range| (range.start, range.end)).collect()
    }

    fn slice(&self, range: Range<u64>) -> &[u8] {
        &self.bytes[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()]
    }
}

#[async_trait::async_trait]
impl OpenObject for Source {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn piece_len(&self) -> u64 {
        4 << 20
    }

    async fn link(&self) -> Result<Option<String>, StoreError> {
        Ok(None)
    }

    async fn read(&self, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.reads.lock().unwrap().push(range.clone());
        if let Some(gate) = &self.gate {
            gate.notified().await;
        }
        if self
            .failing
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1))
            .is_ok()
        {
            return Err(StoreError::Damaged { object: "pack".to_owned() });
        }
        Ok(Bytes::copy_from_slice(self.slice(range)))
    }
}

fn pack() -> PackDigest {
    PackDigest::of(b"pack")
}

/// Opens a cache and waits until it writes.
fn open(dir: &Path, space_max: u64) -> Arc<ReadCache> {
    let cache = ReadCache::open(CacheAt { dir: dir.to_owned(), space_max }).unwrap();
    while !cache.is_counted.load(Ordering::SeqCst) {
        // A task of an earlier cache may hold the lock a moment longer.
        *cache.tried.lock().unwrap() = None;
        cache.folder();
        std::thread::yield_now();
    }
    cache
}

/// Waits for the writes that go on in the background.
async fn settle(cache: &ReadCache) {
    let all = u32::try_from(WRITES_MAX).unwrap();
    drop(cache.writes.acquire_many(all).await.unwrap());
}

async fn read(cache: &Arc<ReadCache>, source: &Arc<Source>, range: Range<u64>) {
    let object = cache.over(pack(), Arc::clone(source) as _);
    assert!(object.read(range.clone()).await.unwrap() == source.slice(range.clone()), "{range:?}");
    settle(cache).await;
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for folder in fs::read_dir(dir.join("entries")).unwrap() {
        let entries = fs::read_dir(folder.unwrap().path()).unwrap();
        files.extend(entries.map(|entry| entry.unwrap().path()));
    }
    files.sort();
    files
}

#[tokio::test]
async fn each_block_is_fetched_once_and_adjacent_ones_with_one_read() {
    let dir = tempfile::tempdir().unwrap();
    let (cache, len) = (open(dir.path(), 64 << 20), 5 * SEGMENT_LEN + 17);
    let source = Source::new(len);
    read(&cache, &source, SEGMENT_LEN + 5..SEGMENT_LEN + 9).await;
    assert_eq!(source.reads(), [(SEGMENT_LEN, 2 * SEGMENT_LEN)]);
    read(&cache, &source, SEGMENT_LEN..2 * SEGMENT_LEN).await;
    assert_eq!(source.reads(), []);
    read(&cache, &source, 0..len).await;
    let mut reads = source.reads();
    reads.sort_unstable();
    assert_eq!(reads, [(0, SEGMENT_LEN), (2 * SEGMENT_LEN, len)]);
    for range in [0..len, 0..1, len - 1..len, SEGMENT_LEN - 1..SEGMENT_LEN + 1, 7..len - 7] {
        read(&cache, &source, range).await;
    }
    assert_eq!(source.reads(), []);
    let tally = cache.tally();
    assert_eq!((tally.misses, tally.entries, tally.fetched_bytes), (6, 6, len));
    assert_eq!(tally.hits, 1 + 1 + 6 + 1 + 1 + 2 + 6);
    drop(cache);
    // The next process finds what this one kept.
    read(&open(dir.path(), 64 << 20), &source, 0..len).await;
    assert_eq!(source.reads(), []);
}

/// Ranges past the end are the object's business.
#[tokio::test]
async fn a_range_outside_the_pack_fails_as_without_a_cache() {
    let dir = tempfile::tempdir().unwrap();
    let cache = open(dir.path(), 64 << 20);
    let bucket = crate::backend::Bucket::in_memory();
    let name = ObjectName::Pack(pack());
    let port: &dyn crate::port::ObjectStore = &bucket;
    port.put(&name, Bytes::from_static(b"bytes")).await.unwrap();
    let object = cache.over(pack(), port.open(&name).await.unwrap());
    assert!(matches!(object.read(3..6).await, Err(StoreError::Range { .. })));
    assert!(object.read(2..2).await.unwrap().is_empty());
    assert_eq!(object.read(1..5).await.unwrap(), "ytes");
}

#[tokio::test]
async fn concurrent_readers_of_a_block_share_one_fetch() {
    let dir = tempfile::tempdir().unwrap();
    let cache = open(dir.path(), 64 << 20);
    let source = Arc::new(Source::of(3 * SEGMENT_LEN, Some(Notify::new())));
    let readers: Vec<_> = (0..8)
        .map(|n| {
            let object = cache.over(pack(), Arc::clone(&source) as _);
            tokio::spawn(async move { object.read(n..3 * SEGMENT_LEN - n).await.unwrap() })
        })
        .collect();
    // The first reader has gone before its bytes arrive; the others still get theirs.
    while source.reads.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    readers[0].abort();
    source.gate.as_ref().unwrap().notify_one();
    for (n, reader) in (0..).zip(readers).skip(1) {
        assert!(reader.await.unwrap() == source.slice(n..3 * SEGMENT_LEN - n));
    }
    assert_eq!(source.reads(), [(0, 3 * SEGMENT_LEN)]);
}

#[tokio::test]
async fn a_failed_fetch_is_every_readers_own() {
    let dir = tempfile::tempdir().unwrap();
    let cache = open(dir.path(), 64 << 20);
    let source = Source::new(SEGMENT_LEN);
    source.failing.store(1, Ordering::SeqCst);
    let object = cache.over(pack(), Arc::clone(&source) as _);
    assert!(object.read(0..1).await.is_err());
    assert_eq!(cache.tally().entries, 0);
    read(&cache, &source, 0..1).await;
}

#[tokio::test]
async fn the_space_of_a_cache_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let space_max = 4 * files::space_of(usize::try_from(SEGMENT_LEN).unwrap());
    let cache = open(dir.path(), space_max);
    let source = Source::new(10 * SEGMENT_LEN);
    let segment = |n: u64| n * SEGMENT_LEN..(n + 1) * SEGMENT_LEN;
    for n in 0..10 {
        read(&cache, &source, segment(n)).await;
        // Used again and again, the first segment stays.
        read(&cache, &source, segment(0)).await;
        let used: u64 = files(dir.path()).iter().map(|it| it.metadata().unwrap().len()).sum();
        assert!(used <= space_max, "{used} bytes");
    }
    source.reads();
    for (n, is_kept) in [(0, true), (9, true), (1, false)] {
        read(&cache, &source, segment(n)).await;
        assert_eq!(source.reads().is_empty(), is_kept, "segment {n}");
    }
    drop(cache);
    // A smaller cache begins with what fits, the last used.
    let cache = open(dir.path(), space_max / 2);
    assert_eq!((files(dir.path()).len(), cache.tally().entries), (2, 2));
    read(&cache, &source, segment(1)).await;
    assert_eq!(source.reads(), []);
}

/// Every kind of damage to an entry is found, dropped, and mended by a new fetch.
#[tokio::test]
async fn a_damaged_entry_is_dropped_and_fetched_anew() {
    let dir = tempfile::tempdir().unwrap();
    let cache = open(dir.path(), 64 << 20);
    let source = Source::new(2 * SEGMENT_LEN);
    let harms: [fn(&Path, &Path); 5] = [
        |file, _| {
            let mut bytes = fs::read(file).unwrap();
            bytes[1000] ^= 1;
            fs::write(file, bytes).unwrap();
        },
        |file, _| fs::write(file, "").unwrap(),
        |file, _| {
            let bytes = fs::read(file).unwrap();
            fs::write(file, &bytes[1..]).unwrap();
        },
        |file, other| fs::write(file, fs::read(other).unwrap()).unwrap(),
        |file, _| fs::remove_file(file).unwrap(),
    ];
    for (n, harm) in harms.into_iter().enumerate() {
        read(&cache, &source, 0..2 * SEGMENT_LEN).await;
        source.reads();
        let [file, other] = &files(dir.path())[..] else { panic!("two entries") };
        harm(file, other);
        read(&cache, &source, 0..2 * SEGMENT_LEN).await;
        assert_eq!(source.reads(), [(0, SEGMENT_LEN)], "harm {n}");
    }
    assert_eq!((cache.tally().damaged, cache.tally().entries), (4, 2));
}

#[tokio::test]
async fn what_is_forgotten_is_fetched_anew() {
    let dir = tempfile::tempdir().unwrap();
    let cache = open(dir.path(), 64 << 20);
    let source = Arc::new(Source::of(SEGMENT_LEN, Some(Notify::new())));
    let gate = source.gate.as_ref().unwrap();
    gate.notify_one();
    read(&cache, &source, 0..1).await;
    cache.forget(pack());
    // While the bytes are on their way, they are forgotten again, and not kept.
    let object = cache.over(pack(), Arc::clone(&source) as _);
    let reader = tokio::spawn(async move { object.read(0..1).await });
    while source.reads.lock().unwrap().len() < 2 {
        tokio::task::yield_now().await;
    }
    cache.forget(pack());
    gate.notify_one();
    reader.await.unwrap().unwrap();
    settle(&cache).await;
    assert!(files(dir.path()).is_empty());
    gate.notify_one();
    read(&cache, &source, 0..1).await;
    assert_eq!(source.reads().len(), 3);
}

#[tokio::test]
async fn a_folder_is_used_by_one_process_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path(), 64 << 20);
    let at = CacheAt { dir: dir.path().to_owned(), space_max: 64 << 20 };
    let second = ReadCache::open(at).unwrap();
    let source = Source::new(SEGMENT_LEN);
    for _ in 0..2 {
        read(&second, &source, 0..9).await;
        assert_eq!(source.reads(), [(0, 9)], "past the cache");
    }
    drop(first);
    // The pause between attempts is over.
    *second.tried.lock().unwrap() = Instant::now().checked_sub(LOCK_PAUSE);
    read(&second, &source, 0..9).await;
    assert_eq!(source.reads(), [(0, SEGMENT_LEN)]);
}

#[tokio::test]
async fn a_disk_that_takes_no_bytes_stops_writes_and_no_read() {
    let dir = tempfile::tempdir().unwrap();
    let cache = open(dir.path(), 64 << 20);
    let source = Source::new(2 * SEGMENT_LEN);
    // A file where the folder of the entry would be.
    let folder = dir.path().join("entries").join(Key::segment(pack(), 0).shard());
    fs::write(&folder, "").unwrap();
    for _ in 0..2 {
        read(&cache, &source, 0..2 * SEGMENT_LEN).await;
        assert_eq!(source.reads(), [(0, 2 * SEGMENT_LEN)]);
    }
    assert!(cache.is_paused());
    assert_eq!((cache.tally().entries, cache.tally().space), (0, 0));
}

#[tokio::test]
async fn small_objects_are_kept_and_proven() {
    let dir = tempfile::tempdir().unwrap();
    let cache = open(dir.path(), 64 << 20);
    let bytes = Bytes::from_static(b"leaf");
    let name = ObjectName::Leaf(LeafDigest::of(&bytes));
    assert_eq!(cache.object(&name).await, None);
    cache.keep_object(&name, bytes.clone()).await;
    assert_eq!(cache.object(&name).await, Some(bytes));
    // Sound as an entry, and not what its name says.
    cache.keep_object(&name, Bytes::from_static(b"other")).await;
    assert_eq!(cache.object(&name).await, None);
    assert_eq!(cache.tally().entries, 0);
    let record = ObjectName::Name("shop/@1".to_owned());
    cache.keep_object(&record, Bytes::from_static(b"record")).await;
    assert_eq!(cache.object(&record).await, None, "a record may change");
}

/// As `kill -9` leaves them.
#[tokio::test]
async fn staged_files_of_a_dead_process_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let source = Source::new(SEGMENT_LEN);
    let cache = open(dir.path(), 64 << 20);
    read(&cache, &source, 0..1).await;
    drop(cache);
    let [file] = &files(dir.path())[..] else { panic!("one entry") };
    let staged = file.with_file_name("x.0.part");
    let other = file.with_file_name("notes.txt");
    fs::write(&staged, "half").unwrap();
    fs::write(&other, "not of the cache").unwrap();
    let cache = open(dir.path(), 64 << 20);
    assert!(!staged.exists() && other.exists());
    assert_eq!(cache.tally().entries, 1);
}
