//! Tests of collections with an outdated catalog, a damaged store or a second process.

use std::collections::{BTreeSet, HashSet};

use super::*;
use crate::app::jobs::JobState;
use crate::app::maintenance::collect::CollectOptions;
use crate::app::maintenance::fsck::FsckOrder;
use crate::app::maintenance::rebuild::rebuild;
use crate::catalog::check::{Class, Finding};
use crate::catalog::collect::{Sweep, Sweeping};

const FORCED: CollectOptions =
    CollectOptions { live_percent_min: 60, rate_max: None, is_forced: true };

fn tiny(version: &str, content: &str) -> TinyRelease {
    TinyRelease::new("webshop", version, content, content)
}

/// Returns the paths of all objects except records.
async fn objects(site: &Site) -> BTreeSet<String> {
    let mut objects = BTreeSet::new();
    for kind in ObjectKind::ALL.iter().filter(|kind| **kind != ObjectKind::Name) {
        objects.extend(site.listed(*kind).await.iter().map(ObjectName::path));
    }
    objects
}

async fn delete(registry: &Registry, tiny: &TinyRelease) {
    let (application, version) = (tiny.release.application(), tiny.release.version());
    registry.releases.delete(application, version, "ops".to_owned()).await.unwrap();
}

/// Content added after the copy is unreachable in the copy, but still in use.
#[tokio::test]
async fn a_catalog_that_is_an_older_copy_collects_nothing() {
    for since in ["release", "move", "deletion"] {
        let mut site = Site::new();
        let (one, two) = (tiny("1.0", "ab"), tiny("1.1", "cd"));
        push(&site.sound(), &one).await.unwrap();
        let copy = site.database.restored();
        match since {
            "release" => push(&site.sound(), &two).await.map(drop).unwrap(),
            "move" => promote(&site.sound(), &one, Expected::Absent).await.map(drop).unwrap(),
            _ => delete(&site.sound(), &one).await,
        }
        let before = objects(&site).await;
        site.database = copy;
        let error = site.sound().collector.collect(FORCED).await.unwrap_err();
        assert!(matches!(error, AppError::CatalogOld { .. }), "{since}: {error}");
        assert!(error.remedy().unwrap().contains("`seawall recover DATA`"));
        assert_eq!(objects(&site).await, before, "{since}");
    }
}

/// The copy was made during a sweep. The content to be swept may have been stored again since.
#[tokio::test]
async fn an_older_catalog_does_not_finish_a_sweep() {
    let mut site = Site::new();
    let (one, again) = (tiny("1.0", "ab"), tiny("1.1", "ab"));
    push(&site.sound(), &one).await.unwrap();
    delete(&site.sound(), &one).await;
    die_sweeping(&site).await;
    let copy = site.database.restored();
    push(&site.sound(), &again).await.unwrap();
    let before = objects(&site).await;
    site.database = copy;
    let error = site.sound().collector.collect(CollectOptions::default()).await.unwrap_err();
    assert!(matches!(error, AppError::CatalogOld { .. }), "{error}");
    let error = push(&site.sound(), &tiny("1.2", "ab")).await.unwrap_err();
    assert!(matches!(error, AppError::CatalogOld { .. }), "{error}");
    assert_eq!(objects(&site).await, before);
}

/// Decides on a sweep of everything, and removes nothing.
async fn die_sweeping(site: &Site) {
    let registry = site.sound();
    let catalog = &registry.catalog;
    let packs = catalog.all_packs().await.unwrap();
    let objects = catalog.all_objects().await.unwrap();
    let rows = packs.iter().map(|pack| (pack.digest, pack.len)).collect();
    let generation = catalog.condemn(rows, objects.clone()).await.unwrap();
    let packs = packs.into_iter().map(|pack| pack.digest).collect();
    let sweep = Sweep { generation, packs, objects, live_leaves: HashSet::new() };
    assert!(!catalog.begin_sweep(sweep).await.unwrap().packs.is_empty());
}

