//! The conformance of damage, and of the rows that checks compare with the store.

use seawall_api::audit::Action;
use seawall_api::digest::DescriptorDigest;
use seawall_store::port::ObjectName;

use super::super::check::{Healing, KnownPack, LostObject};
use super::super::collect::{Actor, Grip};
use super::*;
use crate::catalog::{AuditQuery, Entry};

/// The actor of repairs made by a check.
const CHECK: Actor = Actor { lease: None, at_secs: NOW + 30 };
/// Runs after `publishing_is_all_or_nothing`, which leaves two releases of `index`. Its one leaf
/// lies in a pack.
pub(super) async fn a_release_is_damaged_until_what_it_lacks_is_there_again(catalog: &Catalog) {
    let (index, leaf) = (index_row().digest, leaf_row("checked"));
    catalog.add_pack(pack(70, 700..702), Grip::ANY).await.unwrap();
    let chunks = vec![sized(700, 4096)];
    assert_eq!(
        catalog.add_leaf(leaf, chunks.clone(), Grip::ANY).await.unwrap(),
        LeafAdded::Present
    );
    catalog.record_leaves(index, vec![leaf.digest]).await.unwrap();
    let released = catalog.known_releases(None, 10).await.unwrap();
    let first = released.first().expect("some release is there").clone();
    catalog.record_indexes(first.digest, vec![index]).await.unwrap();
    let pack_name = ObjectName::Pack(pack(70, 0..0).digest);
    for object in [pack_name.clone(), ObjectName::Leaf(leaf.digest), ObjectName::Index(index)] {
        assert!(catalog.is_needed(object).await.unwrap());
    }
    assert!(!catalog.is_needed(ObjectName::Leaf(LeafDigest::of(b"?"))).await.unwrap());
    let lost = || async { catalog.lost_of(first.digest).await.unwrap() };
    assert_eq!(lost().await, []);
    assert_eq!(healed(catalog).await, [""; 0]);
    let lease = lease(7, NOW + 50);
    catalog.open_lease(lease.clone(), NOW).await.unwrap();
    let grip = catalog.lease(lease.id, NOW + 40).await.unwrap().unwrap().grip;

    catalog.mark_pack_lost(pack(70, 0..0).digest).await.unwrap();
    assert_eq!(lost().await.first().map(|lost| &*lost.object), Some(&*pack_name.path()));
    let damaged = catalog.damaged_releases(10).await.unwrap();
    assert!(damaged.iter().any(|release| release.digest == first.digest));
    // The pack comes twice; the repair is logged once.
    for _ in 0..2 {
        catalog.add_pack(pack(70, 700..702), grip).await.unwrap();
    }
    assert_eq!(lost().await, []);
    assert_eq!(healed(catalog).await, [pack_name.path()]);
    // The leaf's chunks come in another pack, and the leaf is added again.
    catalog.mark_pack_lost(pack(70, 0..0).digest).await.unwrap();
    catalog.add_pack(pack(71, 700..702), grip).await.unwrap();
    assert_eq!(healed(catalog).await, [pack_name.path()], "its leaf still needs it");
    assert_eq!(catalog.add_leaf(leaf, chunks.clone(), grip).await.unwrap(), LeafAdded::Present);
    assert_eq!(lost().await, []);
    assert!(!catalog.is_needed(pack_name.clone()).await.unwrap(), "nobody needs the old one");
    assert_eq!(healed(catalog).await, [pack_name.path(), pack_name.path()]);

    catalog.mark_leaf_lost(leaf.digest).await.unwrap();
    let name = ObjectName::Leaf(leaf.digest).path();
    assert_eq!(lost().await.first().map(|lost| &lost.object), Some(&name));
    let noted = LostObject { object: name.clone(), what: "cut".to_owned() };
    catalog.record_damage(noted, vec![], NOW).await.unwrap();
    // The leaf's bytes are there, but it is incomplete until its row is added.
    let object = ObjectName::Leaf(leaf.digest);
    assert!(!catalog.record_sound(object, CHECK, Healing::IfNoted).await.unwrap());
    for _ in 0..2 {
        let added = catalog.add_leaf(leaf, chunks.clone(), grip).await.unwrap();
        assert_eq!(added, LeafAdded::Present);
    }
    assert_eq!(lost().await, []);
    assert_eq!(healed(catalog).await.last(), Some(&name));

    let named_object = ObjectName::Descriptor(DescriptorDigest::of(b"x"));
    let named = LostObject { object: named_object.path(), what: "gone".to_owned() };
    catalog.record_damage(named.clone(), vec![first.digest], NOW).await.unwrap();
    assert_eq!(lost().await, std::slice::from_ref(&named));
    let sound = async |healing| catalog.record_sound(named_object.clone(), CHECK, healing).await;
    assert!(sound(Healing::IfNoted).await.unwrap());
    assert!(!sound(Healing::IfNoted).await.unwrap());
    assert!(sound(Healing::Seen).await.unwrap(), "somebody saw it who noted nothing");
    assert_eq!(lost().await, []);
    assert!(catalog.damaged_releases(10).await.unwrap().is_empty());

    each_healing_is_logged_once(catalog, &lease).await;
    catalog.end_lease(lease.id).await.unwrap();
}

