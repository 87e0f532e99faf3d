//! Damage is reported to the operator, and each repair is logged once, with its actor.

use std::fs;

use seawall_tests::{MIB, Noise, World, flip_bit, object_files, raw};
use serde_json::Value;

/// Creates a world with `shop:1.0`, pulled into `host`; each disk is in a separate pack.
fn shop() -> World {
    let world = World::new();
    raw(&world.path("root.raw"), 8 * MIB, &[(0, Noise::new("root").bytes(2 * MIB))]);
    raw(&world.path("data.raw"), 4 * MIB, &[(MIB, Noise::new("data").bytes(MIB))]);
    world.push("alone:1", &["web=root:root.raw"]);
    world.push("shop:1.0", &["web=root:root.raw,data:data.raw"]);
    world.local("rm alone:1").succeeds();
    world.local("gc").succeeds();
    world.pull("shop:1.0", "host");
    world
}

/// Damages the longer pack, which holds disk `root`. Returns its path in the store.
fn flip_pack(world: &World) -> String {
    let packs = object_files(&world.path("registry"), "packs");
    let pack = packs.iter().max_by_key(|pack| fs::metadata(pack).unwrap().len()).unwrap();
    flip_bit(pack, 100);
    let name = pack.file_name().unwrap().to_str().unwrap();
    format!("packs/{}/{name}", &name[..2])
}

/// Returns the logged repairs, oldest first.
fn healed(world: &World) -> Vec<Value> {
    let log = world.local("audit --action repair --json").succeeds().json();
    log["entries"].as_array().unwrap().iter().rev().cloned().collect()
}

fn object(entry: &Value) -> &str {
    entry["facts"]["object"].as_str().unwrap()
}

#[test]
fn a_damaged_pack_names_the_disks_that_need_it_until_a_push_brings_it_again() {
    let world = shop();
    let pack = flip_pack(&world);
    let check = world.local("fsck").exits_with(5);
    let told = "shop:1.0 lacks 1 object, which web/root needs\n";
    assert!(check.stdout.contains(told), "{check}");
    let shown = world.local("show shop:1.0 --json").succeeds().json();
    assert_eq!(shown["lost"].as_array().unwrap().len(), 1, "{shown}");
    assert_eq!(shown["lost"][0]["disks"], serde_json::json!(["web/root"]), "{shown}");
    assert!(healed(&world).is_empty());

    world.push("shop:1.0", &["web=root:root.raw,data:data.raw"]);
    let log = healed(&world);
    assert_eq!(log.len(), 1, "{log:?}");
    assert_eq!(object(&log[0]), pack, "{log:?}");
    assert_eq!(log[0]["actor"], "local");
    assert_eq!(log[0]["application"], "shop");
    assert!(log[0]["facts"]["was"].as_str().unwrap().contains("chunk"), "{log:?}");
    world.local("show shop:1.0 --json").succeeds();
    world.local("fsck").succeeds().prints("no damage was found");
    world.push("shop:1.0", &["web=root:root.raw,data:data.raw"]);
    assert_eq!(healed(&world).len(), 1, "nothing is healed twice");
    world.local("audit --verify").succeeds();
}

#[test]
fn each_object_that_a_repair_brings_again_is_logged_once() {
    let world = shop();
    flip_pack(&world);
    let leaf = object_files(&world.path("registry"), "indexes/leaves").remove(0);
    fs::remove_file(&leaf).unwrap();
    let list = object_files(&world.path("registry"), "indexes/lists").remove(0);
    flip_bit(&list, 30);
    let release = object_files(&world.path("registry"), "releases").remove(0);
    fs::remove_file(&release).unwrap();
    world.local("fsck").exits_with(5);

    world.local("repair --from host").succeeds();
    let log = healed(&world);
    let mut kinds: Vec<_> =
        log.iter().map(|entry| object(entry).rsplit_once('/').unwrap().0).collect();
    kinds.iter_mut().for_each(|kind| *kind = kind.rsplit_once('/').unwrap().0);
    kinds.sort_unstable();
    assert_eq!(kinds, ["indexes/leaves", "indexes/lists", "packs", "releases"], "{log:?}");
    world.local("fsck").succeeds();
    assert_eq!(healed(&world).len(), 4);
}

/// The host's guest wrote to a part of its disk, whose chunks are sound in the damaged pack.
#[test]
fn sound_chunks_of_a_damaged_pack_complete_those_of_a_host() {
    let world = shop();
    flip_pack(&world);
    flip_bit(world.path("host/web/root.raw"), 2 * MIB - 1000);
    world.local("fsck").exits_with(5);

    let repair = world.local("repair --json --from host").succeeds().json();

    assert_eq!(repair["releases"][0]["isWhole"], true, "{repair}");
    assert_eq!(repair["releases"][0]["missing"], serde_json::json!([]), "{repair}");
    world.local("fsck").succeeds().prints("no damage was found");
    world.local("verify shop:1.0").succeeds();
}

#[test]
fn a_source_of_something_else_leaves_lost_only_what_is() {
    let world = shop();
    raw(&world.path("other.raw"), 4 * MIB, &[(0, Noise::new("other").bytes(MIB))]);
    world.push("other:1.0", &["web=root:other.raw"]);
    world.pull("other:1.0", "other");
    flip_pack(&world);
    world.local("fsck").exits_with(5);

    let repair = world.local("repair --json --from other").exits_with(5).explains().json();

    let missing = repair["releases"][0]["missing"].as_array().unwrap();
    assert_eq!(missing.len(), 1, "one bit is one chunk: {repair}");
    assert!(missing[0].as_str().unwrap().starts_with("chunk blake3:"), "{repair}");
    assert!(repair["chunks"].as_u64().unwrap() > 5, "{repair}");
    // The sound chunks are in a new pack now, and only one chunk is missing.
    let repair = world.local("repair --json --from host").succeeds().json();
    assert_eq!(repair["chunks"], 1, "{repair}");
    world.local("fsck").succeeds().prints("no damage was found");
}
