//! The conformance of the rows that a check compares with the store.

use seawall_api::digest::DescriptorDigest;
use seawall_store::port::ObjectName;

use super::super::check::{Healing, KnownPack, LostObject};
use super::super::collect::Tombstone;
use super::collecting::{added, leaf_of, packs_with, published, shop};
use super::condemn::condemn;
use super::*;
use crate::catalog::AuditQuery;

/// Publishes 1.0 over `index`, whose one leaf lies in one pack.
async fn furnish(catalog: &Catalog) -> (Release, NewPack, LeafRow) {
    let pack = pack(1, 0..2);
    added(catalog, &pack).await;
    let leaf = leaf_of(catalog, "leaf", &[0, 1]).await;
    let release = published(catalog, "1.0").await;
    catalog.record_leaves(index_row().digest, vec![leaf.digest]).await.unwrap();
    (release, pack, leaf)
}

pub(super) async fn the_catalog_knows_what_a_release_needs(catalog: &Catalog) {
    let (release, needed, leaf) = furnish(catalog).await;
    let idle = pack(2, 2..3);
    added(catalog, &idle).await;
    let idle_leaf = leaf_of(catalog, "idle", &[2]).await;
    let index = index_row().digest;
    let unnamed = IndexDigest::of(b"unnamed");
    catalog.record_leaves(unnamed, vec![idle_leaf.digest]).await.unwrap();
    let none: Vec<IndexDigest> = vec![];
    let name = ObjectName::Name("webshop/1.0".to_owned());
    for (object, is_needed, by) in [
        (ObjectName::Pack(needed.digest), true, vec![index]),
        (ObjectName::Pack(idle.digest), false, none.clone()),
        (ObjectName::Leaf(leaf.digest), true, vec![index]),
        (ObjectName::Leaf(idle_leaf.digest), false, none.clone()),
        (ObjectName::Index(index), true, vec![index]),
        (ObjectName::Index(unnamed), false, vec![unnamed]),
        (ObjectName::Release(release.digest), true, none.clone()),
        (ObjectName::Release(ReleaseDigest::of(b"none")), false, none.clone()),
        (ObjectName::Descriptor(DescriptorDigest::of(b"x")), false, none.clone()),
        (name, false, none),
    ] {
        assert_eq!(catalog.is_needed(object.clone()).await.unwrap(), is_needed, "{object:?}");
        assert_eq!(catalog.indexes_needing(object.clone()).await.unwrap(), by, "{object:?}");
    }
}

pub(super) async fn only_indexes_with_a_row_are_linked(catalog: &Catalog) {
    let index = index_row();
    let other = IndexRow { digest: IndexDigest::of(b"other"), ..index };
    let absent = IndexDigest::of(b"absent");
    catalog.add_index(index, Grip::ANY).await.unwrap();
    let past = release("1.0", &lease(1, NOW), index.digest).release;
    let indexes = vec![index.digest, absent];
    assert!(catalog.restore_release(past.clone(), indexes).await.unwrap());
    let is_needed = async |index| catalog.is_needed(ObjectName::Index(index)).await.unwrap();
    assert!(is_needed(index.digest).await && !is_needed(absent).await);
    catalog.add_index(other, Grip::ANY).await.unwrap();
    for _ in 0..2 {
        let both = vec![absent, other.digest];
        catalog.record_indexes(past.digest, both.clone()).await.unwrap();
        catalog.record_indexes(ReleaseDigest::of(b"none"), both).await.unwrap();
    }
    assert!(is_needed(other.digest).await && !is_needed(absent).await);
    let leaf = LeafDigest::of(b"leaf");
    for _ in 0..2 {
        catalog.record_leaves(index.digest, vec![leaf]).await.unwrap();
        catalog.record_leaves(other.digest, vec![leaf]).await.unwrap();
    }
    let mut both = catalog.indexes_needing(ObjectName::Leaf(leaf)).await.unwrap();
    both.sort();
    let mut want = vec![index.digest, other.digest];
    want.sort();
    assert_eq!(both, want);
}

