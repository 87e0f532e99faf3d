//! The conformance of deletions and tombstones.

use seawall_store::port::ObjectName;

use super::super::collect::{DeleteRequest, Deletion, Holder, Tombstone};
use super::super::retention::{HostReport, Pin};
use super::collecting::{published, shop, state};
use super::*;
use crate::catalog::AuditQuery;

fn delete(version: &str, moves_held: u32) -> DeleteRequest {
    DeleteRequest {
        application: shop(),
        version: version.parse().unwrap(),
        now_secs: NOW + 50,
        deleted_by: "ops".to_owned(),
        moves_held,
    }
}

async fn deleted(catalog: &Catalog, version: &str) -> Release {
    match catalog.delete_release(delete(version, 0)).await.unwrap() {
        Deletion::Done(release) => release,
        other => panic!("{version} is not held: {other:?}"),
    }
}

/// Moves a channel to these versions, one after the other.
async fn promoted(catalog: &Catalog, channel: &str, versions: &[&str]) {
    for (sequence, version) in (0..).zip(versions) {
        let request = MoveRequest {
            application: shop(),
            channel: channel.parse().unwrap(),
            expected: if sequence == 0 { Expected::Absent } else { Expected::Sequence(sequence) },
            release: ReleaseDigest::of(version.as_bytes()),
            now_secs: NOW,
            moved_by: "ops".to_owned(),
        };
        assert!(matches!(catalog.move_channel(request).await.unwrap(), Moved::Done(_)));
    }
}

async fn pinned(catalog: &Catalog, release: ReleaseDigest, name: &str) {
    let pin = Pin {
        name: name.parse().unwrap(),
        reason: format!("for {name}"),
        pinned_at_secs: NOW,
        pinned_by: "ops".to_owned(),
    };
    catalog.pin(shop(), release, pin).await.unwrap();
}

/// Reports that an instance on a host runs a release until `deadline_secs`.
async fn run(catalog: &Catalog, release: ReleaseDigest, place: [&str; 2], times: [u64; 2]) {
    let report = HostReport {
        host: place[0].parse().unwrap(),
        application: shop(),
        instance: place[1].to_owned(),
        release,
        channel: None,
        disks: 1,
        now_secs: times[0],
        deadline_secs: times[1],
        reported_by: String::new(),
        speaks_for_all: true,
    };
    catalog.report_host(report).await.unwrap();
}

pub(super) async fn a_held_release_is_not_deleted(catalog: &Catalog) {
    let one = published(catalog, "1.0").await;
    for version in ["2.0", "3.0"] {
        published(catalog, version).await;
    }
    promoted(catalog, "stable", &["2.0", "1.0"]).await;
    promoted(catalog, "beta", &["1.0"]).await;
    promoted(catalog, "past", &["1.0", "2.0", "1.0", "3.0", "2.0"]).await;
    promoted(catalog, "edge", &["1.0", "2.0"]).await;
    // The channel points at the release, so its earlier moves to the release do not matter.
    promoted(catalog, "again", &["1.0", "2.0", "1.0"]).await;
    pinned(catalog, one.digest, "b").await;
    pinned(catalog, one.digest, "a").await;
    run(catalog, one.digest, ["rack2", "/x"], [NOW, NOW + 51]).await;
    run(catalog, one.digest, ["rack2", "/y"], [NOW + 7, NOW + 60]).await;
    run(catalog, one.digest, ["rack1", "/x"], [NOW + 1, NOW + 60]).await;
    run(catalog, one.digest, ["silent", "/x"], [NOW, NOW + 50]).await;

    let channel = |name: &str| Holder::Channel(name.parse().unwrap());
    let history = |name: &str, moves_ago| {
        let channel = name.parse().unwrap();
        Holder::History { channel, moves_ago }
    };
    let pin = |name: &str| {
        let reason = format!("for {name}");
        Holder::Pin { name: name.parse().unwrap(), reason }
    };
    let host = |name: &str, renewed_at_secs| {
        let host = name.parse().unwrap();
        Holder::Host { host, renewed_at_secs }
    };
    let pointing = ["again", "beta", "stable"].map(channel);
    let others = [pin("a"), pin("b"), host("rack1", NOW + 1), host("rack2", NOW + 7)];
    let before = state(catalog).await;
    for (moves_held, past) in [
        (0, vec![]),
        (1, vec![history("edge", 1)]),
        (2, vec![history("edge", 1), history("past", 2)]),
        (9, vec![history("edge", 1), history("past", 2)]),
    ] {
        let want: Vec<_> =
            pointing.iter().cloned().chain(past).chain(others.iter().cloned()).collect();
        let outcome = catalog.delete_release(delete("1.0", moves_held)).await.unwrap();
        assert_eq!(outcome, Deletion::Held(want), "{moves_held} moves");
    }
    assert_eq!(state(catalog).await, before);
    assert_eq!(catalog.release(shop(), one.digest).await.unwrap(), Some(one));
    assert_eq!(catalog.tombstones(None, 10).await.unwrap(), []);
}

