//! Tests of checks over a failing store, and over a changing one.

use std::sync::atomic::AtomicU64;

use seawall_api::audit::Action;
use seawall_api::digest::PackDigest;

use super::*;
use crate::app::jobs::{JobState, PATIENCE_SECS};
use crate::app::records::{Record, ReleaseRecord, Subject};
use crate::app::tests::faults::BadSector;
use crate::app::tests::fixture::TinyRelease;
use crate::app::tests::{Site, push};
use crate::app::{Registry, Settings};
use crate::catalog::check::Findings;
use crate::catalog::jobs::JobKind;
use crate::catalog::{AuditQuery, Purpose};

const ORDER: FsckOrder = FsckOrder { rate: 0, restart: false };
/// The number of polls after which a check counts as stuck.
const LOOKS_MAX: u32 = 20_000;

async fn furnished() -> (Site, TinyRelease) {
    let site = Site::new();
    let tiny = TinyRelease::new("webshop", "1.0", "ab", "cd");
    push(&site.sound(), &tiny).await.unwrap();
    (site, tiny)
}

fn over(site: &Site, store: Arc<dyn seawall_store::port::ObjectStore>) -> Arc<Registry> {
    let catalog = site.database.open();
    Arc::new(Registry::new(store, catalog, Arc::clone(&site.host) as _, Settings::new(2)))
}