pub(super) async fn publishing_again_completes_a_restored_release(catalog: &Catalog) {
    let index = index_row();
    let lease = lease(1, NOW + 10);
    let whole = release("1.0", &lease, index.digest);
    let bare = Release { machines: vec![], disk_bytes: 0, data_bytes: 0, ..whole.release.clone() };
    assert!(catalog.restore_release(bare.clone(), vec![index.digest]).await.unwrap());
    catalog.add_index(index, Grip::ANY).await.unwrap();
    assert!(!catalog.is_needed(ObjectName::Index(index.digest)).await.unwrap());
    catalog.open_lease(lease.clone(), NOW).await.unwrap();
    let outcome = catalog.publish(whole.clone()).await.unwrap();
    assert_eq!(outcome, Publication::AlreadyPresent);
    assert_eq!(catalog.release(shop(), bare.digest).await.unwrap(), Some(whole.release));
    assert!(catalog.is_needed(ObjectName::Index(index.digest)).await.unwrap());
    assert_eq!(catalog.lease(lease.id, NOW).await.unwrap(), None);
}

pub(super) async fn a_lease_publishes_for_its_application_only(catalog: &Catalog) {
    let other = NewLease { application: "other".parse().unwrap(), ..lease(1, NOW + 10) };
    catalog.open_lease(other.clone(), NOW).await.unwrap();
    let mut new = release("1.0", &lease(1, 0), index_row().digest);
    new.indexes.clear();
    assert_eq!(catalog.publish(new).await.unwrap(), Publication::LeaseEnded);
    assert!(!catalog.has_application(shop()).await.unwrap());
    let mut own = release("1.0", &other, index_row().digest);
    own.indexes.clear();
    assert_eq!(catalog.publish(own).await.unwrap(), Publication::Created);
    assert!(catalog.has_application(other.application).await.unwrap());
}

/// Returns the damaged releases, and the lost objects of the only release.
async fn damage(catalog: &Catalog, release: &Release) -> (Vec<Release>, Vec<LostObject>) {
    let damaged = catalog.damaged_releases(10).await.unwrap();
    (damaged, catalog.lost_of(release.digest).await.unwrap())
}

pub(super) async fn a_lost_pack_leaf_or_noted_object_damages_its_releases(catalog: &Catalog) {
    let (one, needed, leaf) = furnish(catalog).await;
    let two = published(catalog, "2.0").await;
    let both = vec![two.clone(), one.clone()];
    let lost = |object: ObjectName, what: &str| {
        vec![LostObject { object: object.path(), what: what.to_owned() }]
    };
    let unsaid = "it is missing, truncated or unreadable";
    assert_eq!(damage(catalog, &one).await, (vec![], vec![]));

    added(catalog, &pack(2, 2..3)).await;
    catalog.mark_pack_lost(pack(2, 0..0).digest).await.unwrap();
    assert_eq!(damage(catalog, &one).await, (vec![], vec![]), "nobody needs it");
    catalog.mark_pack_lost(needed.digest).await.unwrap();
    let object = ObjectName::Pack(needed.digest);
    assert_eq!(damage(catalog, &one).await, (both.clone(), lost(object.clone(), unsaid)));
    assert_eq!(catalog.damaged_releases(1).await.unwrap(), both[..1], "the newest first");
    let noted = lost(object.clone(), "cut")[0].clone();
    catalog.record_damage(noted, vec![], NOW).await.unwrap();
    assert_eq!(damage(catalog, &one).await, (both.clone(), lost(object.clone(), "cut")));
    let actor = Actor { lease: None, at_secs: NOW };
    for healing in [Healing::IfNoted, Healing::Seen] {
        let is_sound = catalog.record_sound(object.clone(), actor, healing).await.unwrap();
        assert!(!is_sound, "its rows are to be added first");
    }
    added(catalog, &needed).await;
    assert_eq!(damage(catalog, &one).await, (vec![], vec![]));

    catalog.mark_leaf_lost(leaf.digest).await.unwrap();
    assert_eq!(catalog.leaves(vec![leaf.digest], Grip::ANY).await.unwrap(), [None]);
    let object = ObjectName::Leaf(leaf.digest);
    assert_eq!(damage(catalog, &one).await, (both, lost(object, unsaid)));
    leaf_of(catalog, "leaf", &[0, 1]).await;
    assert_eq!(damage(catalog, &one).await, (vec![], vec![]));

    let document = ObjectName::Release(one.digest);
    let gone = lost(document.clone(), "gone");
    catalog.record_damage(gone[0].clone(), vec![one.digest], NOW).await.unwrap();
    assert_eq!(damage(catalog, &one).await, (vec![one.clone()], gone.clone()));
    assert_eq!(catalog.lost_of(two.digest).await.unwrap(), [], "the other needs it not");
    catalog.record_damage(gone[0].clone(), vec![two.digest], NOW).await.unwrap();
    assert_eq!(damage(catalog, &two).await, (vec![two.clone(), one.clone()], gone));
    let (release, deleted_by) = (two.clone(), String::new());
    let buried = Tombstone { release, deleted_at_secs: NOW, deleted_by };
    catalog.restore_tombstone(buried).await.unwrap();
    assert_eq!(catalog.damaged_releases(10).await.unwrap(), std::slice::from_ref(&one));
    assert!(catalog.record_sound(document, actor, Healing::IfNoted).await.unwrap());
    assert_eq!(damage(catalog, &one).await, (vec![], vec![]));
}

