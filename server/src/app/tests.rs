//! Tests of use cases over a fallible store in memory and a real catalog.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::{FutureExt, TryStreamExt};
use seawall_api::content::SubtreeValue;
use seawall_api::digest::ReleaseDigest;
use seawall_api::index::{DiskIndex, Extent, LEAF_SPAN, Leaf, LeafRef};
use seawall_api::problem::Code;
use seawall_api::reference::Selector;
use seawall_api::units::DiskLen;
use seawall_store::port::{ObjectKind, ObjectName, ObjectStore};
use seawall_store::testing::unconditional;

use super::content::leases::LEASE_TTL_SECS;
use super::records::Subject;
use super::releases::channels::ChannelChange;
use super::{AppError, Publisher, Registry, Settings};
use crate::catalog::{Channel, Expected, LeaseId, Publication, Purpose, Release};
use crate::host::Host;

mod collect;
pub(super) mod database;
mod deletion;
pub(super) mod faults;
mod read;

#[path = "../../tests/http/fixture.rs"]
#[allow(dead_code, unreachable_pub, clippy::cast_possible_truncation)]
pub(super) mod fixture;

use database::Database;
use faults::{BadSector, Failing, FaultAt, broken};
use fixture::{TinyDisk, TinyRelease};

/// The time of rebuilds in tests, in seconds since 1970-01-01 UTC.
pub(super) const NOW: u64 = 1_900_000_000;

/// A settable clock and predictable randomness.
#[derive(Default)]
pub(super) struct TestHost {
    now_secs: AtomicU64,
    count: AtomicU64,
}

impl Host for TestHost {
    fn now_secs(&self) -> u64 {
        1_800_000_000 + self.now_secs.load(Ordering::Relaxed)
    }

    fn random(&self) -> Option<[u8; 16]> {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&count.to_le_bytes());
        Some(bytes)
    }
}

/// The state that survives a crash: the store's objects and the catalog's database.
pub(super) struct Site {
    pub(super) database: Database,
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) host: Arc<TestHost>,
}

impl Site {
    pub(super) fn new() -> Self {
        Self {
            database: Database::new(),
            // The harder case: no put relies on a condition.
            store: Arc::new(unconditional()),
            host: Arc::default(),
        }
    }

    fn open(&self, store: Arc<dyn ObjectStore>) -> Registry {
        let catalog = self.database.open();
        Registry::new(store, catalog, Arc::clone(&self.host) as _, Settings::new(2))
    }

    /// Opens a registry for a simulation of process crashes, in which commits need not survive a
    /// loss of power.
    pub(super) fn open_unsynced(&self, store: Arc<dyn ObjectStore>) -> Registry {
        let catalog = self.database.open_unsynced();
        Registry::new(store, catalog, Arc::clone(&self.host) as _, Settings::new(2))
    }

    pub(super) fn now_secs(&self) -> u64 {
        self.host.now_secs()
    }

    /// Advances the clock.
    pub(super) fn pass(&self, secs: u64) {
        self.host.now_secs.fetch_add(secs, Ordering::Relaxed);
    }

    /// Returns the names of all objects of a kind.
    pub(super) async fn listed(&self, kind: ObjectKind) -> Vec<ObjectName> {
        self.store.list(kind).try_collect().await.unwrap()
    }

    pub(super) fn sound(&self) -> Registry {
        self.open(Arc::clone(&self.store))
    }

    /// Returns the store, with every read failing from read number `at` on.
    pub(super) fn failing_read(&self, at: u32) -> Arc<dyn ObjectStore> {
        Arc::new(FaultAt::read(Arc::clone(&self.store), at))
    }

    /// Returns the store with an unreadable `object`; all probes fail unless `is_probed`.
    pub(super) fn bad_sector(&self, object: ObjectName, is_probed: bool) -> Arc<dyn ObjectStore> {
        let left = AtomicU64::new(u64::MAX);
        Arc::new(BadSector { inner: Arc::clone(&self.store), object, left, is_probed })
    }

    fn failing(&self, at: u32, how: Failing, source: fn() -> std::io::Error) -> Registry {
        self.open(Arc::new(FaultAt::write(Arc::clone(&self.store), at, how, source)))
    }
}

