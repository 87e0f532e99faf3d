//! The conformance of sweeps.

use std::collections::HashSet;

use seawall_api::digest::DescriptorDigest;
use seawall_store::port::ObjectName;

use super::super::collect::{Added, Collectable, Sweep, Sweeping};
use super::collecting::{added, leaf_of, opened, packs_with, published, shop, state};
use super::condemn::{
    condemn, condemned, content, one_of_each_kind, sorted, stored_again, sweeping,
};
use super::*;
use crate::catalog::AuditQuery;

/// Returns a sweep of these candidates, all of the first generation.
fn sweep(packs: &[&NewPack], objects: &[Collectable]) -> Sweep {
    let packs = packs.iter().map(|pack| pack.digest).collect();
    Sweep { generation: 1, packs, objects: objects.to_vec(), live_leaves: HashSet::new() }
}

async fn begun(catalog: &Catalog, sweep: Sweep) -> Sweeping {
    sorted(catalog.begin_sweep(sweep).await.unwrap())
}

pub(super) async fn a_sweep_takes_what_is_condemned_and_old_enough(catalog: &Catalog) {
    let packs = [pack(1, 0..1), pack(2, 1..2), pack(3, 2..3), pack(4, 3..4)];
    let [old, unasked, young, sound] = packs.each_ref();
    for pack in &packs {
        added(catalog, pack).await;
    }
    let [leaf, index, descriptor, document] = one_of_each_kind();
    condemn(catalog, &[old, unasked], &[leaf, index, document]).await;
    condemn(catalog, &[young], &[descriptor]).await;
    let asked = || {
        let packs = [sound, young, old, &pack(9, 0..0)];
        sweep(&packs, &[descriptor, document, leaf, Collectable::Leaf(leaf_row("sound").digest)])
    };
    let taken = content(&[old], &[leaf, document]);
    assert_eq!(begun(catalog, asked()).await, taken);
    assert_eq!(sweeping(catalog).await, taken);
    assert_eq!(condemned(catalog).await, content(&[unasked, young], &[index, descriptor]));
    assert_eq!(state(catalog).await.sweeps, 1);
    assert_eq!(begun(catalog, asked()).await, Sweeping::default(), "it is being swept already");
    assert_eq!(sweeping(catalog).await, taken);
    assert_eq!(state(catalog).await.sweeps, 2);
    let later = Sweep { generation: 2, ..asked() };
    assert_eq!(begun(catalog, later).await, content(&[young], &[descriptor]));
    assert_eq!(sweeping(catalog).await, content(&[old, young], &[leaf, descriptor, document]));
    assert_eq!(catalog.missing_chunks(vec![chunk(3)], Grip::NEWEST).await.unwrap(), [0_u32; 0]);
}

pub(super) async fn a_pack_that_a_live_leaf_needs_is_not_swept(catalog: &Catalog) {
    let (needed, dead) = (pack(1, 0..2), pack(2, 2..3));
    added(catalog, &needed).await;
    added(catalog, &dead).await;
    let live = leaf_of(catalog, "live", &[0]).await;
    let unreachable = leaf_of(catalog, "unreachable", &[1, 2]).await;
    condemn(catalog, &[&needed, &dead], &[]).await;
    let candidates =
        Sweep { live_leaves: HashSet::from([live.digest]), ..sweep(&[&needed, &dead], &[]) };
    assert_eq!(begun(catalog, candidates).await, content(&[&dead], &[]));
    assert_eq!(condemned(catalog).await, content(&[&needed], &[]));
    let rows = catalog.leaves(vec![live.digest, unreachable.digest], Grip::ANY).await.unwrap();
    assert_eq!(rows, [Some(live), None]);
}

