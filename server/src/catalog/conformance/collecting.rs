//! The conformance of the counters, lists and moves of a collection.

use seawall_api::names::ApplicationName;

use super::super::collect::{
    Added, CollectState, Collectable, DeleteRequest, Deletion, PackKey, PackRow, PlaceRow, Sweep,
    Sweeping,
};
use super::*;
use crate::catalog::AuditQuery;

pub(super) fn shop() -> ApplicationName {
    "webshop".parse().unwrap()
}

/// Returns the counters of collection, without ending a lease.
pub(super) async fn state(catalog: &Catalog) -> CollectState {
    catalog.collect_state(0).await.unwrap()
}

/// Opens a lease that ends at `NOW + 100`, and returns it with its grip.
pub(super) async fn opened(catalog: &Catalog, seed: u8) -> (NewLease, Grip) {
    let lease = lease(seed, NOW + 100);
    assert_eq!(catalog.open_lease(lease.clone(), NOW).await.unwrap(), LeaseOpened::Done);
    let grip = catalog.lease(lease.id, NOW).await.unwrap().unwrap().grip;
    (lease, grip)
}

/// Adds the index of the suite and publishes a release of it.
pub(super) async fn published(catalog: &Catalog, version: &str) -> Release {
    let (lease, grip) = opened(catalog, 99).await;
    catalog.add_index(index_row(), grip).await.unwrap();
    let new = release(version, &lease, index_row().digest);
    assert_eq!(catalog.publish(new.clone()).await.unwrap(), Publication::Created);
    new.release
}

pub(super) async fn added(catalog: &Catalog, pack: &NewPack) {
    assert_eq!(catalog.add_pack(pack.clone(), Grip::ANY).await.unwrap(), Added::Present);
}

/// Adds a leaf of these chunks.
pub(super) async fn leaf_of(catalog: &Catalog, name: &str, chunks: &[u32]) -> LeafRow {
    let leaf = leaf_row(name);
    let chunks = chunks.iter().map(|n| sized(*n, 4096)).collect();
    assert_eq!(add_leaf(catalog, leaf, chunks).await, []);
    leaf
}

/// Returns the pack in which each chunk lies; `None` for chunks without a place.
pub(super) async fn packs_with(
    catalog: &Catalog,
    chunks: impl Iterator<Item = u32>,
) -> Vec<Option<PackDigest>> {
    let mut packs = Vec::new();
    for n in chunks {
        packs.push(match catalog.locate_chunks(vec![chunk(n)]).await.unwrap() {
            Located::All { packs, .. } => Some(packs[0]),
            Located::Missing(_) => None,
        });
    }
    packs
}

fn delete(version: &str) -> DeleteRequest {
    DeleteRequest {
        application: shop(),
        version: version.parse().unwrap(),
        now_secs: NOW,
        deleted_by: "ops".to_owned(),
        moves_held: 0,
    }
}

async fn deleted(catalog: &Catalog, version: &str) {
    let done = catalog.delete_release(delete(version)).await.unwrap();
    assert!(matches!(done, Deletion::Done(_)), "{done:?}");
}

pub(super) async fn the_right_to_sweep_is_exclusive_until_it_is_dropped(catalog: &Catalog) {
    let claim = catalog.claim_collecting().await.unwrap();
    assert!(claim.is_some());
    assert!(catalog.claim_collecting().await.unwrap().is_none());
    drop(claim);
    assert!(catalog.claim_collecting().await.unwrap().is_some());
}