/// Runs a check to its end, successful or not.
async fn checked(registry: &Arc<Registry>) -> FsckStatus {
    registry.checker.start_fsck(ORDER).await.unwrap();
    for _ in 0..LOOKS_MAX {
        let status = registry.checker.fsck_status(100).await.unwrap();
        if status.state != Some(JobState::Running) {
            return status;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("the check does not end");
}

async fn newest(registry: &Registry) -> Job {
    registry.catalog.newest_job(JobKind::Check).await.unwrap().unwrap()
}

/// Returns the damaged objects in the audit log.
async fn logged(registry: &Registry) -> Vec<String> {
    let query = AuditQuery { action: Some(Action::Damage), limit: 10, ..AuditQuery::default() };
    let entries = registry.audit.entries(query).await.unwrap().items;
    entries.into_iter().map(|logged| logged.entry.facts["object"].clone()).collect()
}

fn damage(status: &FsckStatus) -> Vec<&Finding> {
    status.found.list.iter().filter(|finding| finding.class == Class::Damage).collect()
}

/// A failing store is not damage: the check fails, and the next one resumes. The loop ends with the
/// first check that met no fault.
#[tokio::test]
async fn a_store_that_fails_at_any_read_is_not_damage() {
    let (site, _) = furnished().await;
    for at in 0.. {
        let status = checked(&over(&site, site.failing_read(at))).await;
        assert_eq!(damage(&status), [] as [&Finding; 0], "read {at}");
        if status.state == Some(JobState::Complete) {
            assert!(at > 0, "no read was made to fail");
            return;
        }
        assert_eq!(status.state, Some(JobState::Failed), "read {at}");
        assert!(status.failure.is_some());
        let status = checked(&over(&site, Arc::clone(&site.store))).await;
        assert_eq!(status.state, Some(JobState::Complete), "read {at}");
        assert_eq!(status.found, Findings::default(), "read {at}");
    }
}

#[tokio::test]
async fn a_bad_sector_is_damage_where_the_disk_still_serves_and_a_failure_where_not() {
    let (site, tiny) = furnished().await;
    let pack: PackDigest = tiny.disks[0].pack().digest;
    let name = ObjectName::Pack(pack);
    let status = checked(&over(&site, site.bad_sector(name.clone(), false))).await;
    assert_eq!((status.state, damage(&status).len()), (Some(JobState::Failed), 0));
    let registry = over(&site, site.bad_sector(name.clone(), true));
    let status = checked(&registry).await;
    assert_eq!(status.state, Some(JobState::Complete));
    let found: Vec<_> = damage(&status).iter().map(|finding| finding.object.clone()).collect();
    assert_eq!(found, [name.path()]);
    let (damaged, _) = registry.releases.damage(10).await.unwrap();
    assert_eq!(damaged.len(), 1);
    assert_eq!(damaged[0].1[0].lost.object, name.path());
    assert_eq!(logged(&registry).await, [name.path()], "whoever watches is told");
    assert_eq!(damage(&checked(&registry).await).len(), 1);
    assert_eq!(logged(&registry).await.len(), 1, "once");
    // The next push of the same disk uploads the pack again.
    push(&site.sound(), &tiny).await.unwrap();
    let registry = over(&site, Arc::clone(&site.store));
    assert_eq!(registry.releases.damage(10).await.unwrap().0, []);
    assert_eq!(damage(&checked(&registry).await), [] as [&Finding; 0]);
}

/// Unreferenced objects are counted and listed, but never damage, even in a damaged state.
#[tokio::test]
async fn what_nobody_needs_is_reclaimable_whatever_its_state() {
    let (site, _) = furnished().await;
    let registry = site.sound();
    let lease =
        registry.content.open_lease("webshop".parse().unwrap(), Purpose::Push).await.unwrap();
    let stray = TinyRelease::new("webshop", "2.0", "xx", "yy");
    let disk = &stray.disks[0];
    let pack = disk.pack();
    registry.content.upload_pack(lease, pack.digest, pack.bytes).await.unwrap();
    let (leaf, bytes) = disk.leaf_bytes();
    registry.content.put_leaf(lease, leaf, bytes).await.unwrap();
    let unknown = ObjectName::Pack(PackDigest::of(b"unknown"));
    site.store.put(&unknown, Bytes::from_static(b"no pack")).await.unwrap();
    let check = over(&site, Arc::clone(&site.store));
    let status = checked(&check).await;
    assert_eq!(status.found.damage, []);
    assert_eq!(status.progress.reclaimable_count, 2, "{:?}", status.found.list);

    site.store.replace(&ObjectName::Leaf(leaf), Bytes::from_static(b"x")).await.unwrap();
    site.store
        .replace(&ObjectName::Pack(disk.pack().digest), Bytes::from_static(b"x"))
        .await
        .unwrap();
    let status = checked(&check).await;
    assert_eq!(status.found.damage, []);
    assert_eq!(status.progress.reclaimable_count, 3, "{:?}", status.found.list);
    assert!(check.releases.damage(10).await.unwrap().0.is_empty());
}

/// Rows that contradict a pack's footer are corrected.
#[tokio::test]
async fn a_row_that_lies_about_a_pack_is_corrected_by_the_pack() {
    let (site, tiny) = furnished().await;
    let pack = tiny.disks[0].pack();
    let catalog = site.database.open();
    site.database.change("UPDATE chunks SET frame_offset = frame_offset + 1");
    site.database.change("UPDATE packs SET len = len + 1");
    let registry = over(&site, Arc::clone(&site.store));
    let status = checked(&registry).await;
    assert!(status.found.list.iter().all(|finding| finding.class == Class::Mended));
    assert!(!status.found.list.is_empty());
    assert_eq!(catalog.pack_len(pack.digest).await.unwrap(), Some(pack.bytes.len() as u64));
    assert_eq!(checked(&registry).await.found, Findings::default());
}

/// One process runs the check; the other learns of the running check.
#[tokio::test]
async fn of_two_processes_one_runs_the_check() {
    let (site, _) = furnished().await;
    let [one, other] = [over(&site, Arc::clone(&site.store)), over(&site, Arc::clone(&site.store))];
    let slow = FsckOrder { rate: 1, restart: false };
    one.checker.start_fsck(slow).await.unwrap();
    other.checker.start_fsck(ORDER).await.unwrap();
    assert_eq!(other.checker.fsck_status(0).await.unwrap().state, Some(JobState::Running));
    let anew = FsckOrder { rate: 0, restart: true };
    assert!(matches!(one.checker.start_fsck(anew).await, Err(AppError::CheckRuns)));
    assert!(matches!(other.checker.start_fsck(anew).await, Err(AppError::CheckRuns)));
    other.checker.stop_fsck().await.unwrap();
    assert_eq!(other.checker.fsck_status(0).await.unwrap().state, Some(JobState::Stopped));
}

/// A step longer than the heartbeat timeout does not cause a takeover.
#[tokio::test]
async fn a_check_in_a_long_step_is_alive() {
    let (site, _) = furnished().await;
    let [one, other] = [over(&site, Arc::clone(&site.store)), over(&site, Arc::clone(&site.store))];
    let permits = Arc::clone(&one.content.proving).acquire_many_owned(2).await.unwrap();
    one.checker.start_fsck(ORDER).await.unwrap();
    let mut looks = 0;
    while other.checker.fsck_status(0).await.unwrap().phase != "packs" {
        looks += 1;
        assert!(looks < LOOKS_MAX, "it never comes to its long step");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for _ in 0..3 {
        site.pass(PATIENCE_SECS - 1);
        let mut looks = 0;
        while newest(&other).await.beat_at_secs < site.now_secs() {
            looks += 1;
            assert!(looks < LOOKS_MAX, "it does not beat");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    let status = other.checker.fsck_status(0).await.unwrap();
    assert_eq!((status.state, status.phase), (Some(JobState::Running), "packs"));
    let runner = newest(&one).await.id;
    other.checker.start_fsck(ORDER).await.unwrap();
    assert_eq!(newest(&one).await.id, runner, "it was taken over");
    drop(permits);
    assert_eq!(checked(&one).await.state, Some(JobState::Complete));
    site.pass(PATIENCE_SECS);
    assert_eq!(other.checker.fsck_status(0).await.unwrap().state, Some(JobState::Complete));
}

#[tokio::test]
async fn a_check_begun_right_after_a_stop_runs() {
    let (site, _) = furnished().await;
    let registry = over(&site, Arc::clone(&site.store));
    registry.checker.start_fsck(FsckOrder { rate: 1, restart: false }).await.unwrap();
    registry.checker.stop_fsck().await.unwrap();
    assert_eq!(checked(&registry).await.state, Some(JobState::Complete));
}

/// A single read error quarantines nothing: damage must be read twice.
#[tokio::test]
async fn a_read_that_fails_once_is_no_damage() {
    let (site, tiny) = furnished().await;
    let disk = &tiny.disks[0];
    for object in [
        ObjectName::Pack(disk.pack().digest),
        ObjectName::Leaf(disk.leaf.digest()),
        ObjectName::Index(disk.index.digest()),
        ObjectName::Release(tiny.release.digest()),
    ] {
        for (glitches, is_damaged) in [(1, false), (u64::MAX, true)] {
            let (inner, left) = (Arc::clone(&site.store), AtomicU64::new(glitches));
            let glitch = BadSector { inner, object: object.clone(), left, is_probed: true };
            let glitch = Arc::new(glitch);
            let registry = over(&site, Arc::clone(&glitch) as _);
            let status = checked(&registry).await;
            assert_eq!(status.state, Some(JobState::Complete), "{object:?}");
            assert_eq!(!damage(&status).is_empty(), is_damaged, "{object:?}: {:?}", status.found);
            assert!(glitch.left.load(Ordering::Relaxed) < glitches, "{object:?} was not read");
        }
        push(&site.sound(), &tiny).await.unwrap();
        assert_eq!(damage(&checked(&over(&site, Arc::clone(&site.store))).await).len(), 0);
    }
}

/// If the record and the row each have a document, both were acknowledged, and neither is
/// overwritten.
#[tokio::test]
async fn a_record_with_a_document_of_its_own_is_damage_and_stays() {
    let (site, tiny) = furnished().await;
    let other = TinyRelease::new("webshop", "1.0", "xx", "yy");
    let registry = over(&site, Arc::clone(&site.store));
    let row = registry.catalog.release_of(tiny.release.digest()).await.unwrap().unwrap();
    let name = Subject::of(&row).object();
    let mut record = ReleaseRecord::from(&row);
    record.digest = other.release.digest();
    let bytes = record.encode();
    site.store.replace(&name, bytes.clone()).await.unwrap();
    let document = ObjectName::Release(record.digest);
    let described = Bytes::copy_from_slice(other.release.bytes());
    site.store.put(&document, described).await.unwrap();

    let status = checked(&registry).await;

    let found: Vec<_> = damage(&status).iter().map(|finding| finding.object.clone()).collect();
    assert_eq!(found, [name.path()]);
    assert_eq!(site.store.get(&name).await.unwrap(), bytes);
    // Without the other document, only the catalog's release is confirmed.
    site.store.delete(&document).await.unwrap();
    let status = checked(&registry).await;
    assert_eq!(damage(&status), [] as [&Finding; 0]);
    assert_eq!(site.store.get(&name).await.unwrap(), ReleaseRecord::from(&row).encode());
}
