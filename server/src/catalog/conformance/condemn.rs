//! The conformance of condemning and pardoning, and of the content that each grip may rely on.

use seawall_api::digest::DescriptorDigest;

use super::super::check::Healing;
use super::super::collect::{Added, Collectable, OlderLeases, Stored, Sweep, Sweeping};
use super::collecting::{added, leaf_of, opened, packs_with, published, state};
use super::*;

/// Returns one object of each kind; none has a row.
pub(super) fn one_of_each_kind() -> [Collectable; 4] {
    [
        Collectable::Leaf(leaf_row("leaf").digest),
        Collectable::Index(index_row().digest),
        Collectable::Descriptor(DescriptorDigest::of(b"descriptor")),
        Collectable::Release(ReleaseDigest::of(b"1.0")),
    ]
}

pub(super) async fn condemn(catalog: &Catalog, packs: &[&NewPack], objects: &[Collectable]) -> u64 {
    let packs = packs.iter().map(|pack| (pack.digest, pack.len)).collect();
    catalog.condemn(packs, objects.to_vec()).await.unwrap()
}

/// Stores the bytes of an object again under `grip`.
pub(super) async fn stored_again(catalog: &Catalog, object: Collectable, grip: Grip) -> Added {
    let stored = Stored { grip, healing: Healing::IfNoted, is_metered: false };
    catalog.keep_object(object, stored).await.unwrap()
}

/// Returns the condemned content in ascending order.
pub(super) async fn condemned(catalog: &Catalog) -> Sweeping {
    sorted(catalog.condemned().await.unwrap())
}

/// Returns the content being swept in ascending order.
pub(super) async fn sweeping(catalog: &Catalog) -> Sweeping {
    sorted(catalog.sweeping().await.unwrap())
}

pub(super) fn sorted(mut content: Sweeping) -> Sweeping {
    content.packs.sort();
    content.objects.sort();
    content
}

pub(super) fn content(packs: &[&NewPack], objects: &[Collectable]) -> Sweeping {
    let packs = packs.iter().map(|pack| pack.digest).collect();
    sorted(Sweeping { packs, objects: objects.to_vec() })
}

fn of(generation: u64) -> Grip {
    Grip { generation, ..Grip::ANY }
}

pub(super) async fn each_condemnation_is_a_new_generation(catalog: &Catalog) {
    assert_eq!(condemn(catalog, &[], &[]).await, 1);
    assert_eq!(condemn(catalog, &[], &[]).await, 2);
    assert_eq!(state(catalog).await.generation, 2);
    assert_eq!(condemned(catalog).await, Sweeping::default());
    let (_, grip) = opened(catalog, 1).await;
    assert_eq!(grip.generation, 2, "a lease remembers the generation in which it was opened");
    condemn(catalog, &[], &[]).await;
    let alive = catalog.lease(lease(1, 0).id, NOW).await.unwrap().unwrap();
    assert_eq!(alive.grip.generation, 2);
}

pub(super) async fn a_pack_without_a_row_can_be_condemned(catalog: &Catalog) {
    let (known, unknown) = (pack(1, 0..1), pack(2, 1..2).digest);
    added(catalog, &known).await;
    let packs = vec![(unknown, 77), (known.digest, 5)];
    let objects = one_of_each_kind();
    catalog.condemn(packs, objects.to_vec()).await.unwrap();
    assert_eq!(catalog.pack_len(unknown).await.unwrap(), Some(77));
    assert_eq!(catalog.pack_len(known.digest).await.unwrap(), Some(1000), "as it was added");
    let want = content(&[&known, &pack(2, 1..2)], &objects);
    assert_eq!(condemned(catalog).await, want);
    assert_eq!(catalog.all_objects().await.unwrap(), [], "objects get no row");
    assert_eq!(catalog.sweeping().await.unwrap(), Sweeping::default());
}

pub(super) async fn condemning_again_keeps_the_first_generation(catalog: &Catalog) {
    let one = pack(1, 0..1);
    added(catalog, &one).await;
    catalog.add_index(index_row(), Grip::ANY).await.unwrap();
    let index = Collectable::Index(index_row().digest);
    assert_eq!(condemn(catalog, &[&one], &[index]).await, 1);
    assert_eq!(condemn(catalog, &[&one], &[index]).await, 2);
    assert_eq!(catalog.all_packs().await.unwrap()[0].condemned, Some(1));
    assert_eq!(catalog.missing_chunks(vec![chunk(0)], of(1)).await.unwrap(), [0]);
    assert_eq!(catalog.index(index_row().digest, of(1)).await.unwrap(), None);
    assert_eq!(state(catalog).await.condemned, 2, "each once");
}