#[tokio::test]
async fn a_push_ends_the_sweep_that_a_crash_left_in_its_way() {
    let site = Site::new();
    let (one, again) = (tiny("1.0", "ab"), tiny("1.1", "ab"));
    push(&site.sound(), &one).await.unwrap();
    delete(&site.sound(), &one).await;
    die_sweeping(&site).await;
    push(&site.sound(), &again).await.unwrap();
    assert!(is_visible(&site.sound(), &again).await);
    site.sound().collector.collect(FORCED).await.unwrap();
    let database = Database::new();
    let catalog = database.open();
    let found = rebuild(Arc::clone(&site.store), &catalog, NOW).await.unwrap();
    assert_eq!((found.damage.len(), found.releases), (0, 1), "{found:?}");
}

#[tokio::test]
async fn of_two_processes_one_collects() {
    let site = Site::new();
    let (one, other) = (site.sound(), site.sound());
    let claim = other.catalog.claim_collecting().await.unwrap();
    assert!(claim.is_some());
    let error = one.collector.collect(FORCED).await.unwrap_err();
    assert!(matches!(error, AppError::Busy { .. }), "{error}");
    drop(claim);
    one.collector.collect(FORCED).await.unwrap();
}

/// Content condemned after the check for older leases is left to the next sweep.
#[tokio::test]
async fn a_sweep_takes_nothing_that_a_later_generation_condemned() {
    let site = Site::new();
    push(&site.sound(), &tiny("1.0", "ab")).await.unwrap();
    let registry = site.sound();
    let catalog = &registry.catalog;
    let objects = catalog.all_objects().await.unwrap();
    let generation = catalog.condemn(vec![], vec![]).await.unwrap();
    catalog.condemn(vec![], objects.clone()).await.unwrap();
    let sweep = Sweep { generation, objects, ..Sweep::default() };
    assert_eq!(catalog.begin_sweep(sweep).await.unwrap(), Sweeping::default());
}

/// The document replaces the damaged record.
#[tokio::test]
async fn a_release_whose_record_is_damaged_is_neither_forgotten_nor_collected() {
    let mut site = Site::new();
    let (one, two) = (tiny("1.0", "ab"), tiny("1.1", "cd"));
    push(&site.sound(), &one).await.unwrap();
    push(&site.sound(), &two).await.unwrap();
    let record = Subject::of(&release_row(&site, &two).await).object();
    site.store.replace(&record, Bytes::from("{}")).await.unwrap();
    site.database = Database::new();
    let registry = site.sound();
    let found = rebuild(Arc::clone(&site.store), &registry.catalog, NOW).await.unwrap();
    assert_eq!(found.releases, 2);
    let said: Vec<_> = found.damage.iter().map(|damage| damage.object.as_str()).collect();
    assert_eq!(said, ["names/webshop/@1.1", "release webshop:1.1"], "{found:?}");
    // The present time, so that no age rule deletes the release.
    assert_eq!(release_row(&site, &two).await.published_at_secs, NOW);
    let before = objects(&site).await;
    registry.collector.collect(FORCED).await.unwrap();
    assert_eq!(objects(&site).await, before);
    assert!(is_visible(&registry, &two).await);
}

async fn release_row(site: &Site, tiny: &TinyRelease) -> Release {
    let (application, digest) = (tiny.release.application().clone(), tiny.release.digest());
    site.sound().catalog.release(application, digest).await.unwrap().unwrap()
}