pub(super) async fn each_holder_alone_holds_a_release(catalog: &Catalog) {
    let one = published(catalog, "1.0").await;
    published(catalog, "2.0").await;
    let held_by =
        async |moves_held| match catalog.delete_release(delete("1.0", moves_held)).await.unwrap() {
            Deletion::Held(holders) => holders,
            other => panic!("{other:?}"),
        };
    pinned(catalog, one.digest, "a").await;
    assert!(matches!(&held_by(0).await[..], [Holder::Pin { .. }]));
    catalog
        .unpin(shop(), one.digest, "a".parse().unwrap(), Entry::new(Action::Unpin, "", NOW))
        .await
        .unwrap();
    run(catalog, one.digest, ["rack1", "/x"], [NOW, NOW + 51]).await;
    assert!(matches!(&held_by(0).await[..], [Holder::Host { .. }]));
    run(catalog, one.digest, ["rack1", "/x"], [NOW, NOW + 50]).await;
    promoted(catalog, "stable", &["1.0"]).await;
    assert!(matches!(&held_by(0).await[..], [Holder::Channel(_)]));
    let request = MoveRequest {
        application: shop(),
        channel: "stable".parse().unwrap(),
        expected: Expected::Sequence(1),
        release: ReleaseDigest::of(b"2.0"),
        now_secs: NOW,
        moved_by: "ops".to_owned(),
    };
    catalog.move_channel(request).await.unwrap();
    assert!(matches!(&held_by(1).await[..], [Holder::History { moves_ago: 1, .. }]));
    assert_eq!(deleted(catalog, "1.0").await, one, "no move is held");
}

pub(super) async fn a_deletion_leaves_a_tombstone(catalog: &Catalog) {
    let one = published(catalog, "1.0").await;
    let index = ObjectName::Index(index_row().digest);
    assert!(catalog.is_needed(index.clone()).await.unwrap());
    run(catalog, one.digest, ["silent", "/x"], [NOW, NOW + 50]).await;
    let go = async |request| catalog.delete_release(request).await.unwrap();
    assert_eq!(go(delete("9.0", 0)).await, Deletion::Absent);
    let elsewhere = DeleteRequest { application: "other".parse().unwrap(), ..delete("1.0", 0) };
    assert_eq!(go(elsewhere).await, Deletion::Absent);
    let before = state(catalog).await;

    assert_eq!(deleted(catalog, "1.0").await, one);
    let after = state(catalog).await;
    assert_eq!((after.litter, after.published), (before.litter + 1, before.published));
    assert!(!catalog.is_needed(index).await.unwrap(), "it needs no index any more");
    assert!(catalog.hosts(None, None, 10).await.unwrap().rows.is_empty());
    assert_eq!(catalog.release(shop(), one.digest).await.unwrap(), None);
    assert_eq!(catalog.release_of(one.digest).await.unwrap(), None);
    let named = catalog.named_release(shop(), one.version.clone()).await.unwrap();
    assert_eq!(named, Some(one.clone()), "deleted or not");
    assert_eq!(catalog.known_releases(None, 10).await.unwrap(), []);
    assert!(!catalog.is_needed(ObjectName::Release(one.digest)).await.unwrap());
    let buried =
        Tombstone { release: one.clone(), deleted_at_secs: NOW + 50, deleted_by: "ops".to_owned() };
    let later =
        DeleteRequest { now_secs: NOW + 90, deleted_by: "another".to_owned(), ..delete("1.0", 0) };
    assert_eq!(go(later).await, Deletion::Already(buried.clone()));
    assert_eq!(catalog.tombstones(None, 10).await.unwrap(), [buried]);
    assert_eq!(state(catalog).await, after);

    let lease = lease(1, NOW + 100);
    catalog.open_lease(lease.clone(), NOW).await.unwrap();
    let again = release("1.0", &lease, index_row().digest);
    assert_eq!(catalog.publish(again).await.unwrap(), Publication::Deleted(NOW + 50));
    let log = catalog.audit(AuditQuery { limit: 10, ..AuditQuery::default() }).await.unwrap();
    let [deletion, _publication] = &log[..] else { panic!("each act once: {log:?}") };
    let entry = &deletion.entry;
    assert_eq!((entry.action, &*entry.actor, entry.at_secs), (Action::Delete, "ops", NOW + 50));
    assert_eq!((&entry.version, entry.release), (&Some(one.version), Some(one.digest)));
}