async fn upload(registry: &Registry, lease: LeaseId, disk: &TinyDisk) -> Result<(), AppError> {
    let pack = disk.pack();
    registry.content.upload_pack(lease, pack.digest, pack.bytes).await?;
    let (leaf, bytes) = disk.leaf_bytes();
    registry.content.put_leaf(lease, leaf, bytes).await?;
    let index = Bytes::from(disk.index.encode());
    registry.content.put_index(lease, disk.index.digest(), index).await?;
    Ok(())
}

pub(super) async fn push(registry: &Registry, tiny: &TinyRelease) -> Result<Publication, AppError> {
    let application = tiny.release.application();
    let lease = registry.content.open_lease(application.clone(), Purpose::Push).await?;
    for disk in &tiny.disks {
        upload(registry, lease, disk).await?;
    }
    let bytes = Bytes::copy_from_slice(tiny.release.bytes());
    let publisher = Publisher { lease, token: "test".to_owned() };
    Ok(registry.releases.publish(application, bytes, publisher).await?.1)
}

/// Returns whether a release is visible, and checks that a visible release reads back.
async fn is_visible(registry: &Registry, tiny: &TinyRelease) -> bool {
    let application = tiny.release.application();
    let version = Selector::Version(tiny.release.version().clone());
    let listed = registry.releases.list(application, None, 10).await.is_ok();
    let found = match registry.releases.document(application, &version).await {
        Ok(found) => found,
        Err(AppError::NotFound { .. }) => {
            assert!(!listed, "an application without its release");
            return false;
        }
        Err(error) => panic!("neither there nor absent: {error}"),
    };
    assert_eq!(found, tiny.release.bytes());
    for disk in &tiny.disks {
        registry.content.index_bytes(disk.index.digest()).await.unwrap();
        registry.content.leaf_bytes(disk.leaf.digest()).await.unwrap();
        registry.content.locate_chunks(disk.chunks()).await.unwrap();
        let pack = registry.content.pack(disk.pack().digest).await.unwrap();
        assert_eq!(pack.read(0..pack.len()).await.unwrap(), disk.pack().bytes);
    }
    true
}

/// Kills a push at each of its writes in turn. The loop ends only with a run that met no fault, so
/// that writes added later are covered without a change here.
#[tokio::test]
async fn a_push_that_dies_at_any_write_is_not_half_there_and_can_be_tried_again() {
    for how in [Failing::Before, Failing::After] {
        for at in 0.. {
            let site = Site::new();
            let tiny = TinyRelease::new("team/webshop", "1.0", "ab.c", "aabd");
            let outcome = push(&site.failing(at, how, broken), &tiny).await;
            // The view of the next process.
            let registry = site.sound();
            let visible = is_visible(&registry, &tiny).await;
            let Err(error) = outcome else {
                assert!(visible && at > 0);
                break;
            };
            assert_eq!(error.code(), Code::Unavailable);
            // The last write follows the commit and records the visible release in the store.
            let is_recording = matches!(error, AppError::Unrecorded { .. });
            assert_eq!(visible, is_recording, "write {at} failed, yet the release is visible");
            push(&registry, &tiny).await.unwrap();
            assert!(is_visible(&registry, &tiny).await);
            let names = site.listed(ObjectKind::Name).await;
            let (application, version) = (tiny.release.application(), tiny.release.version());
            let subject = Subject::Release(application.clone(), version.clone());
            assert_eq!(names, [subject.object()]);
        }
    }
}

#[tokio::test]
async fn a_full_store_is_said_to_be_full_and_keeps_nothing_half() {
    let full = || std::io::Error::from(std::io::ErrorKind::StorageFull);
    for at in 0.. {
        let site = Site::new();
        let tiny = TinyRelease::new("webshop", "1.0", "ab", "cd");
        let outcome = push(&site.failing(at, Failing::Before, full), &tiny).await;
        let Err(error) = outcome else { break };
        assert_eq!(error.code(), Code::StorageFull);
        assert!(error.remedy().unwrap().contains("free some space"));
        // A visible release must not be reported as a failure without effect.
        let is_visible = is_visible(&site.sound(), &tiny).await;
        assert_eq!(error.to_string().contains("webshop:1.0 is visible"), is_visible, "{error}");
        assert_eq!(error.remedy().unwrap().contains("push it again"), is_visible);
    }
}