/// With an unreadable record and a missing document, the needs of a release are unknown until the
/// release is pushed again. This also holds for the target of a channel.
#[tokio::test]
async fn nothing_is_collected_beside_a_release_of_which_only_its_name_is_left() {
    for is_promoted in [false, true] {
        let mut site = Site::new();
        let two = tiny("1.1", "cd");
        push(&site.sound(), &two).await.unwrap();
        if is_promoted {
            promote(&site.sound(), &two, Expected::Absent).await.unwrap();
        }
        let record = Subject::of(&release_row(&site, &two).await).object();
        site.store.replace(&record, Bytes::from("{}")).await.unwrap();
        site.store.delete(&ObjectName::Release(two.release.digest())).await.unwrap();
        site.database = Database::new();
        let registry = site.sound();
        rebuild(Arc::clone(&site.store), &registry.catalog, NOW).await.unwrap();
        let before = objects(&site).await;
        let error = registry.collector.collect(FORCED).await.unwrap_err();
        assert!(matches!(error, AppError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains("names/webshop/@1.1"), "{error}");
        assert_eq!(objects(&site).await, before);

        push(&registry, &two).await.unwrap();
        assert!(is_visible(&registry, &two).await);
        match registry.collector.collect(FORCED).await {
            Ok(_) => assert!(!is_promoted),
            // The channel can be restored now.
            Err(error) => assert!(is_promoted && matches!(error, AppError::CatalogOld { .. })),
        }
        let database = Database::new();
        let catalog = database.open();
        let found = rebuild(Arc::clone(&site.store), &catalog, NOW).await.unwrap();
        assert_eq!((found.releases, found.channels), (1, u64::from(is_promoted)));
        assert_eq!(found.damage, []);
    }
}

#[tokio::test]
async fn a_pack_that_cannot_be_moved_is_named_and_hinders_no_collection() {
    let site = Site::new();
    let (old, new, gone) = (tiny("1.0", "ab"), tiny("1.1", "a"), tiny("2.0", "xy"));
    for release in [&old, &new, &gone] {
        push(&site.sound(), release).await.unwrap();
    }
    let pack = ObjectName::Pack(TinyDisk::new("ab").pack().digest);
    let mut bytes = site.store.get(&pack).await.unwrap().to_vec();
    bytes[24] ^= 1;
    site.store.replace(&pack, bytes.into()).await.unwrap();
    delete(&site.sound(), &old).await;
    delete(&site.sound(), &gone).await;
    let registry = site.sound();
    let done = registry.collector.collect(FORCED).await.unwrap();
    assert!(done.swept.pack_count > 0, "what is dead goes: {done:?}");
    assert!(site.store.len(&pack).await.unwrap().is_some(), "it may be mended");
    registry.content.locate_chunks(new.disks[0].chunks()).await.unwrap();
    let damage = registry.releases.damage(10).await.unwrap();
    assert_eq!(damage.0.len(), 1, "{damage:?}");
}

/// Publishes without uploading a pack, because every chunk is present.
async fn push_lean(registry: &Registry, tiny: &TinyRelease) {
    let application = tiny.release.application();
    let lease = registry.content.open_lease(application.clone(), Purpose::Push).await.unwrap();
    for disk in &tiny.disks {
        let (leaf, bytes) = disk.leaf_bytes();
        registry.content.put_leaf(lease, leaf, bytes).await.unwrap();
        let index = Bytes::from(disk.index.encode());
        registry.content.put_index(lease, disk.index.digest(), index).await.unwrap();
    }
    let bytes = Bytes::copy_from_slice(tiny.release.bytes());
    let publisher = Publisher { lease, token: "test".to_owned() };
    registry.releases.publish(application, bytes, publisher).await.unwrap();
}

/// Runs a check to its end. Returns the number of damage findings.
async fn check(site: &Site) -> usize {
    let registry = Arc::new(site.sound());
    registry.checker.start_fsck(FsckOrder { rate: 0, restart: false }).await.unwrap();
    loop {
        let status = registry.checker.fsck_status(10).await.unwrap();
        if status.state == Some(JobState::Complete) {
            let is_damage = |finding: &&Finding| finding.class == Class::Damage;
            return status.found.list.iter().filter(is_damage).count();
        }
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}

/// Checks that everything a release needs is intact and survives a collection.
async fn reads_back(site: &Site, tiny: &TinyRelease) {
    let registry = site.sound();
    registry.collector.collect(FORCED).await.unwrap();
    assert!(registry.releases.damage(10).await.unwrap().0.is_empty());
    for disk in &tiny.disks {
        let (packs, _) = registry.content.locate_chunks(disk.chunks()).await.unwrap();
        for pack in packs {
            assert!(registry.content.is_sound(pack).await.unwrap(), "{pack}");
        }
    }
}

/// Builds a site with a release that shares half of the pack of a deleted release.
async fn sparse() -> (Site, TinyRelease) {
    let site = Site::new();
    let (old, new) = (tiny("1.0", "ab"), tiny("1.1", "a"));
    push(&site.sound(), &old).await.unwrap();
    push_lean(&site.sound(), &new).await;
    delete(&site.sound(), &old).await;
    (site, new)
}

/// Repacks leave no record in the store: a pack with the only copy of a chunk stays, whatever the
/// catalog says about the pack.
#[tokio::test]
async fn a_catalog_from_before_a_repack_collects_no_chunk_that_moved() {
    let (mut site, new) = sparse().await;
    let copy = site.database.restored();
    let done = site.sound().collector.collect(FORCED).await.unwrap();
    assert_eq!((done.swept.repacked_count, done.swept.pack_count), (1, 1));
    let before = objects(&site).await;
    site.database = copy;

    for _ in 0..2 {
        site.sound().collector.collect(FORCED).await.unwrap();
        assert_eq!(objects(&site).await, before);
    }
    assert_eq!(check(&site).await, 1, "the catalog named a pack that is gone");
    assert_eq!(check(&site).await, 0, "the check gave its chunks their new place");
    reads_back(&site, &new).await;
}

/// A repair leaves such a pack, unknown to an older copy of the catalog.
#[tokio::test]
async fn a_pack_without_a_row_stays_while_what_it_holds_is_damaged_elsewhere() {
    let (site, new) = sparse().await;
    let brought = TinyDisk::new("a").pack();
    let (brought, bytes) = (ObjectName::Pack(brought.digest), brought.bytes);
    site.store.put(&brought, bytes).await.unwrap();
    let home = ObjectName::Pack(TinyDisk::new("ab").pack().digest);
    let mut bytes = site.store.get(&home).await.unwrap().to_vec();
    bytes[24] ^= 1;
    site.store.replace(&home, bytes.into()).await.unwrap();

    for _ in 0..2 {
        site.sound().collector.collect(FORCED).await.unwrap();
    }
    assert!(site.store.len(&brought).await.unwrap().is_some());
    check(&site).await;
    assert_eq!(check(&site).await, 0);
    reads_back(&site, &new).await;
    assert!(site.store.len(&home).await.unwrap().is_none(), "nothing lives in it any more");
}

/// The bytes freed by deleting a release are known, whatever the state of other releases.
#[tokio::test]
async fn a_damaged_release_hides_its_own_size_alone() {
    let site = Site::new();
    let (one, two) = (tiny("1.0", "ab"), tiny("1.1", "cd"));
    push(&site.sound(), &one).await.unwrap();
    push(&site.sound(), &two).await.unwrap();
    let registry = site.sound();
    let leaf = ObjectName::Leaf(two.disks[0].leaf.digest());
    for damaged in [leaf, ObjectName::Index(two.disks[0].index.digest())] {
        let sound = site.store.get(&damaged).await.unwrap();
        site.store.replace(&damaged, Bytes::from_static(b"x")).await.unwrap();
        site.pass(3600);
        let own = registry.collector.usage().await.unwrap().own_bytes;
        assert!(own[&one.release.digest()] > 0, "{damaged:?}: {own:?}");
        assert!(!own.contains_key(&two.release.digest()), "{damaged:?}: {own:?}");
        site.store.replace(&damaged, sound).await.unwrap();
    }
    assert_eq!(
        registry.collector.usage().await.unwrap().own_bytes.len(),
        1,
        "not looked at again so soon"
    );
    site.pass(3600);
    assert_eq!(registry.collector.usage().await.unwrap().own_bytes.len(), 2);
}