async fn each_healing_is_logged_once(catalog: &Catalog, lease: &NewLease) {
    let log = repairs(catalog).await;
    let (last, first) = (&log[log.len() - 1], &log[0]);
    assert_eq!(log.len(), 5, "each healing once");
    assert_eq!((last.actor.as_str(), last.at_secs, &last.application), ("", NOW + 30, &None));
    assert_eq!((first.actor.as_str(), first.at_secs), ("ci", NOW + 40));
    assert_eq!(first.application, Some(lease.application.clone()));
    assert_eq!(log[2].facts["was"], "cut");
}

/// Returns the repairs in the log, oldest first.
async fn repairs(catalog: &Catalog) -> Vec<Entry> {
    let query = AuditQuery { action: Some(Action::Repair), limit: 100, ..AuditQuery::default() };
    let log = catalog.audit(query).await.unwrap();
    log.into_iter().rev().map(|logged| logged.entry).collect()
}

async fn healed(catalog: &Catalog) -> Vec<String> {
    repairs(catalog).await.iter().map(|entry| entry.facts["object"].clone()).collect()
}

pub(super) async fn rows_are_listed_and_corrected(catalog: &Catalog) {
    let packs = catalog.known_packs(None, 1000).await.unwrap();
    assert!(packs.is_sorted_by_key(|pack| pack.digest) && packs.len() > 1);
    let after = catalog.known_packs(Some(packs[0].digest), 1).await.unwrap();
    assert_eq!(after, packs[1..2]);
    assert!(catalog.packs_len().await.unwrap() >= 1000 * packs.len() as u64);
    // A row that disagrees with its pack.
    let right = pack(71, 700..702);
    let mut wrong = right.frames.clone();
    wrong[0].offset += 1;
    assert_eq!(catalog.misplaced(right.digest, right.frames.clone()).await.unwrap(), []);
    let misplaced = catalog.misplaced(right.digest, wrong.clone()).await.unwrap();
    assert_eq!(misplaced, wrong[..1]);
    catalog
        .correct_pack(NewPack { digest: right.digest, len: 999, frames: wrong.clone() }, CHECK)
        .await
        .unwrap();
    assert_eq!(catalog.misplaced(right.digest, wrong).await.unwrap(), []);
    let known = KnownPack { digest: right.digest, len: 999, is_lost: false, is_condemned: false };
    assert_eq!(catalog.known_pack(right.digest).await.unwrap(), Some(known));

    let leaves = catalog.known_leaves(None, 1000).await.unwrap();
    assert!(leaves.is_sorted_by_key(|leaf| leaf.digest) && !leaves.is_empty());
    let moves = catalog.known_moves(String::new(), 1000).await.unwrap();
    let all: Vec<_> = moves.iter().map(|row| row.change.sequence).collect();
    assert!(!all.is_empty());
    let mut paged = Vec::new();
    let mut after = String::new();
    while let Some(row) = catalog.known_moves(after, 1).await.unwrap().pop() {
        after = row.at.clone();
        let found = catalog.known_move(row.application, row.channel, row.change.sequence).await;
        assert_eq!(found.unwrap(), Some(row.change.clone()));
        paged.push(row.change.sequence);
    }
    assert_eq!(paged, all);
    for release in catalog.known_releases(None, 1000).await.unwrap() {
        let (application, version) = (release.application.clone(), release.version.clone());
        let named = catalog.named_release(application, version).await.unwrap();
        assert_eq!(named.as_ref(), Some(&release));
        assert_eq!(catalog.release_of(release.digest).await.unwrap(), Some(release));
    }
    assert_eq!(catalog.check_rows().await.unwrap(), [""; 0]);
}
