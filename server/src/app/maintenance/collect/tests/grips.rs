//! Tests of grips: a row is written only for bytes that no sweep can have removed. The simulation
//! seldom hits the interval between finding the bytes and writing the row.

use seawall_api::digest::LeafDigest;

use crate::app::Registry;
use crate::app::tests::Site;
use crate::catalog::collect::{Collectable, Grip, Sweep};
use crate::catalog::{LeafAdded, LeafRow};

/// Returns the grip of a lease opened now.
async fn grip(site: &Site, registry: &Registry) -> Grip {
    let state = registry.catalog.collect_state(site.now_secs()).await.unwrap();
    Grip { generation: state.generation, sweeps: Some(state.sweeps), actor: None }
}

fn leaf() -> LeafRow {
    LeafRow { digest: LeafDigest::of(b"a leaf of one hole"), span_len: 4096, data_bytes: 0 }
}

#[tokio::test]
async fn what_was_found_before_a_sweep_began_is_put_again() {
    let site = Site::new();
    let registry = site.sound();
    let before = grip(&site, &registry).await;
    registry.catalog.begin_sweep(Sweep::default()).await.unwrap();
    let claim = registry.catalog.claim_collecting().await.unwrap().unwrap();
    registry.collector.sweeper.finish(&claim).await.unwrap();

    let add = |grip| registry.catalog.add_leaf(leaf(), vec![], grip);
    assert_eq!(add(before).await.unwrap(), LeafAdded::Swept, "its bytes may be gone");
    let after = grip(&site, &registry).await;
    assert_eq!(add(after).await.unwrap(), LeafAdded::Present);
}

#[tokio::test]
async fn what_a_sweep_is_about_to_take_is_not_put_until_it_is_gone() {
    let site = Site::new();
    let registry = site.sound();
    let add = |grip| registry.catalog.add_leaf(leaf(), vec![], grip);
    assert_eq!(add(Grip::ANY).await.unwrap(), LeafAdded::Present);
    let object = Collectable::Leaf(leaf().digest);
    let generation = registry.catalog.condemn(vec![], vec![object]).await.unwrap();
    let sweep = Sweep { generation, objects: vec![object], ..Sweep::default() };
    registry.catalog.begin_sweep(sweep).await.unwrap();

    // The grip was taken after the sweep began, and the bytes about to be removed were found.
    let during = grip(&site, &registry).await;
    assert_eq!(add(during).await.unwrap(), LeafAdded::Swept, "its bytes are about to go");
    let claim = registry.catalog.claim_collecting().await.unwrap().unwrap();
    registry.collector.sweeper.finish(&claim).await.unwrap();
    assert_eq!(add(during).await.unwrap(), LeafAdded::Swept, "its bytes are gone");
    let after = grip(&site, &registry).await;
    assert_eq!(add(after).await.unwrap(), LeafAdded::Present);
}

/// Leases from before the condemnation rely on the condemned content, and the sweep waits for them.
/// Later leases must not rely on it, because the sweep does not wait for them.
#[tokio::test]
async fn what_is_condemned_is_there_for_older_leases_only() {
    let site = Site::new();
    let registry = site.sound();
    let older = grip(&site, &registry).await;
    let added = registry.catalog.add_leaf(leaf(), vec![], Grip::ANY).await.unwrap();
    assert_eq!(added, LeafAdded::Present);
    let object = Collectable::Leaf(leaf().digest);
    registry.catalog.condemn(vec![], vec![object]).await.unwrap();

    let newer = grip(&site, &registry).await;
    let find = |grip| registry.catalog.leaves(vec![leaf().digest], grip);
    assert_eq!(find(older).await.unwrap(), [Some(leaf())]);
    assert_eq!(find(newer).await.unwrap(), [None]);
    assert_eq!(find(Grip::NEWEST).await.unwrap(), [None]);
}