pub(super) async fn leaves_lose_their_rows_with_their_packs(catalog: &Catalog) {
    let (chosen, kept, sound) = (pack(1, 0..2), pack(2, 2..3), pack(3, 3..4));
    for pack in [&chosen, &kept, &sound] {
        added(catalog, pack).await;
    }
    let torn = leaf_of(catalog, "torn", &[0, 2]).await.digest;
    let beside = leaf_of(catalog, "beside", &[2, 3]).await.digest;
    condemn(catalog, &[&chosen, &kept], &[]).await;
    let candidates = sweep(&[&chosen, &sound], &[]);
    assert_eq!(begun(catalog, candidates).await, content(&[&chosen], &[]));
    assert_eq!(catalog.all_objects().await.unwrap(), [Collectable::Leaf(beside)]);
    let both = vec![kept.digest, sound.digest, chosen.digest];
    assert_eq!(catalog.leaves_in(both).await.unwrap(), [beside]);
    assert_eq!(catalog.packs_of(vec![torn]).await.unwrap(), []);
    assert_eq!(packs_with(catalog, 0..1).await, [Some(chosen.digest)], "until it is forgotten");
}

pub(super) async fn objects_lose_their_rows_when_they_are_chosen(catalog: &Catalog) {
    added(catalog, &pack(1, 0..1)).await;
    let leaf = leaf_of(catalog, "leaf", &[0]).await.digest;
    let release = published(catalog, "1.0").await;
    let index = index_row().digest;
    catalog.record_leaves(index, vec![leaf]).await.unwrap();
    let needs = async |object| catalog.is_needed(object).await.unwrap();
    assert!(needs(ObjectName::Index(index)).await && needs(ObjectName::Leaf(leaf)).await);
    let objects = one_of_each_kind();
    condemn(catalog, &[], &objects).await;
    let all = content(&[], &objects);
    assert_eq!(begun(catalog, sweep(&[], &objects)).await, all);
    assert_eq!(catalog.all_objects().await.unwrap(), []);
    assert_eq!(catalog.leaves_in(vec![pack(1, 0..0).digest]).await.unwrap(), []);
    assert!(!needs(ObjectName::Index(index)).await);
    assert!(!needs(ObjectName::Leaf(leaf)).await);
    let roots = catalog.roots().await.unwrap().releases;
    assert_eq!(roots, std::slice::from_ref(&release), "releases have no rows");

    catalog.end_sweep(all).await.unwrap();
    catalog.add_index(index_row(), Grip::ANY).await.unwrap();
    assert!(!needs(ObjectName::Index(index)).await, "no release is linked to it any more");
    catalog.record_indexes(release.digest, vec![index]).await.unwrap();
    assert!(needs(ObjectName::Index(index)).await);
    assert!(!needs(ObjectName::Leaf(leaf)).await, "nor does it have its leaves any more");
}

