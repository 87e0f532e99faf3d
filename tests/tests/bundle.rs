//! Bundles: releases travel in files to a place without a network, and arrive whole or not at all.

use std::fs;
use std::path::PathBuf;

use seawall_tests::{MIB, Noise, Run, World, flip_bit, raw, truncate};
use serde_json::Value;

/// Creates a world with `shop:1.0` and `shop:1.1` of one machine, and channel `stable` at `1.1`.
fn shop() -> World {
    let world = World::new();
    let same = Noise::new("same").bytes(70 * MIB);
    for name in ["old", "new"] {
        let own = Noise::new(name).bytes(MIB);
        raw(&world.path(format!("{name}.raw")), 96 * MIB, &[(0, same.clone()), (80 * MIB, own)]);
    }
    world.push("shop:1.0", &["web=root:old.raw"]);
    world.push("shop:1.1", &["web=root:new.raw"]);
    world.local("promote shop:1.1 stable").succeeds();
    fs::create_dir(world.path("site")).unwrap();
    world
        .seawall("token create --role reader")
        .env("SEAWALL_REGISTRY", world.path("site"))
        .succeeds();
    world
}

fn site(world: &World, args: &str) -> Run {
    world.seawall(args).env("SEAWALL_REGISTRY", world.path("site"))
}

fn create(world: &World, args: &str) -> (Value, Vec<PathBuf>) {
    let created = world.local(&format!("bundle create {args} --json")).succeeds().json();
    let files = created["files"].as_array().unwrap().iter();
    let files = files.map(|file| world.path(file["file"].as_str().unwrap())).collect();
    (created, files)
}

#[test]
fn a_bundle_brings_releases_and_channels_to_another_registry() {
    let world = shop();
    create(&world, "shop:1.0 shop:stable -o shop.bundle");
    world.seawall("bundle verify shop.bundle").succeeds().prints("part 1, the last");
    let plan = site(&world, "bundle import shop.bundle --dry-run --json").succeeds().json();
    let imported = site(&world, "bundle import shop.bundle --json").succeeds().json();
    assert_eq!(plan["releases"][0]["sent"]["bytes"], imported["releases"][0]["sent"]["bytes"]);
    site(&world, "pull shop:stable --into there").succeeds();
    world.holds("there", "shop:1.1");
    site(&world, "verify shop:1.0").succeeds();
    site(&world, "fsck").succeeds().prints("no damage was found");
    let again = site(&world, "bundle import shop.bundle --json").succeeds().json();
    assert_eq!(again["releases"][0]["alreadyPresent"], true);
    world.local("bundle create shop:1.0 -o shop.bundle").exits_with(4);
}

#[test]
fn a_bundle_for_a_site_leaves_out_what_the_site_holds() {
    let world = shop();
    create(&world, "shop:1.0 -o first.bundle");
    site(&world, "bundle import first.bundle").succeeds();
    let have = site(&world, "bundle have").succeeds();
    fs::write(world.path("site.have"), &have.stdout).unwrap();
    let (created, files) = create(&world, "shop:stable -o second.bundle --have site.have");
    assert_eq!(created["assumedCount"], 1);
    let len = fs::metadata(&files[0]).unwrap().len();
    assert!(len < 3 * MIB, "{len}: {created}");
    world.seawall("bundle verify second.bundle").succeeds();

    // Whoever lacks the rest is told so, and nothing becomes visible.
    fs::create_dir(world.path("empty")).unwrap();
    let empty = |args: &str| world.seawall(args).env("SEAWALL_REGISTRY", world.path("empty"));
    empty("token create --role reader").succeeds();
    empty("bundle import second.bundle").exits_with(3).says("leaves out").says("bundle have");
    empty("list shop").exits_with(3);

    site(&world, "bundle import second.bundle").succeeds();
    site(&world, "pull shop:stable --into there").succeeds();
    world.holds("there", "shop:1.1");
}

#[test]
fn parts_of_a_bundle_are_checked_alone_and_imported_together() {
    let world = shop();
    let (_, files) = create(&world, "shop:* -o big.bundle --split 64MiB");
    assert!(files.len() > 1, "{files:?}");
    let name = |at: usize| files[at].file_name().unwrap().to_str().unwrap().to_owned();
    world.seawall("bundle verify").arg(name(1)).succeeds().prints("part 2");
    site(&world, "bundle import")
        .arg(name(0))
        .exits_with(3)
        .says("part 2 of the bundle is missing");
    site(&world, "bundle import").arg(name(1)).arg(name(0)).succeeds();
    site(&world, "pull shop:1.0 --into there").succeeds();
    world.holds("there", "shop:1.0");

    flip_bit(&files[0], 1_000_000);
    world.seawall("bundle verify").arg(name(0)).exits_with(5).says("is damaged");
    truncate(&files[1], fs::metadata(&files[1]).unwrap().len() - 1);
    world.seawall("bundle verify").arg(name(1)).exits_with(5).says("is cut");
    fs::write(&files[1], "something else").unwrap();
    world.seawall("bundle verify").arg(name(1)).exits_with(2).says("is no bundle");
}

/// Damage that no table shows: the registry refuses the pack, and nothing becomes visible.
#[test]
fn a_damaged_bundle_makes_nothing_visible() {
    let world = shop();
    let (_, files) = create(&world, "shop:1.0 -o shop.bundle");
    flip_bit(&files[0], 5_000_000);
    site(&world, "bundle import shop.bundle").exits_with(5);
    site(&world, "list shop").exits_with(3);
}
