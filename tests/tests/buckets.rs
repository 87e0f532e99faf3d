//! Registries whose objects are in a bucket of a Ceph object gateway.

use std::fs;

use seawall_tests::{CephBucket, MIB, Noise, Registry, World, raw, same_bytes};

/// Starts a registry with its catalog in `data` and its objects in the bucket.
fn serve(world: &World, bucket: &CephBucket) -> Registry {
    Registry::start_by(bucket.opened(world.seawall("serve --listen 127.0.0.1:0 data")), world)
}

/// Makes a disk of 64 MiB with 40 MiB of data, so that it takes several packs.
fn disk(world: &World, name: &str) {
    let data = Noise::new(name).bytes(40 * MIB);
    raw(&world.path(format!("{name}.raw")), 64 * MIB, &[(4 * MIB, data)]);
}

fn push(registry: &Registry, world: &World, reference: &str, name: &str) {
    let machine = format!("a=root:{name}.raw");
    registry.client(world, "push").args([reference, "--machine", &machine]).succeeds();
}

/// Pulls a release on a host that knows nothing, and compares its disk.
fn pull(registry: &Registry, world: &World, reference: &str, name: &str) {
    let into = format!("{name}-pulled-by-{}", registry.pid());
    registry.client(world, &format!("pull {reference} --into {into}")).succeeds();
    let pulled = world.path(into).join("a/root.raw");
    same_bytes(pulled, world.path(format!("{name}.raw")));
}

#[test]
fn a_bucket_gives_back_every_byte_to_any_registry_over_the_same_catalog() {
    let (world, bucket) = (World::new(), CephBucket::new());
    disk(&world, "one");
    let registry = serve(&world, &bucket);
    push(&registry, &world, "shop:1", "one");
    pull(&registry, &world, "shop:1", "one");
    registry.kill();
    let registry = serve(&world, &bucket);
    pull(&registry, &world, "shop:1", "one");

    let names = fs::read_dir(world.path("data")).unwrap();
    let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| name == "store"), "no object is on the disk: {names:?}");
    assert!(bucket.keys("packs/").len() >= 3, "{:?}", bucket.keys(""));
    assert_eq!(bucket.keys("probe/"), [""; 0], "the probe of conditions is removed");
}

#[test]
fn what_is_deleted_leaves_the_bucket_and_the_rest_is_sound() {
    let (world, bucket) = (World::new(), CephBucket::new());
    disk(&world, "one");
    disk(&world, "two");
    let registry = serve(&world, &bucket);
    push(&registry, &world, "shop:1", "one");
    let of_one = bucket.keys("packs/").len();
    push(&registry, &world, "shop:2", "two");
    registry.client(&world, "rm shop:1").succeeds();
    registry.client(&world, "gc").succeeds();
    assert_eq!(bucket.keys("packs/").len(), of_one, "two is as long as one was");
    registry.client(&world, "fsck --rate 0").succeeds();
    pull(&registry, &world, "shop:2", "two");
}
