//! Collections by the real program: they free exactly the announced bytes and nothing visible, even
//! if they are killed, and while others push and pull.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use seawall_tests::{MIB, Noise, World, object_files, raw};
use serde_json::{Value, json};

/// The kinds of objects that collections remove.
const KINDS: [&str; 5] = ["packs", "indexes/lists", "indexes/leaves", "releases", "descriptors"];

/// Returns the total length of the objects that a collection may remove.
fn stored(registry: &Path) -> u64 {
    let kinds = KINDS.iter().filter(|kind| registry.join("store").join(kind).exists());
    let files = kinds.flat_map(|kind| object_files(registry, kind));
    files.map(|file| fs::metadata(file).unwrap().len()).sum()
}

/// Creates a world with releases 1 to 4 of `shop`: 2 shares most data with 1, and 4 a little with
/// 3.
fn shop() -> World {
    let world = World::new();
    let disk = |name: &str, seeds: &[(u64, &str, u64)]| {
        let pieces =
            seeds.iter().map(|(at, seed, len)| (at * MIB, Noise::new(seed).bytes(len * MIB)));
        raw(&world.path(format!("{name}.raw")), 300 * MIB, &pieces.collect::<Vec<_>>());
    };
    disk("1", &[(0, "base", 24), (280, "tail", 3)]);
    disk("2", &[(0, "base", 24), (280, "other tail", 3)]);
    disk("3", &[(0, "new", 20), (280, "tail", 1)]);
    disk("4", &[(0, "newest", 5), (40, "new", 2), (280, "tail", 1)]);
    for n in 1..=4 {
        world.push(&format!("team/shop:{n}"), &[&format!("web=root:{n}.raw")]);
    }
    world
}

fn totals(answer: &Value) -> &Value {
    &answer["last"]["totals"]
}

fn comes_back(world: &World, versions: &[u32]) {
    for n in versions {
        let into = format!("back-{n}");
        let _ = fs::remove_dir_all(world.path(&into));
        world
            .on_host(&into, &format!("pull team/shop:{n} --into {into}"))
            .env("SEAWALL_REGISTRY", world.path("registry"))
            .succeeds();
        world.holds(&into, &format!("team/shop:{n}"));
        fs::remove_dir_all(world.path(&into)).unwrap();
    }
}

#[test]
fn a_collection_frees_exactly_what_it_planned_and_nothing_that_is_visible() {
    let world = shop();
    world.local("gc").succeeds().prints("freed 0 B");
    // The pack of a chunk is random. Release 1 had 2 MiB of its own, in packs that stay. Release 3
    // sent 20 MiB, of which 18 were its own, so some packs are below any threshold.
    for (gone, left, percent) in [(1, vec![2, 3, 4], 100), (3, vec![2, 4], 60)] {
        world.local(&format!("rm team/shop:{gone}")).succeeds();
        let plan = world.local(&format!("gc --dry-run --json --live-percent {percent}"));
        let plan = plan.succeeds().json();
        let before = stored(&world.path("registry"));
        let done = world.local(&format!("gc --json --live-percent {percent}")).succeeds().json();
        let after = stored(&world.path("registry"));
        assert_eq!(totals(&done)["freedBytes"], plan["totals"]["freedBytes"], "{done} {plan}");
        assert_eq!(totals(&done)["freedBytes"], before - after, "{done}");
        assert!(before - after > MIB, "release {gone} had bytes of its own");
        comes_back(&world, &left);
        world.local("gc").succeeds().prints("nothing to collect");
    }
    world.local("rm team/shop:2").succeeds();
    world.local("rm team/shop:4").succeeds();
    world.local("gc --live-percent 100").succeeds();
    assert_eq!(stored(&world.path("registry")), 0, "nothing is left of nothing");
}