/// Content of generation 2 is present for grips of generations 0 and 1, and missing for all others.
pub(super) async fn a_grip_sees_what_was_condemned_after_it(catalog: &Catalog) {
    let (one, two) = (pack(1, 0..1), pack(2, 1..2));
    added(catalog, &one).await;
    added(catalog, &two).await;
    let in_pack = leaf_of(catalog, "in a condemned pack", &[0, 1]).await;
    let itself = leaf_of(catalog, "condemned itself", &[1]).await;
    let spared = leaf_of(catalog, "spared", &[1]).await;
    catalog.add_index(index_row(), Grip::ANY).await.unwrap();
    condemn(catalog, &[], &[]).await;
    let index = index_row();
    let objects = [Collectable::Leaf(itself.digest), Collectable::Index(index.digest)];
    assert_eq!(condemn(catalog, &[&one], &objects).await, 2);

    let seen = async |grip| {
        let leaves = vec![in_pack.digest, itself.digest, spared.digest];
        (
            catalog.missing_chunks(vec![chunk(0), chunk(1)], grip).await.unwrap(),
            catalog.leaves(leaves, grip).await.unwrap(),
            catalog.index(index.digest, grip).await.unwrap(),
        )
    };
    for older in [Grip::ANY, of(0), of(1)] {
        let all = (vec![], vec![Some(in_pack), Some(itself), Some(spared)], Some(index));
        assert_eq!(seen(older).await, all, "{older:?}");
    }
    for newer in [of(2), of(3), Grip::NEWEST] {
        assert_eq!(seen(newer).await, (vec![0], vec![None, None, Some(spared)], None), "{newer:?}");
    }
    let new = leaf_row("new");
    let chunks = vec![sized(0, 4096), sized(1, 4096)];
    let add = async |grip| catalog.add_leaf(new, chunks.clone(), grip).await.unwrap();
    assert_eq!(add(of(2)).await, LeafAdded::Unfit(vec![sized(0, 4096)]));
    assert_eq!(add(of(1)).await, LeafAdded::Present);
    let located = catalog.locate_chunks(vec![chunk(0)]).await.unwrap();
    assert!(matches!(located, Located::All { .. }), "readers still find the bytes");
}

pub(super) async fn a_release_relies_on_what_its_lease_relies_on(catalog: &Catalog) {
    let descriptor = DescriptorDigest::of(b"descriptor");
    let index = index_row().digest;
    catalog.add_index(index_row(), Grip::ANY).await.unwrap();
    let (older, _) = opened(catalog, 1).await;
    condemn(catalog, &[], &[Collectable::Descriptor(descriptor)]).await;
    let (between, _) = opened(catalog, 2).await;
    condemn(catalog, &[], &[Collectable::Index(index)]).await;
    let (newer, _) = opened(catalog, 3).await;
    let go = async |lease: &NewLease, version: &str| {
        let descriptors = vec![DescriptorDigest::of(b"other"), descriptor];
        let new = NewRelease { descriptors, ..release(version, lease, index) };
        catalog.publish(new).await.unwrap()
    };
    assert_eq!(go(&newer, "1.0").await, Publication::IndexMissing(index));
    assert_eq!(go(&between, "1.0").await, Publication::DescriptorMissing(descriptor));
    assert!(catalog.lease(newer.id, NOW).await.unwrap().is_some(), "a refusal ends no lease");
    assert_eq!(catalog.roots().await.unwrap().releases, []);
    assert_eq!(go(&older, "1.0").await, Publication::Created);
    let both = [Collectable::Index(index), Collectable::Descriptor(descriptor)];
    assert_eq!(condemned(catalog).await, content(&[], &both), "publishing pardons neither");
}

pub(super) async fn publishing_pardons_the_release_document(catalog: &Catalog) {
    let document = Collectable::Release(ReleaseDigest::of(b"1.0"));
    condemn(catalog, &[], &[document, one_of_each_kind()[2]]).await;
    let litter = state(catalog).await.litter;
    published(catalog, "1.0").await;
    assert_eq!(condemned(catalog).await, content(&[], &one_of_each_kind()[2..3]));
    assert_eq!(state(catalog).await.litter, litter + 1);
}