pub(super) async fn each_counter_counts_its_own_events(catalog: &Catalog) {
    let new = CollectState {
        generation: 0,
        litter: 1,
        collected: 0,
        published: 0,
        sweeps: 0,
        condemned: 0,
        is_sweeping: false,
    };
    assert_eq!(state(catalog).await, new, "a new catalog asks for a first collection");
    catalog.end_collection(1).await.unwrap();
    published(catalog, "1.0").await;
    let one = CollectState { collected: 1, published: 1, ..new };
    assert_eq!(state(catalog).await, one);

    let packs = [pack(1, 0..1), pack(2, 1..2)].map(|pack| (pack.digest, pack.len));
    let leaf = Collectable::Leaf(leaf_row("leaf").digest);
    catalog.condemn(packs.to_vec(), vec![leaf]).await.unwrap();
    let condemned = CollectState { generation: 1, condemned: 3, ..one };
    assert_eq!(state(catalog).await, condemned);
    let sweep = Sweep { generation: 1, packs: vec![packs[0].0], ..Sweep::default() };
    let begun = catalog.begin_sweep(sweep).await.unwrap();
    let sweeping = CollectState { sweeps: 1, condemned: 2, is_sweeping: true, ..condemned };
    assert_eq!(state(catalog).await, sweeping);
    catalog.end_sweep(begun).await.unwrap();
    let ended = CollectState { sweeps: 2, is_sweeping: false, ..sweeping };
    assert_eq!(state(catalog).await, ended);
    let sweep = Sweep { generation: 1, objects: vec![leaf], ..Sweep::default() };
    catalog.begin_sweep(sweep).await.unwrap();
    let sweeping = CollectState { sweeps: 3, condemned: 1, is_sweeping: true, ..ended };
    assert_eq!(state(catalog).await, sweeping, "objects count as packs do");
}

pub(super) async fn every_publication_is_counted(catalog: &Catalog) {
    let release = published(catalog, "1.0").await;
    let (lease, grip) = opened(catalog, 1).await;
    let again =
        NewRelease { sweeps: grip.sweeps, ..self::release("1.0", &lease, index_row().digest) };
    assert_eq!(catalog.publish(again).await.unwrap(), Publication::AlreadyPresent);
    assert_eq!(state(catalog).await.published, 2, "a repetition may rely on the same content");
    let (lease, _) = opened(catalog, 2).await;
    let refused = self::release("2.0", &lease, IndexDigest::of(b"none"));
    assert!(matches!(catalog.publish(refused).await.unwrap(), Publication::IndexMissing(_)));
    let past =
        Release { version: "0.9".parse().unwrap(), digest: ReleaseDigest::of(b"past"), ..release };
    assert!(catalog.restore_release(past, vec![]).await.unwrap());
    assert_eq!(state(catalog).await.published, 2);
}

pub(super) async fn events_that_leave_unreachable_objects_count_as_litter(catalog: &Catalog) {
    let mut count = state(catalog).await.litter;
    let mut litter = async |more: u64, why: &str| {
        count += more;
        assert_eq!(state(catalog).await.litter, count, "{why}");
    };
    added(catalog, &pack(1, 0..2)).await;
    leaf_of(catalog, "leaf", &[0]).await;
    published(catalog, "1.0").await;
    litter(0, "a push leaves nothing behind").await;
    catalog.mark_pack_lost(pack(1, 0..0).digest).await.unwrap();
    litter(1, "a lost pack").await;
    catalog.mark_pack_lost(pack(1, 0..0).digest).await.unwrap();
    catalog.mark_pack_lost(PackDigest::of(b"none")).await.unwrap();
    litter(0, "a pack lost already, and one without a row").await;
    catalog.mark_leaf_lost(leaf_row("leaf").digest).await.unwrap();
    litter(1, "a lost leaf").await;
    let absent = catalog.delete_release(delete("9.0")).await.unwrap();
    assert_eq!(absent, Deletion::Absent);
    litter(0, "no deletion").await;
    deleted(catalog, "1.0").await;
    litter(1, "a deletion").await;
    let already = catalog.delete_release(delete("1.0")).await.unwrap();
    assert!(matches!(already, Deletion::Already(_)));
    litter(0, "a repeated deletion").await;

    let (kept, _) = opened(catalog, 1).await;
    catalog.end_lease(kept.id).await.unwrap();
    litter(0, "a lease under which nothing was stored").await;
    let (kept, _) = opened(catalog, 1).await;
    catalog.record_kept(kept.id).await.unwrap();
    catalog.end_lease(kept.id).await.unwrap();
    litter(1, "a lease without a release, under which something was stored").await;
    let (kept, _) = opened(catalog, 1).await;
    catalog.record_kept(kept.id).await.unwrap();
    let published = catalog.publish(release("2.0", &kept, index_row().digest)).await.unwrap();
    assert_eq!(published, Publication::Created);
    litter(0, "what was stored is released").await;
}