pub(super) async fn a_frame_is_misplaced_if_any_field_differs(catalog: &Catalog) {
    let (here, there) = (pack(1, 0..2), pack(2, 1..3));
    added(catalog, &here).await;
    added(catalog, &there).await;
    let wrong = async |change: fn(&mut Frame)| {
        let mut frame = here.frames[0];
        change(&mut frame);
        let asked = vec![frame, here.frames[1]];
        catalog.misplaced(here.digest, asked).await.unwrap() == [frame]
    };
    assert!(!wrong(|_| {}).await);
    assert!(wrong(|frame| frame.offset += 1).await);
    assert!(wrong(|frame| frame.stored_len += 1).await);
    assert!(wrong(|frame| frame.plain_len = ChunkLen::new(4097).unwrap()).await);
    assert!(wrong(|frame| frame.encoding = 0).await);
    assert!(wrong(|frame| frame.digest = chunk(77)).await, "without a row");
    let elsewhere = Frame { offset: 1, ..there.frames[0] };
    let asked = vec![elsewhere, there.frames[1]];
    assert_eq!(
        catalog.misplaced(there.digest, asked).await.unwrap(),
        [],
        "it lies in another pack"
    );
}

pub(super) async fn a_pack_is_corrected_unless_it_is_condemned(catalog: &Catalog) {
    let (other, wrong) = (pack(2, 2..3), pack(1, 0..2));
    added(catalog, &other).await;
    added(catalog, &wrong).await;
    catalog.mark_pack_lost(wrong.digest).await.unwrap();
    let mut right = pack(1, 0..4);
    right.len = 999;
    for frame in &mut right.frames {
        let plain_len = ChunkLen::new(5000).unwrap();
        *frame =
            Frame { offset: frame.offset + 1, stored_len: 77, plain_len, encoding: 0, ..*frame };
    }
    condemn(catalog, &[&wrong], &[]).await;
    let correct = async || {
        let actor = Actor { lease: None, at_secs: NOW + 3 };
        catalog.correct_pack(right.clone(), actor).await.unwrap();
        let known = catalog.known_pack(wrong.digest).await.unwrap().unwrap();
        (known, catalog.misplaced(right.digest, right.frames[..2].to_vec()).await.unwrap().len())
    };
    let before = KnownPack { digest: wrong.digest, len: 1000, is_lost: true, is_condemned: true };
    assert_eq!(correct().await, (before, 2));
    catalog.pardon(vec![wrong.digest], vec![]).await.unwrap();
    let after = KnownPack { len: 999, is_lost: false, is_condemned: false, ..before };
    assert_eq!(correct().await, (after, 0));
    let want = [&wrong, &wrong, &other, &wrong].map(|pack| Some(pack.digest));
    assert_eq!(packs_with(catalog, 0..4).await, want);
    let repairs = AuditQuery { action: Some(Action::Repair), limit: 9, ..AuditQuery::default() };
    let log = catalog.audit(repairs).await.unwrap();
    let [repair] = &log[..] else { panic!("it was healed once: {log:?}") };
    assert_eq!(repair.entry.at_secs, NOW + 3);
}