pub(super) async fn pins_end_with_their_release(catalog: &Catalog) {
    let one = published(catalog, "1.0").await;
    pinned(catalog, one.digest, "a").await;
    run(catalog, one.digest, ["rack1", "/x"], [NOW, NOW + 999]).await;
    // Restoring a tombstone ignores holders.
    let (release, deleted_by) = (one.clone(), "ops".to_owned());
    let past = Tombstone { release, deleted_at_secs: NOW + 5, deleted_by };
    let before = state(catalog).await;
    catalog.restore_tombstone(past.clone()).await.unwrap();
    assert_eq!(catalog.tombstones(None, 10).await.unwrap(), std::slice::from_ref(&past));
    let inventory = catalog.inventory(shop()).await.unwrap();
    assert_eq!((inventory.releases, inventory.pins, inventory.hosts), (vec![], vec![], vec![]));
    assert!(!catalog.is_needed(ObjectName::Index(index_row().digest)).await.unwrap());
    assert_eq!(state(catalog).await, before, "a rebuild looks for litter anyway");
    let deletions = AuditQuery { action: Some(Action::Delete), limit: 9, ..AuditQuery::default() };
    assert_eq!(catalog.audit(deletions).await.unwrap(), [], "it happened before");
    let unknown = Tombstone {
        release: Release { digest: ReleaseDigest::of(b"unknown"), ..one },
        ..past.clone()
    };
    catalog.restore_tombstone(unknown).await.unwrap();
    assert_eq!(catalog.tombstones(None, 10).await.unwrap(), [past]);
}

pub(super) async fn tombstones_come_in_pages_in_order_of_publication(catalog: &Catalog) {
    for version in ["3.0", "1.0", "4.0", "2.0"] {
        published(catalog, version).await;
    }
    for version in ["4.0", "2.0", "3.0"] {
        deleted(catalog, version).await;
    }
    let after = |version: &str| Some((shop(), version.parse().unwrap()));
    let page = async |after, limit| -> Vec<String> {
        let page = catalog.tombstones(after, limit).await.unwrap();
        page.iter().map(|buried| buried.release.version.to_string()).collect()
    };
    assert_eq!(page(None, 10).await, ["3.0", "4.0", "2.0"]);
    assert_eq!(page(None, 1).await, ["3.0"]);
    assert_eq!(page(after("3.0"), 1).await, ["4.0"]);
    assert_eq!(page(after("4.0"), 10).await, ["2.0"]);
    assert_eq!(page(after("2.0"), 10).await, [""; 0]);
    assert_eq!(page(after("1.0"), 10).await, ["4.0", "2.0"], "a visible release is a cursor, too");
    assert_eq!(page(after("9.0"), 10).await, [""; 0], "behind a release that never was");
}