pub(super) async fn ended_leases_are_deleted_and_leave_litter(catalog: &Catalog) {
    let (kept, unused, alive) = (lease(1, NOW + 10), lease(2, NOW + 10), lease(3, NOW + 11));
    for lease in [&kept, &unused, &alive] {
        catalog.open_lease(lease.clone(), NOW).await.unwrap();
    }
    catalog.record_kept(kept.id).await.unwrap();
    catalog.record_kept(alive.id).await.unwrap();
    let before = state(catalog).await;
    assert_eq!(catalog.collect_state(NOW + 9).await.unwrap(), before);
    assert!(catalog.lease(unused.id, NOW).await.unwrap().is_some());
    let after = catalog.collect_state(NOW + 10).await.unwrap();
    assert_eq!(after, CollectState { litter: before.litter + 1, ..before });
    assert_eq!(catalog.collect_state(NOW + 10).await.unwrap(), after, "once");
    assert_eq!(catalog.lease(kept.id, NOW).await.unwrap(), None);
    assert_eq!(catalog.lease(unused.id, NOW).await.unwrap(), None);
    assert!(catalog.lease(alive.id, NOW).await.unwrap().is_some());
    // Opening a lease does the same.
    catalog.open_lease(lease(4, NOW + 50), NOW + 11).await.unwrap();
    assert_eq!(catalog.lease(alive.id, NOW).await.unwrap(), None);
    assert_eq!(state(catalog).await.litter, after.litter + 1);
    catalog.collect_state(NOW + 50).await.unwrap();
    assert_eq!(state(catalog).await.litter, after.litter + 1, "nothing was stored under the last");
}

pub(super) async fn the_roots_are_the_visible_releases(catalog: &Catalog) {
    assert_eq!(catalog.roots().await.unwrap().releases, []);
    published(catalog, "1.0").await;
    let two = published(catalog, "2.0").await;
    let restored = Release {
        application: "restored".parse().unwrap(),
        digest: ReleaseDigest::of(b"restored"),
        ..two.clone()
    };
    assert!(catalog.restore_release(restored.clone(), vec![]).await.unwrap());
    deleted(catalog, "1.0").await;
    let roots = catalog.roots().await.unwrap();
    assert_eq!(roots.releases, [two, restored]);
    assert_eq!(roots.published, 2);
}

pub(super) async fn all_packs_are_listed_with_their_state(catalog: &Catalog) {
    let packs = [pack(1, 0..1), pack(2, 1..2), pack(3, 2..3), pack(4, 3..4)];
    for pack in &packs {
        added(catalog, pack).await;
    }
    let [whole, lost, condemned, both] = packs.map(|pack| pack.digest);
    catalog.mark_pack_lost(lost).await.unwrap();
    catalog.mark_pack_lost(both).await.unwrap();
    catalog.condemn(vec![(condemned, 1000)], vec![]).await.unwrap();
    catalog.condemn(vec![(both, 1000)], vec![]).await.unwrap();
    let rows = catalog.all_packs().await.unwrap();
    let key = |digest| rows.iter().find(|row| row.digest == digest).unwrap().key;
    let want = [
        (whole, false, None),
        (lost, true, None),
        (condemned, false, Some(1)),
        (both, true, Some(2)),
    ];
    let want = want.map(|(digest, is_lost, condemned)| PackRow {
        key: key(digest),
        digest,
        len: 1000,
        is_lost,
        condemned,
    });
    assert_eq!(rows, want);
    let places = catalog.places_of((0..4).map(chunk).collect()).await.unwrap();
    let keys: Vec<_> = places.iter().map(|place| place.pack).collect();
    assert_eq!(keys, [whole, lost, condemned, both].map(key), "places name packs by key");
}

/// Returns the only pack's key.
async fn only_key(catalog: &Catalog) -> PackKey {
    let packs = catalog.all_packs().await.unwrap();
    assert_eq!(packs.len(), 1);
    packs[0].key
}

