//! The cache on a local disk of a registry whose objects are in a bucket.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use seawall_tests::{
    CephBucket, Gate, Harm, MIB, Noise, Registry, Run, World, can_mount, flip_bit, raw, same_bytes,
};

/// A registry over a bucket, with a count of the requests for packs that reach the bucket.
struct Scene {
    world: World,
    bucket: CephBucket,
    gate: Gate,
    /// The number of reads of packs.
    reads: Arc<AtomicU64>,
    /// The number of further reads of packs that are answered.
    answered: Arc<AtomicU64>,
}

impl Scene {
    /// Makes a bucket with `shop:1`, 40 MiB of data on a disk of 64 MiB.
    fn new() -> Self {
        let (world, bucket) = (World::new(), CephBucket::new());
        let (reads, answered) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(u64::MAX)));
        let (counted, left) = (Arc::clone(&reads), Arc::clone(&answered));
        let gate = Gate::start(bucket.endpoint(), move |asked| {
            // The first byte tells the length of a pack, once in the life of a registry.
            let is_of_length = asked.headers.get("range").is_some_and(|it| it == "bytes=0-0");
            if asked.method != "GET" || !asked.target.contains("/packs/") || is_of_length {
                return Harm::Nothing;
            }
            counted.fetch_add(1, Relaxed);
            match left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)) {
                Ok(_) => Harm::Nothing,
                Err(_) => Harm::Hang,
            }
        });
        let scene = Self { world, bucket, gate, reads, answered };
        scene.disk("one");
        let registry = scene.serve();
        scene.push(&registry, "shop:1", "one");
        scene
    }

    fn disk(&self, name: &str) {
        let data = Noise::new(name).bytes(40 * MIB);
        raw(&self.world.path(format!("{name}.raw")), 64 * MIB, &[(4 * MIB, data)]);
    }

    fn push(&self, registry: &Registry, reference: &str, name: &str) {
        let machine = format!("a=root:{name}.raw");
        registry.client(&self.world, "push").args([reference, "--machine", &machine]).succeeds();
    }

    fn run(&self) -> Run {
        let run = self.world.seawall("serve --listen 127.0.0.1:0 data --cache cache:256MiB");
        self.bucket.opened_at(self.gate.url(), run)
    }

    fn serve(&self) -> Registry {
        Registry::start_by(self.run(), &self.world)
    }

    /// Pulls a release on a host that knows nothing, and compares its disk. Returns the number of
    /// reads of packs that reached the bucket.
    fn pull(&self, registry: &Registry, reference: &str, name: &str) -> u64 {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let host = format!("host-{}", COUNT.fetch_add(1, Relaxed));
        let before = self.reads.load(Relaxed);
        let run = registry.client(&self.world, &format!("pull {reference} --into {host}/shop"));
        run.env("SEAWALL_STATE", self.world.path(&host).join("state")).succeeds();
        let pulled = self.world.path(&host).join("shop/a/root.raw");
        same_bytes(pulled, self.world.path(format!("{name}.raw")));
        self.reads.load(Relaxed) - before
    }

    fn entries(&self) -> Vec<PathBuf> {
        let folders = fs::read_dir(self.world.path("cache/entries")).unwrap();
        let entries = folders.flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap());
        entries.map(|entry| entry.unwrap().path()).collect()
    }
}

/// Returns a value of the registry's metrics.
fn metric(registry: &Registry, name: &str) -> u64 {
    let text = registry.text("/metrics");
    let line = text.lines().find(|line| line.split(' ').next() == Some(name));
    let value = line.and_then(|line| line.split(' ').nth(1)?.parse().ok());
    value.unwrap_or_else(|| panic!("no {name} in {text}"))
}

#[test]
fn what_was_read_once_is_read_from_the_cache() {
    let scene = Scene::new();
    let registry = scene.serve();
    assert!(scene.pull(&registry, "shop:1", "one") > 0);
    assert_eq!(scene.pull(&registry, "shop:1", "one"), 0);
    assert!(metric(&registry, "seawall_cache_hits_total") > 80);
    assert!(metric(&registry, "seawall_cache_hit_bytes_total") > 40 * MIB);
    let held = metric(&registry, "seawall_cache_bytes");
    assert!((40 * MIB..64 * MIB).contains(&held), "{held} bytes");
    // After a restart, too.
    drop(registry);
    let registry = scene.serve();
    assert_eq!(scene.pull(&registry, "shop:1", "one"), 0);
    assert_eq!(metric(&registry, "seawall_cache_misses_total"), 0);
}