pub(super) async fn an_object_stored_again_is_pardoned(catalog: &Catalog) {
    let one = pack(1, 0..1);
    let objects = one_of_each_kind();
    condemn(catalog, &[&one], &objects).await;
    let mut left = content(&[&one], &objects);
    let mut litter = state(catalog).await.litter;
    added(catalog, &one).await;
    left.packs.clear();
    assert_eq!(condemned(catalog).await, left);
    let leaf = leaf_row("leaf");
    let unfit = vec![sized(9, 4096)];
    assert_eq!(add_leaf(catalog, leaf, unfit.clone()).await, unfit);
    assert_eq!(condemned(catalog).await, left, "a leaf that was not added");
    assert_eq!(add_leaf(catalog, leaf, vec![sized(0, 4096)]).await, []);
    left.objects.retain(|object| *object != objects[0]);
    assert_eq!(condemned(catalog).await, left);
    catalog.add_index(index_row(), Grip::NEWEST).await.unwrap();
    left.objects.retain(|object| *object != objects[1]);
    assert_eq!(condemned(catalog).await, left);
    litter += 3;
    assert_eq!(state(catalog).await.litter, litter, "what was pardoned may be unreachable");
    for object in &objects[2..] {
        assert_eq!(stored_again(catalog, *object, Grip::NEWEST).await, Added::Present);
        left.objects.retain(|left| left != object);
        assert_eq!(condemned(catalog).await, left);
    }
    assert_eq!(state(catalog).await.litter, litter + 2);

    for object in objects {
        assert_eq!(stored_again(catalog, object, Grip::NEWEST).await, Added::Present);
    }
    added(catalog, &one).await;
    catalog.add_index(index_row(), Grip::NEWEST).await.unwrap();
    assert_eq!(state(catalog).await.litter, litter + 2, "nothing was condemned");
    // A leaf or an index that was pardoned, but has no row, is not present.
    catalog.delete_leaf_row(leaf.digest).await.unwrap();
    stored_again(catalog, objects[0], Grip::NEWEST).await;
    assert_eq!(catalog.leaves(vec![leaf.digest], Grip::NEWEST).await.unwrap(), [None]);
}

pub(super) async fn a_chunk_leaves_a_condemned_pack_for_one_that_is_added(catalog: &Catalog) {
    let (one, two, three) = (pack(1, 0..2), pack(2, 2..3), pack(3, 1..4));
    added(catalog, &one).await;
    added(catalog, &two).await;
    condemn(catalog, &[&one], &[]).await;
    added(catalog, &three).await;
    let want = [&one, &three, &two, &three].map(|pack| Some(pack.digest));
    assert_eq!(packs_with(catalog, 0..4).await, want);
    assert_eq!(condemned(catalog).await, content(&[&one], &[]), "another pack was added");
    // Once the condemned pack itself is added again, its chunks stay.
    added(catalog, &one).await;
    added(catalog, &pack(4, 0..1)).await;
    assert_eq!(packs_with(catalog, 0..1).await, [Some(one.digest)]);
}

pub(super) async fn a_pardon_counts_as_litter(catalog: &Catalog) {
    let (one, two) = (pack(1, 0..1), pack(2, 1..2));
    added(catalog, &one).await;
    let objects = one_of_each_kind();
    condemn(catalog, &[&one, &two], &objects).await;
    let litter = state(catalog).await.litter;
    catalog.pardon(vec![two.digest], objects[1..].to_vec()).await.unwrap();
    assert_eq!(condemned(catalog).await, content(&[&one], &objects[..1]));
    assert_eq!(state(catalog).await.litter, litter + 4, "each pardon");
    catalog.pardon(vec![two.digest, PackDigest::of(b"none")], vec![objects[1]]).await.unwrap();
    assert_eq!(state(catalog).await.litter, litter + 4, "nothing was condemned");
    catalog.pardon(vec![one.digest], vec![objects[0]]).await.unwrap();
    assert_eq!(condemned(catalog).await, Sweeping::default());
    assert_eq!(catalog.missing_chunks(vec![chunk(0)], Grip::NEWEST).await.unwrap(), [0_u32; 0]);
}