pub(super) async fn places_come_in_pages_by_digest(catalog: &Catalog) {
    assert_eq!(catalog.places(None, 10).await.unwrap(), []);
    let mut pack = pack(1, 0..5);
    for (n, frame) in (0..).zip(&mut pack.frames) {
        frame.stored_len = 50 + n;
    }
    added(catalog, &pack).await;
    let key = only_key(catalog).await;
    let place =
        |frame: &Frame| PlaceRow { digest: frame.digest, pack: key, stored_len: frame.stored_len };
    let mut all: Vec<_> = pack.frames.iter().map(place).collect();
    all.sort_by_key(|place| place.digest);
    let page = async |after, limit| catalog.places(after, limit).await.unwrap();
    assert_eq!(page(None, 5).await, all);
    assert_eq!(page(None, 2).await, all[..2]);
    assert_eq!(page(Some(all[1].digest), 2).await, all[2..4]);
    assert_eq!(page(Some(all[3].digest), 2).await, all[4..]);
    assert_eq!(page(Some(all[4].digest), 2).await, []);
    let absent = chunk(999);
    let behind: Vec<_> = all.iter().copied().filter(|place| place.digest > absent).collect();
    assert_eq!(page(Some(absent), 10).await, behind, "a cursor need not have a row");

    let asked = [4, 77, 0, 4].map(chunk).to_vec();
    let found = catalog.places_of(asked).await.unwrap();
    let want = [4, 0, 4].map(|n| place(&pack.frames[n]));
    assert_eq!(found, want, "in the order asked, without the chunk that has no place");
    assert_eq!(catalog.places_of(vec![]).await.unwrap(), []);
}

pub(super) async fn leaves_are_found_by_their_packs(catalog: &Catalog) {
    let (one, two, three) = (pack(1, 0..2), pack(2, 2..4), pack(3, 4..6));
    for pack in [&one, &two, &three] {
        added(catalog, pack).await;
    }
    let a = leaf_of(catalog, "a", &[0, 1]).await.digest;
    let b = leaf_of(catalog, "b", &[1, 2]).await.digest;
    let c = leaf_of(catalog, "c", &[3]).await.digest;
    let none = leaf_of(catalog, "none", &[]).await.digest;
    let sorted = |mut leaves: Vec<LeafDigest>| {
        leaves.sort();
        leaves
    };
    let leaves_in =
        async |packs: &[PackDigest]| sorted(catalog.leaves_in(packs.to_vec()).await.unwrap());
    assert_eq!(leaves_in(&[one.digest]).await, sorted(vec![a, b]));
    assert_eq!(leaves_in(&[two.digest]).await, sorted(vec![b, c]));
    let each_once = leaves_in(&[two.digest, one.digest, two.digest]).await;
    assert_eq!(each_once, sorted(vec![a, b, c]));
    assert_eq!(leaves_in(&[three.digest, PackDigest::of(b"none")]).await, []);

    catalog.add_index(index_row(), Grip::ANY).await.unwrap();
    let mut objects = catalog.all_objects().await.unwrap();
    objects.sort();
    let mut want = [a, b, c, none].map(Collectable::Leaf).to_vec();
    want.push(Collectable::Index(index_row().digest));
    want.sort();
    assert_eq!(objects, want, "every leaf and index with a row");
    catalog.delete_leaf_row(b).await.unwrap();
    assert_eq!(leaves_in(&[one.digest]).await, [a]);
}