/// A client that only read, or pushed existing content, leaves nothing to collect. A client that
/// died while sending does.
#[test]
fn a_push_that_found_everything_there_gives_a_collection_nothing_to_look_for() {
    let world = shop();
    world.local("gc").succeeds().prints("freed 0 B");
    let again = world.push("team/shop:1", &["web=root:1.raw"]);
    assert_eq!(again["alreadyPresent"], true, "{again}");
    world.local("gc").succeeds().prints("nothing to collect");
    world.pull("team/shop:1", "host");
    world.local("push team/shop:2 --machine web=root:1.raw").exits_with(4);
    world.local("gc").succeeds().prints("nothing to collect");

    let registry = world.serve();
    let client = reqwest::blocking::Client::new();
    let lease = || -> String {
        let asked = client.post(registry.at("/v1/leases")).json(&json!({ "application": "x" }));
        let lease: Value = asked.send().and_then(reqwest::blocking::Response::json).unwrap();
        lease["id"].as_str().unwrap().to_owned()
    };
    let end = |lease: &str| {
        let ended = client.delete(registry.at(&format!("/v1/leases/{lease}"))).send().unwrap();
        assert!(ended.status().is_success());
    };
    end(&lease());
    registry.client(&world, "gc").succeeds().prints("nothing to collect");
    let sends = lease();
    let bytes = b"<Envelope/>".to_vec();
    let digest = format!("blake3:{}", blake3::hash(&bytes));
    let put = || {
        let url = registry.at(&format!("/v1/descriptors/{digest}?lease={sends}"));
        client.put(url).body(bytes.clone()).send().unwrap().status().as_u16()
    };
    assert_eq!((put(), put()), (201, 200));
    end(&sends);
    registry.client(&world, "gc").succeeds().prints("freed 11 B");
    registry.client(&world, "gc").succeeds().prints("nothing to collect");
}

