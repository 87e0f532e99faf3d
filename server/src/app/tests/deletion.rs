//! Tests of deletions and their records in the store.

use std::collections::HashSet;

use seawall_api::names::ApplicationName;

use super::*;
use crate::app::Settings;
use crate::app::maintenance::rebuild::rebuild;
use crate::app::retention::hosts::HostRuns;
use crate::app::retention::pins::NewPin;
use crate::app::retention::policies::Policy;

fn tiny(version: &str) -> TinyRelease {
    TinyRelease::new("team/webshop", version, "ab.c", "aabd")
}

fn version(tiny: &TinyRelease) -> Selector {
    Selector::Version(tiny.release.version().clone())
}

async fn delete(registry: &Registry, tiny: &TinyRelease) -> Result<(), AppError> {
    let (application, version) = (tiny.release.application(), tiny.release.version());
    registry.releases.delete(application, version, "ops".to_owned()).await.map(drop)
}

fn tombstone_object(tiny: &TinyRelease) -> ObjectName {
    let (application, version) = (tiny.release.application(), tiny.release.version());
    Subject::Tombstone(application.clone(), version.clone()).object()
}

/// Kills a deletion at each of its writes in turn, before and after the write.
#[tokio::test]
async fn a_deletion_that_dies_at_any_write_happened_or_not_and_can_be_tried_again() {
    for how in [Failing::Before, Failing::After] {
        for at in 0.. {
            let site = Site::new();
            let (old, new) = (tiny("1.0"), tiny("1.1"));
            push(&site.sound(), &old).await.unwrap();
            push(&site.sound(), &new).await.unwrap();
            let outcome = delete(&site.failing(at, how, broken), &old).await;
            let registry = site.sound();
            let found = registry.names.resolve(old.release.application(), &version(&old)).await;
            if outcome.is_ok() {
                assert!(matches!(found, Err(AppError::Gone { .. })), "{found:?}");
            }
            let again = delete(&registry, &old).await;
            match found {
                Ok(_) => again.unwrap(),
                Err(AppError::Gone { .. }) => assert_eq!(again.unwrap_err().code(), Code::Gone),
                Err(error) => panic!("neither there nor gone: {error}"),
            }
            assert!(site.store.len(&tombstone_object(&old)).await.unwrap().is_some(), "{at}");
            assert!(is_visible(&registry, &new).await);
            let error = push(&registry, &old).await.unwrap_err();
            assert!(matches!(error, AppError::VersionDeleted { .. }), "{error}");
            if outcome.is_ok() {
                assert!(at > 0, "no write was ever made to fail");
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_rebuilt_catalog_knows_what_was_deleted() {
    let site = Site::new();
    let registry = site.sound();
    let (old, new) = (tiny("1.0"), tiny("1.1"));
    push(&registry, &old).await.unwrap();
    push(&registry, &new).await.unwrap();
    promote(&registry, &old, Expected::Absent).await.unwrap();
    // After three more moves, `stable` no longer holds the release for a rollback.
    for sequence in 1..=3 {
        promote(&registry, &new, Expected::Sequence(sequence)).await.unwrap();
    }
    delete(&registry, &old).await.unwrap();
    // The state after a collection.
    site.store.delete(&ObjectName::Release(old.release.digest())).await.unwrap();

    let database = Database::new();
    let catalog = database.open();
    let found = rebuild(Arc::clone(&site.store), &catalog, NOW).await.unwrap();
    assert_eq!(found.damage, [], "what was deleted is not damaged");
    assert_eq!((found.releases, found.deleted, found.channels), (1, 1, 1));
    let (before, after) = (
        registry.catalog.tombstones(None, 10).await.unwrap(),
        catalog.tombstones(None, 10).await.unwrap(),
    );
    let said = |tombstones: &[crate::catalog::collect::Tombstone]| {
        let one = &tombstones[0];
        let release = &one.release;
        (
            tombstones.len(),
            (release.version.clone(), release.digest, release.published_at_secs),
            (release.published_by.clone(), one.deleted_at_secs, one.deleted_by.clone()),
        )
    };
    assert_eq!(said(&after), said(&before));
    let rebuilt =
        Registry::new(Arc::clone(&site.store), catalog, site.host.clone(), Settings::new(2));
    let history = rebuilt
        .releases
        .channel_history(old.release.application(), &"stable".parse().unwrap())
        .await
        .unwrap();
    assert_eq!(history.len(), 4, "histories name what was deleted, too");
    let error = push(&rebuilt, &old).await.unwrap_err();
    assert!(matches!(error, AppError::VersionDeleted { .. }), "{error}");
    let error = rebuilt.names.resolve(old.release.application(), &version(&old)).await.unwrap_err();
    assert_eq!(error.code(), Code::Gone);
    assert_eq!(rebuilt.records.complete().await.unwrap().written, 0, "nothing is missing");
}

/// A damaged tombstone is reported but still counts; the record of the release may be lost.
#[tokio::test]
async fn a_version_stays_deleted_whatever_is_left_of_its_records() {
    for harm in ["tombstone", "record", "digest"] {
        let site = Site::new();
        let old = tiny("1.0");
        push(&site.sound(), &old).await.unwrap();
        delete(&site.sound(), &old).await.unwrap();
        let (application, version) = (old.release.application(), old.release.version());
        let record = Subject::Release(application.clone(), version.clone()).object();
        match harm {
            "tombstone" => {
                site.store.replace(&tombstone_object(&old), Bytes::from("{}")).await.unwrap();
            }
            "record" => site.store.delete(&record).await.unwrap(),
            _ => {
                let other = tiny("1.1");
                push(&site.sound(), &other).await.unwrap();
                let text = site.store.get(&tombstone_object(&old)).await.unwrap();
                let text = String::from_utf8(text.to_vec()).unwrap();
                let text = text.replace(
                    &old.release.digest().to_string(),
                    &other.release.digest().to_string(),
                );
                site.store.replace(&tombstone_object(&old), Bytes::from(text)).await.unwrap();
            }
        }
        let database = Database::new();
        let catalog = database.open();
        let found = rebuild(Arc::clone(&site.store), &catalog, NOW).await.unwrap();
        assert_eq!(found.damage.len(), usize::from(harm != "record"), "{harm}: {found:?}");
        assert_eq!(found.deleted, 1, "{harm}");
        let host = site.host.clone();
        let rebuilt = Registry::new(Arc::clone(&site.store), catalog, host, Settings::new(2));
        let error = push(&rebuilt, &old).await.unwrap_err();
        assert!(matches!(error, AppError::VersionDeleted { .. }), "{harm}: {error}");
    }
}

#[tokio::test]
async fn a_tombstone_that_the_store_lacks_is_written_at_the_next_start() {
    let site = Site::new();
    let old = tiny("1.0");
    push(&site.sound(), &old).await.unwrap();
    delete(&site.sound(), &old).await.unwrap();
    let bytes = site.store.get(&tombstone_object(&old)).await.unwrap();
    site.store.delete(&tombstone_object(&old)).await.unwrap();
    assert_eq!(site.sound().records.complete().await.unwrap().written, 1);
    assert_eq!(site.store.get(&tombstone_object(&old)).await.unwrap(), bytes);
    assert_eq!(site.sound().records.complete().await.unwrap().written, 0);
}

/// An older copy of a catalog may list a release deleted since, but must not publish that version.
#[tokio::test]
async fn a_catalog_that_is_an_older_copy_publishes_no_deleted_version() {
    let site = Site::new();
    let old = tiny("1.0");
    push(&site.sound(), &old).await.unwrap();
    delete(&site.sound(), &old).await.unwrap();
    let database = Database::new();
    let catalog = database.open();
    let older =
        Registry::new(Arc::clone(&site.store), catalog, site.host.clone(), Settings::new(2));
    let error = push(&older, &old).await.unwrap_err();
    assert!(matches!(error, AppError::VersionDeleted { .. }), "{error}");
}

/// A plan lists exactly the releases that can be deleted; held releases stay.
#[tokio::test]
async fn applying_a_plan_deletes_what_it_says_and_what_is_held_meanwhile_stays() {
    let site = Site::new();
    let registry = site.sound();
    let application = tiny("1.0").release.application().clone();
    let releases: Vec<_> = (0..6).map(|n| tiny(&format!("1.{n}"))).collect();
    for release in &releases {
        push(&registry, release).await.unwrap();
        site.host.now_secs.fetch_add(10, Ordering::Relaxed);
    }
    promote(&registry, &releases[1], Expected::Absent).await.unwrap();
    let pin = NewPin {
        name: "audit".parse().unwrap(),
        reason: "the auditors read it".to_owned(),
        token: "ops".to_owned(),
    };
    registry.retention.pin(&application, &version(&releases[2]), pin.clone()).await.unwrap();
    let runs = HostRuns {
        application: application.clone(),
        instance: "/srv/shop".to_owned(),
        release: releases[3].release.digest(),
        channel: None,
        disks: 2,
        ttl_secs: 3600,
        reported_by: String::new(),
        speaks_for_all: true,
    };
    registry.retention.report_host("rack4".parse().unwrap(), runs).await.unwrap();
    let policy = Policy { keep_last: Some(1), ..Policy::default() };
    registry.retention.set_policy(&application, None, policy, "ops".to_owned()).await.unwrap();

    let plan = registry.retention.plan(&application).await.unwrap();
    let going: Vec<_> = plan.going().map(|release| release.version.to_string()).collect();
    assert_eq!(going, ["1.4", "1.0"]);
    // Pinned after the plan was read.
    registry.retention.pin(&application, &version(&releases[0]), pin).await.unwrap();
    let only = HashSet::from([releases[0].release.digest(), releases[4].release.digest()]);
    let outcome = registry.retention.apply(&application, Some(only), "ops").await.unwrap();
    let deleted: Vec<_> =
        outcome.deleted.iter().map(|tombstone| tombstone.release.version.as_str()).collect();
    assert_eq!(deleted, ["1.4"]);
    let collection = registry.collector.collect_status().await.unwrap();
    assert_ne!(collection, <_>::default(), "its bytes are being collected");
    let plan = registry.retention.plan(&application).await.unwrap();
    assert_eq!(plan.going().count(), 0);
    // Releases kept by the plan cannot be deleted by hand either.
    for (at, holder) in [(0, "pin audit"), (1, "channel stable"), (2, "pin"), (3, "host rack4")] {
        let error = delete(&registry, &releases[at]).await.unwrap_err();
        assert_eq!(error.code(), Code::Held);
        assert!(error.to_string().contains(holder), "{error}");
    }
    // After a day of silence, a host no longer blocks a deletion by hand, but retention waits a
    // month.
    site.host.now_secs.fetch_add(24 * 3600, Ordering::Relaxed);
    let plan = registry.retention.plan(&application).await.unwrap();
    assert_eq!(plan.going().count(), 0);
    delete(&registry, &releases[3]).await.unwrap();
    let hosts = registry.retention.hosts(None, None, 10).await.unwrap();
    assert!(hosts.items.is_empty(), "what a host ran is forgotten with it");
}

/// The cursor of a list never names an application that the caller may not see.
#[tokio::test]
async fn a_page_of_applications_ends_at_one_that_is_covered() {
    let site = Site::new();
    let registry = site.sound();
    for name in ["a", "b", "c", "d", "e"] {
        let tiny = TinyRelease::new(name, "1.0", "ab", "c");
        push(&registry, &tiny).await.unwrap();
    }
    let covers = |name: &ApplicationName| ["b", "d", "e"].contains(&name.as_str());
    let mut after = None;
    for (name, next) in [("b", Some("b")), ("d", Some("d")), ("e", None)] {
        let page = registry.releases.applications(after, 1, covers).await.unwrap();
        let names: Vec<_> = page.items.iter().map(|item| item.name.as_str()).collect();
        assert_eq!(names, [name]);
        assert_eq!(page.next.as_ref().map(ApplicationName::as_str), next);
        after = page.next;
    }
}