pub(super) async fn a_repack_moves_only_chunks_that_lie_in_its_sources(catalog: &Catalog) {
    let (one, two, three) = (pack(1, 0..2), pack(2, 2..4), pack(3, 4..6));
    for pack in [&one, &two, &three] {
        added(catalog, pack).await;
    }
    let leaf = leaf_of(catalog, "leaf", &[0]).await.digest;
    let mut new = pack(4, (0..6).chain(9..10));
    for frame in &mut new.frames {
        (frame.offset, frame.stored_len, frame.encoding) = (frame.offset + 7, 55, 0);
    }
    let from = vec![one.digest, two.digest];
    let moved = catalog.move_frames(new.clone(), from, Grip::ANY).await.unwrap();
    assert_eq!(moved, Added::Present);
    let [to, stays] = [new.digest, three.digest].map(Some);
    let want = [to, to, to, to, stays, stays];
    assert_eq!(packs_with(catalog, 0..6).await, want);
    assert_eq!(packs_with(catalog, 9..10).await, [None], "it lay in no source");
    assert_eq!(catalog.pack_len(new.digest).await.unwrap(), Some(1000));
    let asked = [0, 3, 4].map(chunk).to_vec();
    let Located::All { places, .. } = catalog.locate_chunks(asked).await.unwrap() else {
        panic!("each has a place")
    };
    let frames: Vec<_> = places.iter().map(|place| place.frame).collect();
    assert_eq!(frames, [new.frames[0], new.frames[3], three.frames[0]]);
    assert_eq!(catalog.leaves_in(vec![one.digest]).await.unwrap(), [leaf], "as recorded before");

    let nothing = pack(5, 0..6);
    catalog.move_frames(nothing.clone(), vec![], Grip::ANY).await.unwrap();
    assert_eq!(packs_with(catalog, 0..6).await, want);
    assert_eq!(catalog.pack_len(nothing.digest).await.unwrap(), Some(1000));
}

pub(super) async fn a_repack_heals_and_pardons_its_pack(catalog: &Catalog) {
    let (one, new) = (pack(1, 0..2), pack(2, 0..2));
    added(catalog, &one).await;
    added(catalog, &new).await;
    catalog.mark_pack_lost(new.digest).await.unwrap();
    catalog.condemn(vec![(new.digest, 1000)], vec![]).await.unwrap();
    let litter = state(catalog).await.litter;
    let actor = Some(Actor { lease: None, at_secs: NOW + 5 });
    let grip = Grip { actor, ..Grip::ANY };
    for _ in 0..2 {
        let moved = catalog.move_frames(new.clone(), vec![one.digest], grip).await.unwrap();
        assert_eq!(moved, Added::Present);
    }
    let known = catalog.known_pack(new.digest).await.unwrap().unwrap();
    assert!(!known.is_lost && !known.is_condemned);
    assert_eq!(state(catalog).await.litter, litter + 1, "it was pardoned once");
    assert_eq!(packs_with(catalog, 0..2).await, [Some(new.digest); 2]);
    let log = catalog.audit(AuditQuery { limit: 10, ..AuditQuery::default() }).await.unwrap();
    let [repair] = &log[..] else { panic!("it was healed once: {log:?}") };
    assert_eq!((repair.entry.action, repair.entry.at_secs), (Action::Repair, NOW + 5));
}

pub(super) async fn a_repack_is_refused_once_its_pack_may_be_gone(catalog: &Catalog) {
    let (one, new) = (pack(1, 0..2), pack(2, 0..2));
    added(catalog, &one).await;
    let before = opened(catalog, 1).await.1;
    catalog.condemn(vec![(new.digest, 1000)], vec![]).await.unwrap();
    let go = async |grip| catalog.move_frames(new.clone(), vec![one.digest], grip).await.unwrap();
    let sweep = Sweep { generation: 1, packs: vec![new.digest], ..Sweep::default() };
    let begun = catalog.begin_sweep(sweep).await.unwrap();
    assert_eq!(begun, Sweeping { packs: vec![new.digest], objects: vec![] });
    assert_eq!(go(Grip::ANY).await, Added::Swept, "it is being swept");
    catalog.end_sweep(begun).await.unwrap();
    assert_eq!(go(before).await, Added::Swept, "a sweep began since");
    assert_eq!(packs_with(catalog, 0..2).await, [Some(one.digest); 2]);
    assert_eq!(catalog.pack_len(new.digest).await.unwrap(), None);
    let now = opened(catalog, 2).await.1;
    assert_eq!(go(now).await, Added::Present);
    assert_eq!(packs_with(catalog, 0..2).await, [Some(new.digest); 2]);
}