#[test]
fn a_deleted_release_is_freed_once_older_pulls_end_and_pushes_meanwhile_succeed() {
    let world = shop();
    let registry = world.serve();
    let client = reqwest::blocking::Client::new();
    let lease: Value = client
        .post(registry.at("/v1/leases"))
        .json(&json!({ "application": "team/shop", "purpose": "pull" }))
        .send()
        .and_then(reqwest::blocking::Response::json)
        .unwrap();
    registry.client(&world, "rm team/shop:3").succeeds();
    let before = stored(&world.path("registry"));
    registry.client(&world, "gc --no-wait").succeeds();
    let phase = || -> Value {
        serde_json::from_str::<Value>(&registry.text("/v1/collection")).unwrap()["phase"].clone()
    };
    let comes_to = |wanted: &str| {
        let begun = Instant::now();
        while phase() != wanted {
            assert!(begun.elapsed() < Duration::from_secs(60), "it does not come to be {wanted}");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    comes_to("waiting");
    assert!(stored(&world.path("registry")) >= before, "somebody still reads release 3");

    // The same disk again: a push that begins now does not rely on condemned content.
    let push = registry.client(&world, "push team/shop:5 --json --machine web=root:3.raw");
    let sent = push.succeeds().json();
    assert!(sent["uploadedBytes"].as_u64().unwrap_or(1) > 0, "{sent}");
    let url = registry.at(&format!("/v1/leases/{}", lease["id"].as_str().unwrap()));
    assert!(client.delete(url).send().unwrap().status().is_success());
    comes_to("idle");
    assert!(registry.terminate().success());
    comes_back(&world, &[1, 2, 4, 5]);
}

/// One process collects and is killed while it waits for a pull. The other one, of which a further
/// collection was requested meanwhile, does not leave it at that.
#[test]
fn a_request_to_a_process_that_is_killed_is_served_by_another() {
    let world = World::new();
    raw(&world.path("disk.raw"), MIB, &[(0, Noise::new("disk").bytes(MIB))]);
    world.push("shop:1", &["web=root:disk.raw"]);
    let [one, other] = [world.serve(), world.serve()];
    let client = reqwest::blocking::Client::new();
    let lease: Value = client
        .post(other.at("/v1/leases"))
        .json(&json!({ "application": "shop", "purpose": "pull" }))
        .send()
        .and_then(reqwest::blocking::Response::json)
        .unwrap();
    other.client(&world, "rm shop:1").succeeds();
    let comes_to = |is_wanted: &dyn Fn(&Value) -> bool| {
        let begun = Instant::now();
        loop {
            let shown: Value = serde_json::from_str(&other.text("/v1/collection")).unwrap();
            if is_wanted(&shown) {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{shown}");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    one.client(&world, "gc --no-wait").succeeds();
    comes_to(&|shown| shown["phase"] == "waiting");
    other.client(&world, "gc --no-wait").succeeds();
    one.kill();
    let url = other.at(&format!("/v1/leases/{}", lease["id"].as_str().unwrap()));
    assert!(client.delete(url).send().unwrap().status().is_success());
    comes_to(&|shown| shown["phase"] == "idle" && shown["last"]["error"].is_null());
    assert_eq!(stored(&world.path("registry")), 0);
}

#[test]
fn a_collection_that_is_killed_loses_nothing_and_the_next_one_finishes() {
    let world = shop();
    world.local("rm team/shop:1").succeeds();
    world.local("rm team/shop:3").succeeds();
    for millis in [1, 3, 6, 10, 15, 25, 40, 60, 90] {
        let registry = world.serve();
        let gc = registry.client(&world, "gc --force --live-percent 100").start();
        std::thread::sleep(Duration::from_millis(millis));
        registry.kill();
        gc.kill();
        comes_back(&world, &[2, 4]);
    }
    world.local("gc --force --live-percent 100").succeeds();
    world.local("gc --force --live-percent 100").succeeds().prints("freed 0 B");
    comes_back(&world, &[2, 4]);
}

#[test]
fn a_root_that_cannot_be_read_stops_a_collection() {
    let world = shop();
    let registry = world.path("registry");
    let before: Vec<_> = object_files(&registry, "indexes/leaves");
    world.local("rm team/shop:1").succeeds();
    // A leaf of release 4 that no other release has.
    world.local("push team/last:1 --machine web=root:4.raw").succeeds();
    let of_four = world.local("show team/shop:4 --json").succeeds().json();
    let index = of_four["release"]["machines"][0]["disks"][0]["index"].as_str().unwrap();
    let list = object_files(&registry, "indexes/lists");
    let name = index.strip_prefix("blake3:").unwrap();
    let list = list.iter().find(|file| file.ends_with(name)).unwrap();
    fs::remove_file(list).unwrap();
    let stored_before = stored(&registry);
    world.local("gc --force").exits_with(5).says("nothing is collected").explains();
    assert_eq!(stored(&registry), stored_before);
    assert_eq!(object_files(&registry, "indexes/leaves"), before);
}

/// Content unknown to a restored backup of the catalog is not garbage: a collection refuses, with a
/// remedy.
#[test]
fn a_collection_with_an_older_catalog_says_how_to_make_a_new_one() {
    let world = shop();
    let catalog = world.path("registry/catalog.sqlite");
    // A copy of the file alone would lack whatever is still in the log beside it.
    world.seawall("backup registry old.sqlite").succeeds();
    world.push("team/shop:5", &["web=root:1.raw"]);
    for log in ["-wal", "-shm"] {
        let _ = fs::remove_file(world.path(format!("registry/catalog.sqlite{log}")));
    }
    fs::copy(world.path("old.sqlite"), &catalog).unwrap();
    let before = stored(&world.path("registry"));
    let refused = world.local("gc --force").exits_with(5).explains();
    assert!(refused.stderr.contains("names/team/shop/@5"), "{refused}");
    assert!(refused.stderr.contains("seawall recover DATA"), "{refused}");
    assert_eq!(stored(&world.path("registry")), before);
    world.seawall("recover registry").succeeds();
    world.local("gc --force").succeeds();
    comes_back(&world, &[1, 2, 3, 4]);
}