pub(super) async fn rows_come_in_pages(catalog: &Catalog) {
    assert_eq!(catalog.packs_len().await.unwrap(), 0);
    let packs = [1, 2, 3].map(|n| pack(n, n..n + 1));
    let indexes = ["a", "b", "c"]
        .map(|name| IndexRow { digest: IndexDigest::of(name.as_bytes()), ..index_row() });
    let mut leaves = Vec::new();
    for pack in &packs {
        added(catalog, pack).await;
    }
    for (name, index) in ["x", "y", "z"].into_iter().zip(indexes) {
        leaves.push(leaf_of(catalog, name, &[1]).await);
        catalog.add_index(index, Grip::ANY).await.unwrap();
    }
    catalog.mark_pack_lost(packs[0].digest).await.unwrap();
    condemn(catalog, &[&packs[1]], &[]).await;
    assert_eq!(catalog.packs_len().await.unwrap(), 3000);
    assert_eq!(catalog.known_pack(PackDigest::of(b"none")).await.unwrap(), None);

    let mut known = packs.map(|pack| KnownPack {
        digest: pack.digest,
        len: 1000,
        is_lost: pack.digest == self::pack(1, 0..0).digest,
        is_condemned: pack.digest == self::pack(2, 0..0).digest,
    });
    known.sort_by_key(|pack| pack.digest);
    leaves.sort_by_key(|leaf| leaf.digest);
    assert_eq!(catalog.known_packs(None, 2).await.unwrap(), known[..2]);
    assert_eq!(catalog.known_packs(Some(known[1].digest), 2).await.unwrap(), known[2..]);
    assert_eq!(catalog.known_leaves(None, 2).await.unwrap(), leaves[..2], "complete or not");
    assert_eq!(catalog.known_leaves(Some(leaves[1].digest), 2).await.unwrap(), leaves[2..]);
    let (a, b) = (published(catalog, "2.0").await, published(catalog, "1.0").await);
    let after = |release: &Release| Some((release.application.clone(), release.version.clone()));
    assert_eq!(catalog.known_releases(None, 1).await.unwrap(), std::slice::from_ref(&a));
    assert_eq!(catalog.known_releases(after(&a), 9).await.unwrap(), std::slice::from_ref(&b));
    assert_eq!(catalog.known_releases(after(&b), 9).await.unwrap(), []);
}

pub(super) async fn a_catalog_that_can_be_written_has_no_barrier(catalog: &Catalog) {
    assert_eq!(catalog.barrier(), None);
    catalog.make_room().await.unwrap();
    catalog.make_room().await.unwrap();
    assert_eq!(catalog.barrier(), None);
    catalog.probe().await.unwrap();
    published(catalog, "1.0").await;
}

pub(super) async fn a_registry_is_given_one_identity(catalog: &Catalog) {
    assert_eq!(catalog.identity().await.unwrap(), None);
    let registry = RegistryId::from_bytes([7; 16]);
    let given = catalog.identify(registry).await.unwrap();
    assert_eq!(given, Identity { registry, store: None });
    let again = catalog.identify(RegistryId::from_bytes([8; 16])).await.unwrap();
    assert_eq!(again, given, "the first id stays");
    catalog.bind_store("s3://seawall".to_owned()).await.unwrap();
    let bound = Identity { store: Some("s3://seawall".to_owned()), ..given };
    assert_eq!(catalog.identity().await.unwrap(), Some(bound));
}