#[tokio::test]
async fn use_keeps_a_lease_alive_and_time_ends_it() {
    let site = Site::new();
    let registry = site.sound();
    let lease =
        registry.content.open_lease("webshop".parse().unwrap(), Purpose::Push).await.unwrap();
    for _ in 0..5 {
        site.host.now_secs.fetch_add(LEASE_TTL_SECS - 1, Ordering::Relaxed);
        registry.content.missing_chunks(lease, vec![]).await.unwrap();
    }
    site.host.now_secs.fetch_add(LEASE_TTL_SECS, Ordering::Relaxed);
    let error = registry.content.missing_chunks(lease, vec![]).await.unwrap_err();
    assert_eq!(error.code(), Code::LeaseEnded);
    let error = registry.content.renew_lease(lease).await.unwrap_err();
    assert_eq!(error.code(), Code::LeaseEnded);
}

/// The loss of the catalog must not assign a version to another release.
#[tokio::test]
async fn a_version_stays_what_it_was_when_the_catalog_is_lost() {
    let mut site = Site::new();
    let tiny = TinyRelease::new("webshop", "1.0", "ab", "cd");
    push(&site.sound(), &tiny).await.unwrap();
    site.database = Database::new();
    let other = TinyRelease::new("webshop", "1.0", "ab", "ce");
    let error = push(&site.sound(), &other).await.unwrap_err();
    assert_eq!(error.code(), Code::VersionTaken);
    push(&site.sound(), &tiny).await.unwrap();
    assert!(is_visible(&site.sound(), &tiny).await);
}

pub(super) async fn promote(
    registry: &Registry,
    tiny: &TinyRelease,
    expected: Expected,
) -> Result<Channel, AppError> {
    let change = ChannelChange {
        channel: "stable".parse().unwrap(),
        release: tiny.release.digest(),
        expected,
        token: "test".to_owned(),
    };
    registry.releases.move_channel(tiny.release.application(), change).await
}

#[tokio::test]
async fn an_application_with_all_its_channels_says_how_many_and_what_to_do() {
    let site = Site::new();
    let registry = site.sound();
    let one = TinyRelease::new("webshop", "1.0", "ab", "cd");
    push(&registry, &one).await.unwrap();
    let sql = "WITH RECURSIVE counted (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted
                   WHERE n < 1000)
               INSERT INTO channels (application, name, release_id, sequence, moved_at_secs)
               SELECT 'webshop', 'c' || n, (SELECT id FROM releases), 1, 0 FROM counted";
    site.database.change(sql);
    let error = promote(&registry, &one, Expected::Absent).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidInput);
    let text = error.to_string();
    assert!(text.contains("1000 channels") && text.contains("move one of them"), "{text}");
}

/// A move that dies at any write is either made or not. Its missing record is written by the next
/// move, by a retry or at the next start, whichever comes first.
#[tokio::test]
async fn a_move_that_dies_at_any_write_is_recorded_by_whoever_comes_next() {
    let moves = |site: &Site| {
        let store = Arc::clone(&site.store);
        async move {
            let names: Vec<_> = store.list(ObjectKind::Name).try_collect().await.unwrap();
            let moves = names.iter().filter_map(Subject::parse);
            moves.filter(|subject| matches!(subject, Subject::Move(..))).count()
        }
    };
    for next in ["move", "second try", "start"] {
        for (at, how) in [(0, Failing::Before), (0, Failing::After), (1, Failing::Before)] {
            let site = Site::new();
            let one = TinyRelease::new("webshop", "1.0", "ab", "cd");
            push(&site.sound(), &one).await.unwrap();
            let outcome = promote(&site.failing(at, how, broken), &one, Expected::Absent).await;
            assert_eq!(outcome.is_err(), at == 0);
            if let Err(error) = outcome {
                assert!(error.to_string().contains("is at sequence 1 now"), "{error}");
                assert!(error.remedy().unwrap().contains("read the channel"));
            }
            let registry = site.sound();
            let recorded = moves(&site).await;
            assert_eq!(recorded, usize::from((at, how) != (0, Failing::Before)));
            let channel = registry.releases.channels(one.release.application()).await.unwrap();
            assert_eq!(channel[0].sequence, 1, "the catalog knows of it");
            let mut want = 1;
            match next {
                "move" => {
                    promote(&registry, &one, Expected::Sequence(1)).await.unwrap();
                    want = 2;
                }
                "second try" => {
                    let error = promote(&registry, &one, Expected::Absent).await.unwrap_err();
                    assert_eq!(error.code(), Code::PreconditionFailed);
                }
                _ => {
                    let missing = 1 - recorded as u64;
                    assert_eq!(registry.records.complete().await.unwrap().written, missing);
                }
            }
            assert_eq!(moves(&site).await, want);
            assert_eq!(registry.records.complete().await.unwrap().written, 0);
        }
    }
}