/// `kill -9` while blocks are fetched and written, then damage to every entry.
#[test]
fn a_killed_registry_and_damaged_entries_cost_no_byte() {
    let scene = Scene::new();
    let registry = scene.serve();
    scene.answered.store(4, Relaxed);
    let pull = registry.client(&scene.world, "pull shop:1 --into interrupted").start();
    while scene.reads.load(Relaxed) < 6 {
        std::thread::yield_now();
    }
    registry.kill();
    pull.kill();
    scene.answered.store(u64::MAX, Relaxed);
    let registry = scene.serve();
    scene.pull(&registry, "shop:1", "one");
    assert_eq!(scene.pull(&registry, "shop:1", "one"), 0);
    let entries = scene.entries();
    for entry in &entries {
        flip_bit(entry, 0);
    }
    assert!(scene.pull(&registry, "shop:1", "one") > 0);
    assert_eq!(metric(&registry, "seawall_cache_damaged_total"), entries.len() as u64);
    assert_eq!(scene.pull(&registry, "shop:1", "one"), 0, "the entries are sound again");
}

/// Bytes that were wrong at rest when they were read stay in the cache of a registry. A client that
/// finds them wrong asks for those at rest.
#[test]
fn a_pack_repaired_by_another_registry_is_read_anew() {
    let scene = Scene::new();
    let pack = scene.bucket.keys("packs/").remove(0);
    scene.bucket.get(&pack, &scene.world.path("pack"));
    fs::copy(scene.world.path("pack"), scene.world.path("damaged")).unwrap();
    flip_bit(scene.world.path("damaged"), 100_000);
    scene.bucket.put(&pack, &scene.world.path("damaged"));
    let registry = scene.serve();
    let refused = registry.client(&scene.world, "pull shop:1 --into one").ends();
    assert!(!refused.status.success(), "{refused}");
    refused.explains();
    // Another registry repairs it; this one is told nothing.
    scene.bucket.put(&pack, &scene.world.path("pack"));
    scene.pull(&registry, "shop:1", "one");
}

#[test]
fn a_deleted_release_is_not_served_from_the_cache() {
    let scene = Scene::new();
    let registry = scene.serve();
    scene.pull(&registry, "shop:1", "one");
    let pack = scene.bucket.keys("packs/").remove(0);
    let digest = pack.rsplit('/').next().unwrap();
    assert_eq!(registry.status(&format!("/v1/packs/blake3:{digest}")), Some(200));
    registry.client(&scene.world, "rm shop:1").succeeds();
    registry.client(&scene.world, "gc").succeeds();
    assert_eq!(registry.status(&format!("/v1/packs/blake3:{digest}")), Some(404));
    // The same content again, under the same names.
    scene.push(&registry, "shop:2", "one");
    scene.pull(&registry, "shop:2", "one");
}

#[test]
fn a_second_registry_with_the_same_folder_goes_past_the_cache() {
    let scene = Scene::new();
    let (first, second) = (scene.serve(), scene.serve());
    scene.pull(&first, "shop:1", "one");
    assert!(scene.pull(&second, "shop:1", "one") > 0);
    assert_eq!(scene.pull(&first, "shop:1", "one"), 0);
    assert_eq!(metric(&second, "seawall_cache_entries"), 0);
}

/// The disk of the cache has 8 MiB for a cache of 256 MiB.
#[test]
fn a_full_disk_of_the_cache_fails_no_pull() {
    if !can_mount() {
        println!("skipped: no file system can be mounted here");
        return;
    }
    let scene = Scene::new();
    fs::remove_dir_all(scene.world.path("cache")).unwrap();
    fs::create_dir(scene.world.path("cache")).unwrap();
    let run = scene.run().on_volume(&scene.world.path("cache"), 8);
    let registry = Registry::start_by(run, &scene.world);
    for _ in 0..2 {
        scene.pull(&registry, "shop:1", "one");
    }
    let held = metric(&registry, "seawall_cache_bytes");
    assert!(held <= 8 * MIB, "{held} bytes");
    scene.disk("two");
    scene.push(&registry, "shop:2", "two");
    scene.pull(&registry, "shop:2", "two");
}