pub(super) async fn nobody_relies_on_what_is_being_swept(catalog: &Catalog) {
    let one = pack(1, 0..1);
    let chunks = vec![sized(0, 4096)];
    added(catalog, &one).await;
    let [leaf, index, descriptor, document] = one_of_each_kind();
    let (older, _) = opened(catalog, 1).await;
    condemn(catalog, &[&one], &[leaf, index, descriptor, document]).await;
    let all = content(&[&one], &[leaf, index, descriptor, document]);
    let candidates = sweep(&[&one], &[leaf, index, descriptor, document]);
    assert_eq!(begun(catalog, candidates).await, all);
    let litter = state(catalog).await.litter;
    let grip = catalog.lease(older.id, NOW).await.unwrap().unwrap().grip;
    for grip in [Grip::ANY, grip] {
        assert_eq!(catalog.missing_chunks(vec![chunk(0)], grip).await.unwrap(), [0]);
        assert_eq!(catalog.leaves(vec![leaf_row("leaf").digest], grip).await.unwrap(), [None]);
        assert_eq!(catalog.index(index_row().digest, grip).await.unwrap(), None);
        let new = catalog.add_leaf(leaf_row("new"), chunks.clone(), grip).await.unwrap();
        assert_eq!(new, LeafAdded::Unfit(chunks.clone()));
        let same = catalog.add_leaf(leaf_row("leaf"), vec![], grip).await.unwrap();
        assert_eq!(same, LeafAdded::Swept);
        assert_eq!(catalog.add_index(index_row(), grip).await.unwrap(), Added::Swept);
        assert_eq!(catalog.add_pack(one.clone(), grip).await.unwrap(), Added::Swept);
        for object in [leaf, index, descriptor, document] {
            assert_eq!(stored_again(catalog, object, grip).await, Added::Swept);
        }
    }
    let new = release("1.0", &older, index_row().digest);
    let go = async |new: NewRelease| catalog.publish(new).await.unwrap();
    assert_eq!(go(new.clone()).await, Publication::IndexMissing(index_row().digest));
    let new = NewRelease { indexes: vec![], ..new };
    let descriptors = vec![DescriptorDigest::of(b"descriptor")];
    let lacking = NewRelease { descriptors: descriptors.clone(), ..new.clone() };
    assert_eq!(go(lacking).await, Publication::DescriptorMissing(descriptors[0]));
    assert_eq!(go(new).await, Publication::Swept);
    catalog.pardon(vec![one.digest], all.objects.clone()).await.unwrap();
    condemn(catalog, &[&one], &all.objects).await;
    assert_eq!(sweeping(catalog).await, all, "too late for a pardon");
    assert_eq!(condemned(catalog).await, Sweeping::default());
    assert_eq!(state(catalog).await.litter, litter);
    assert_eq!(catalog.application(shop()).await.unwrap(), None);
    let asked = catalog.locate_chunks(vec![chunk(0)]).await.unwrap();
    assert!(matches!(asked, Located::All { .. }), "readers find the place until it is forgotten");
}

/// Deletes places in pages of at least one chunk, each by a call of its own.
pub(super) async fn places_in_swept_packs_are_forgotten_page_by_page(catalog: &Catalog) {
    let (swept, condemned, sound) = (pack(1, 0..8), pack(2, 8..12), pack(3, 12..16));
    for pack in [&swept, &condemned, &sound] {
        added(catalog, pack).await;
    }
    condemn(catalog, &[&swept, &condemned], &[]).await;
    begun(catalog, sweep(&[&swept], &[])).await;
    let places = async || -> Vec<ChunkDigest> {
        catalog.places(None, 100).await.unwrap().iter().map(|place| place.digest).collect()
    };
    let all = places().await;
    let is_swept = |digest: &ChunkDigest| (0..8).any(|n| chunk(n) == *digest);
    let (mut after, mut pages) = (None, 0);
    loop {
        let next = catalog.delete_places(after, 3).await.unwrap();
        let Some(next) = next else { break };
        pages += 1;
        assert!(all.contains(&next) && after.is_none_or(|after| after < next));
        let seen = all.iter().filter(|digest| after.is_none_or(|at| **digest > at));
        assert!(seen.filter(|digest| **digest <= next).count() >= 3, "a page is full");
        let left = all.iter().filter(|digest| **digest > next || !is_swept(digest));
        assert_eq!(places().await, left.copied().collect::<Vec<_>>(), "up to the cursor");
        after = Some(next);
    }
    assert!(pages >= 3, "{pages} pages");
    let left: Vec<_> = all.iter().filter(|digest| !is_swept(digest)).copied().collect();
    assert_eq!(places().await, left, "the others keep their places");
    assert_eq!(catalog.delete_places(None, 100).await.unwrap(), None);
    assert_eq!(places().await, left);
}

pub(super) async fn a_cursor_spares_the_places_before_it(catalog: &Catalog) {
    let swept = pack(1, 0..6);
    added(catalog, &swept).await;
    condemn(catalog, &[&swept], &[]).await;
    begun(catalog, sweep(&[&swept], &[])).await;
    let all = catalog.places(None, 100).await.unwrap();
    let forgotten = catalog.delete_places(Some(all[2].digest), 100).await.unwrap();
    assert_eq!(forgotten, None, "all chunks were seen");
    assert_eq!(catalog.places(None, 100).await.unwrap(), all[..3]);
    let forgotten = catalog.delete_places(None, 100).await.unwrap();
    assert_eq!((forgotten, catalog.places(None, 100).await.unwrap()), (None, vec![]));
    assert_eq!(catalog.delete_places(None, 100).await.unwrap(), None, "an empty catalog");
}