/// A page is limited by its size as well as its number of releases, and no release is skipped.
#[tokio::test]
async fn releases_of_very_many_machines_come_in_shorter_pages() {
    let site = Site::new();
    let registry = site.sound();
    let application: seawall_api::names::ApplicationName = "webshop".parse().unwrap();
    let machine: seawall_api::names::MachineName = "m".repeat(60).parse().unwrap();
    for (version, count) in [("1", 1), ("2", 7000), ("3", 20_000), ("4", 7000), ("5", 7000)] {
        let row = Release {
            application: application.clone(),
            version: version.parse().unwrap(),
            digest: ReleaseDigest::of(version.as_bytes()),
            machines: vec![machine.clone(); count],
            published_at_secs: 0,
            published_by: String::new(),
            disk_bytes: 0,
            data_bytes: 0,
        };
        assert!(registry.catalog.restore_release(row, vec![]).await.unwrap());
    }
    let (mut after, mut pages) = (None, Vec::new());
    loop {
        let page = registry.releases.list(&application, after, 1000).await.unwrap();
        pages.push(page.items.iter().map(|r| r.release.version.to_string()).collect::<Vec<_>>());
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(pages, [vec!["5", "4"], vec!["3"], vec!["2", "1"]]);
    let page = registry.releases.list(&application, None, 1).await.unwrap();
    assert_eq!((page.items.len(), page.next.unwrap().as_str()), (1, "5"));
}

/// However many diffs are requested, only the one whose turn it is holds documents.
#[tokio::test]
async fn a_diff_reads_nothing_before_it_is_its_turn() {
    let site = Site::new();
    let registry = site.sound();
    let side = || ("webshop".parse().unwrap(), "1.0".parse().unwrap());
    let turn = registry.releases.diffing.acquire().await.unwrap();
    let diff = registry.releases.diff(side(), side());
    let waits = tokio::time::timeout(std::time::Duration::from_millis(300), diff).await;
    assert!(waits.is_err(), "what it asks for is not there, and it does not know");
    drop(turn);
    let error = registry.releases.diff(side(), side()).await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
}

/// A proof abandoned by its client still counts against the limit.
#[test]
fn a_proof_is_counted_until_it_ends_whoever_waits_for_it() {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.max_blocking_threads(1).build().unwrap();
    let site = Site::new();
    let registry = runtime.block_on(async { site.sound() });
    let pack = TinyDisk::new("ab").pack();
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let before = registry.content.proving.available_permits();
    let after = runtime.block_on(async {
        let busy = tokio::task::spawn_blocking(move || wait.recv());
        let proof = registry.content.prove_pack(pack.digest, pack.bytes);
        assert!(proof.now_or_never().is_none(), "it waits for the only thread");
        assert_eq!(registry.content.proving.available_permits(), before - 1, "it was dropped");
        go.send(()).unwrap();
        busy.await.unwrap().unwrap();
        // Queued behind the proof on the only thread.
        tokio::task::spawn_blocking(|| ()).await.unwrap();
        registry.content.proving.available_permits()
    });
    assert_eq!(after, before);
}

/// A catalog restored from a backup must not move a channel against the store's records.
#[tokio::test]
async fn an_older_copy_of_the_catalog_moves_no_channel() {
    let mut site = Site::new();
    let one = TinyRelease::new("webshop", "1.0", "ab", "cd");
    push(&site.sound(), &one).await.unwrap();
    let absent = site.database.restored();
    promote(&site.sound(), &one, Expected::Absent).await.unwrap();
    let backup = site.database.restored();
    for sequence in 1..4 {
        promote(&site.sound(), &one, Expected::Sequence(sequence)).await.unwrap();
    }
    for (database, expected, left) in
        [(backup, Expected::Sequence(1), Some(1)), (absent, Expected::Absent, None)]
    {
        site.database = database;
        let registry = site.sound();
        let error = promote(&registry, &one, expected).await.unwrap_err();
        assert_eq!(error.code(), Code::Damaged);
        assert!(error.to_string().contains("names/webshop/@channels/stable/"), "{error}");
        assert!(error.remedy().unwrap().contains("`seawall recover DATA`"));
        let channels = registry.releases.channels(one.release.application()).await.unwrap();
        assert_eq!(channels.first().map(|channel| channel.sequence), left, "it did not move");
    }
}

/// A visible release whose push died before its acknowledgement is recorded by the next start, or
/// by the first channel move to the release.
#[tokio::test]
async fn a_release_that_is_visible_is_recorded_before_anything_relies_on_it() {
    for by_channel in [false, true] {
        let site = Site::new();
        let one = TinyRelease::new("webshop", "1.0", "ab", "cd");
        push(&site.sound(), &one).await.unwrap();
        let (application, version) = (one.release.application(), one.release.version());
        let object = Subject::Release(application.clone(), version.clone()).object();
        let before = site.store.get(&object).await.unwrap();
        site.store.delete(&object).await.unwrap();
        if by_channel {
            promote(&site.sound(), &one, Expected::Absent).await.unwrap();
        } else {
            assert_eq!(site.sound().records.complete().await.unwrap().written, 1);
        }
        assert_eq!(site.store.get(&object).await.unwrap(), before, "to the byte");
    }
}

#[tokio::test]
async fn an_index_whose_leaf_has_another_span_is_refused() {
    let site = Site::new();
    let registry = site.sound();
    let lease =
        registry.content.open_lease("webshop".parse().unwrap(), Purpose::Push).await.unwrap();
    let leaf = Leaf::new(vec![Extent::Hole(4096)], 4096).unwrap();
    registry.content.put_leaf(lease, leaf.digest(), leaf.encode().into()).await.unwrap();
    let entry = LeafRef { digest: leaf.digest(), value: SubtreeValue([7; 32]) };
    let lens = [8192, LEAF_SPAN + 4096];
    for len in lens.map(|len| DiskLen::new(len).unwrap()) {
        let count = seawall_api::index::leaf_count(len);
        let index = DiskIndex::new(len, 0, vec![entry; count]).unwrap();
        let put = registry.content.put_index(lease, index.digest(), index.encode().into()).await;
        let error = put.unwrap_err();
        assert_eq!(error.code(), Code::InvalidInput, "{error}");
        assert!(error.to_string().contains("leaf 0 describes 4096 bytes"), "{error}");
    }
}

/// The length of a chunk is part of its description in an index.
#[tokio::test]
async fn a_leaf_that_gives_a_chunk_another_length_is_incomplete() {
    let site = Site::new();
    let registry = site.sound();
    let lease =
        registry.content.open_lease("webshop".parse().unwrap(), Purpose::Push).await.unwrap();
    let disk = TinyDisk::new("a");
    let pack = disk.pack();
    registry.content.upload_pack(lease, pack.digest, pack.bytes).await.unwrap();
    let len = seawall_api::units::ChunkLen::new(512).unwrap();
    let digest = disk.chunks()[0];
    let chunk = seawall_api::index::ChunkRef { digest, len };
    let leaf = Leaf::new(vec![Extent::Data(chunk)], 512).unwrap();
    let error =
        registry.content.put_leaf(lease, leaf.digest(), leaf.encode().into()).await.unwrap_err();
    assert_eq!(error.code(), Code::Incomplete);
}