pub(super) async fn a_sweep_waits_for_older_leases(catalog: &Catalog) {
    let pull = NewLease { purpose: Purpose::Pull, ..lease(2, NOW + 30) };
    catalog.open_lease(lease(1, NOW + 10), NOW).await.unwrap();
    catalog.open_lease(pull.clone(), NOW).await.unwrap();
    condemn(catalog, &[], &[]).await;
    catalog.open_lease(lease(3, NOW + 20), NOW).await.unwrap();
    catalog.record_kept(lease(1, 0).id).await.unwrap();
    let older =
        async |generation, now_secs| catalog.older_leases(generation, now_secs).await.unwrap();
    let some = |count, deadline_secs| Some(OlderLeases { count, deadline_secs });
    assert_eq!(older(0, NOW).await, None);
    assert_eq!(older(1, NOW).await, some(2, NOW + 30), "leases to pull count as well");
    assert_eq!(older(2, NOW).await, some(3, NOW + 30));
    let litter = state(catalog).await.litter;
    assert_eq!(older(1, NOW + 9).await, some(2, NOW + 30));
    assert_eq!(older(1, NOW + 10).await, some(1, NOW + 30));
    assert_eq!(catalog.lease(lease(1, 0).id, NOW).await.unwrap(), None, "it was deleted");
    assert_eq!(state(catalog).await.litter, litter + 1, "something was stored under it");
    catalog.end_lease(pull.id).await.unwrap();
    assert_eq!(older(1, NOW + 10).await, None);
    assert_eq!(older(2, NOW + 10).await, some(1, NOW + 20));
    assert!(catalog.renew_lease(lease(3, 0).id, NOW + 10, NOW + 40).await.unwrap());
    assert_eq!(older(2, NOW + 10).await, some(1, NOW + 40));
    assert_eq!(older(2, NOW + 40).await, None);
}

/// A grip with a sweep counter names content that was found when the counter had that value.
pub(super) async fn nothing_is_added_once_the_sweep_counter_moved(catalog: &Catalog) {
    let (lease, before) = opened(catalog, 1).await;
    let one = pack(1, 0..1);
    let objects = one_of_each_kind();
    condemn(catalog, &[&pack(2, 1..2)], &objects).await;
    let all_swept = async |grip| {
        for object in objects {
            assert_eq!(stored_again(catalog, object, grip).await, Added::Swept);
        }
        assert_eq!(catalog.add_pack(one.clone(), grip).await.unwrap(), Added::Swept);
        let leaf = catalog.add_leaf(leaf_row("leaf"), vec![], grip).await.unwrap();
        assert_eq!(leaf, LeafAdded::Swept);
        assert_eq!(catalog.add_index(index_row(), grip).await.unwrap(), Added::Swept);
        let new = NewRelease {
            sweeps: grip.sweeps,
            indexes: vec![],
            ..release("1.0", &lease, index_row().digest)
        };
        assert_eq!(catalog.publish(new).await.unwrap(), Publication::Swept);
        assert_eq!(catalog.pack_len(one.digest).await.unwrap(), None);
        assert_eq!(catalog.all_objects().await.unwrap(), []);
        assert_eq!(catalog.roots().await.unwrap().releases, []);
        assert_eq!(condemned(catalog).await, content(&[&pack(2, 1..2)], &objects));
    };
    let begun = catalog.begin_sweep(Sweep::default()).await.unwrap();
    assert_eq!(begun, Sweeping::default());
    all_swept(before).await;
    let during = catalog.lease(lease.id, NOW).await.unwrap().unwrap().grip;
    assert_eq!(during, Grip { sweeps: Some(1), ..before });
    catalog.end_sweep(begun).await.unwrap();
    all_swept(before).await;
    all_swept(during).await;

    let after = catalog.lease(lease.id, NOW).await.unwrap().unwrap().grip;
    assert_eq!(after, Grip { sweeps: Some(2), ..before });
    assert_eq!(catalog.add_pack(one.clone(), after).await.unwrap(), Added::Present);
    assert_eq!(catalog.add_index(index_row(), after).await.unwrap(), Added::Present);
    let leaf = catalog.add_leaf(leaf_row("leaf"), vec![sized(0, 4096)], after).await.unwrap();
    assert_eq!(leaf, LeafAdded::Present);
    let new = NewRelease { sweeps: after.sweeps, ..release("1.0", &lease, index_row().digest) };
    assert_eq!(catalog.publish(new).await.unwrap(), Publication::Created);
}