pub(super) async fn the_end_of_a_sweep_deletes_the_rows_of_what_is_gone(catalog: &Catalog) {
    let (gone, lost, other) = (pack(1, 0..1), pack(2, 1..2), pack(3, 2..3));
    for pack in [&gone, &lost, &other] {
        added(catalog, pack).await;
    }
    let stays = leaf_of(catalog, "stays", &[2]).await.digest;
    catalog.mark_pack_lost(lost.digest).await.unwrap();
    let [leaf, index, descriptor, document] = one_of_each_kind();
    condemn(catalog, &[&gone, &lost, &other], &[leaf, index, descriptor, document]).await;
    begun(catalog, sweep(&[&gone, &lost], &[leaf, document, descriptor])).await;
    catalog.delete_places(None, 100).await.unwrap();
    let before = state(catalog).await;
    let done = content(&[&gone, &lost, &pack(9, 0..0)], &[document, leaf, index]);
    catalog.end_sweep(done.clone()).await.unwrap();
    assert_eq!(catalog.pack_len(gone.digest).await.unwrap(), None);
    assert_eq!(catalog.pack_len(lost.digest).await.unwrap(), None);
    let rows = catalog.all_packs().await.unwrap();
    assert_eq!(
        rows.iter().map(|row| (row.digest, row.condemned)).collect::<Vec<_>>(),
        [(other.digest, Some(1))]
    );
    assert_eq!(sweeping(catalog).await, content(&[], &[descriptor]), "not among what is done");
    assert_eq!(condemned(catalog).await, content(&[&other], &[index]), "it was not chosen");
    let after = state(catalog).await;
    assert_eq!((after.sweeps, after.litter), (before.sweeps + 1, before.litter));
    assert_eq!(after.generation, before.generation);
    assert_eq!(catalog.leaves_in(vec![other.digest]).await.unwrap(), [stays]);
    assert_eq!(packs_with(catalog, 0..3).await, [None, None, Some(other.digest)]);

    catalog.end_sweep(done).await.unwrap();
    assert_eq!(catalog.all_packs().await.unwrap(), rows, "a repetition changes no row");

    // Swept objects can be stored again. The catalog keeps no trace of the old ones.
    for pack in [&gone, &lost] {
        added(catalog, pack).await;
        let known = catalog.known_pack(pack.digest).await.unwrap().unwrap();
        assert!(!known.is_lost && !known.is_condemned);
    }
    for object in [leaf, document] {
        assert_eq!(stored_again(catalog, object, Grip::ANY).await, Added::Present);
    }
    assert_eq!(state(catalog).await.litter, before.litter, "there was nothing to pardon");
    let log = catalog.audit(AuditQuery { limit: 10, ..AuditQuery::default() }).await.unwrap();
    assert_eq!(log, [], "a pack that was swept is not healed");
}

pub(super) async fn a_collection_ends_with_the_litter_it_began_with(catalog: &Catalog) {
    added(catalog, &pack(1, 0..1)).await;
    catalog.mark_pack_lost(pack(1, 0..0).digest).await.unwrap();
    let began = state(catalog).await;
    added(catalog, &pack(2, 1..2)).await;
    catalog.mark_pack_lost(pack(2, 0..0).digest).await.unwrap();
    catalog.end_collection(began.litter).await.unwrap();
    let ended = state(catalog).await;
    assert_eq!((ended.collected, ended.litter), (began.litter, began.litter + 1));
    catalog.end_collection(ended.litter).await.unwrap();
    assert_eq!(state(catalog).await.collected, ended.litter);
}
