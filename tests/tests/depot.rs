//! Depots: a directory, a bucket or any web server holds releases that hosts read without a
//! registry, and what they get is what was released.

use std::fs;
use std::path::PathBuf;

use seawall_tests::{CephBucket, MIB, Noise, Run, WebServer, World, flip_bit, raw, tool, truncate};
use serde_json::Value;

/// Creates a world with `shop:1.0` and `shop:1.1` of two machines, and channel `stable` at `1.0`,
/// in the registry `registry`.
fn shop() -> World {
    let world = World::new();
    let same = Noise::new("same").bytes(20 * MIB);
    for name in ["old", "new"] {
        let own = Noise::new(name).bytes(MIB);
        raw(&world.path(format!("{name}.raw")), 64 * MIB, &[(0, same.clone()), (40 * MIB, own)]);
    }
    raw(&world.path("db.raw"), 8 * MIB, &[(MIB, Noise::new("db").bytes(MIB))]);
    world.push("shop:1.0", &["web=root:old.raw", "db=root:db.raw"]);
    world.push("shop:1.1", &["web=root:new.raw", "db=root:db.raw"]);
    world.local("promote shop:1.0 stable").succeeds();
    world
}

fn copy(world: &World, what: &str) -> Value {
    world.local(&format!("copy {what} --to file:www/depot --json")).succeeds().json()
}

fn depot(world: &World, args: &str) -> Run {
    world.seawall(args).env("SEAWALL_REGISTRY", "file:www/depot").inside(world.path(""))
}

/// Returns the files in a folder of the depot.
fn files(world: &World, folder: &str) -> Vec<PathBuf> {
    let (mut files, mut folders) = (Vec::new(), vec![world.path("www/depot").join(folder)]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files
}

#[test]
fn a_host_pulls_and_patches_from_a_web_server_without_a_registry() {
    let world = shop();
    copy(&world, "shop:stable");
    fs::rename(world.path("registry"), world.path("away")).unwrap();
    let server = WebServer::of(&world.path("www"), "");
    let at = |args: &str| {
        let url = format!("{}/depot", server.url());
        world.seawall(args).env("SEAWALL_REGISTRY", url)
    };
    at("list").succeeds().prints("shop");
    at("list shop").succeeds().prints("1.0").prints("stable");
    at("show shop:stable").succeeds().prints("web");
    at("channels shop").succeeds().prints("stable");
    at("verify shop:stable").succeeds();
    let _ = server.requests();
    at("pull shop:stable --into host").succeeds();
    let requests = server.requests();
    // 22 MiB that do not compress.
    assert!(requests.len() <= 20 + 2, "{requests:#?}");
    at("export shop:stable/web/root --format qcow2 --output web.qcow2").succeeds();

    fs::rename(world.path("away"), world.path("registry")).unwrap();
    world.holds("host", "shop:1.0");
    let file = world.path("web.qcow2");
    let compared = ["compare", file.to_str().unwrap(), world.path("old.raw").to_str().unwrap()]
        .map(str::to_owned);
    tool("qemu-img", compared);
    copy(&world, "shop:1.1");
    world.local("promote shop:1.1 stable").succeeds();
    copy(&world, "shop:stable");
    // The folder remembers where it came from.
    let _ = server.requests();
    world.seawall("patch host").succeeds();
    let requests = server.requests();
    assert!(requests.len() <= 20, "{requests:#?}");
    world.holds("host", "shop:1.1");
}

#[test]
fn what_needs_a_registry_says_so() {
    let world = shop();
    copy(&world, "shop:1.0");
    let refused = depot(&world, "pin shop:1.0 --name x --reason y").exits_with(2);
    refused.says("is a depot").says("--registry URL");
    depot(&world, "gc").exits_with(2).says("its mirror prunes it");
    depot(&world, "push shop:2.0 --machine web=root:old.raw")
        .exits_with(2)
        .says("seawall copy REF --to file:");
    depot(&world, "pull shop:3.0 --into x").exits_with(3).says("has no release shop 3.0");
    world
        .seawall("list")
        .env("SEAWALL_REGISTRY", "file:nowhere")
        .exits_with(3)
        .says("there is no directory nowhere");
    world.local("copy shop:1.0 --to file:registry").exits_with(4).says("is no depot");
}

#[test]
fn a_copy_to_a_depot_sends_what_it_lacks_and_another_registry_is_refused() {
    let world = shop();
    let plan = world.local("copy shop:1.0 --to file:www/depot --dry-run --json").succeeds().json();
    assert!(!world.path("www").exists(), "a plan writes nothing");
    let copied = copy(&world, "shop:1.0");
    assert_eq!(plan["releases"][0]["sent"]["bytes"], copied["releases"][0]["sent"]["bytes"]);
    let copied = copy(&world, "shop:1.1");
    let sent = copied["releases"][0]["sent"]["bytes"].as_u64().unwrap();
    assert!((MIB..2 * MIB).contains(&sent), "{copied}");
    assert_eq!(files(&world, "mirror").len(), 0);
    let again = copy(&world, "shop:*");
    assert_eq!(again["releases"][0]["alreadyPresent"], true);

    fs::create_dir(world.path("other")).unwrap();
    let other = || world.path("other");
    world
        .seawall("push shop:3.0 --machine web=root:db.raw")
        .env("SEAWALL_REGISTRY", other())
        .succeeds();
    world
        .seawall("copy shop:3.0 --to file:www/depot")
        .env("SEAWALL_REGISTRY", other())
        .exits_with(4)
        .says("belongs to the mirror of");
}

/// A bucket behind a gateway: written and read by the credentials of AWS's tools.
#[test]
fn a_host_pulls_from_a_bucket_without_a_registry() {
    let world = shop();
    let bucket = CephBucket::new();
    let with = |run: Run| {
        CephBucket::with_keys(run)
            .env("AWS_ENDPOINT_URL", bucket.endpoint())
            .env("AWS_ALLOW_HTTP", "true")
    };
    let to = format!("{}/team/depot", bucket.store());
    let copy = |what: &str| {
        with(world.local(&format!("copy {what} --json")).arg("--to").arg(&to)).succeeds().json()
    };
    copy("shop:1.0");
    let before = bucket.keys("team/depot/packs").len();
    let copied = copy("shop:1.1");
    assert!(copied["releases"][0]["sent"]["bytes"].as_u64().unwrap() < 2 * MIB, "{copied}");
    assert_eq!(bucket.keys("team/depot/packs").len(), before + 1);
    assert_eq!(bucket.keys("team/depot/mirror").len(), 0);
    copy("shop:stable");
    let at = |args: &str| with(world.seawall(args).env("SEAWALL_REGISTRY", &to));
    at("pull shop:stable --into host").succeeds();
    world.holds("host", "shop:1.0");
    at("patch host --to 1.1").succeeds();
    world.holds("host", "shop:1.1");
    at("verify shop:1.1").succeeds();
    with(world.local("copy shop:1.0 --to").arg(bucket.store())).exits_with(4).says("is no depot");
}

/// Kills a copy at several moments; the next one ends the work, and sends nothing twice.
#[test]
fn a_killed_copy_goes_on() {
    let world = shop();
    for part in ["mirror/running", "packs", "maps", "releases"] {
        let dir = world.path("www");
        let _ = fs::remove_dir_all(&dir);
        let run = world.local("copy shop:1.0 --to file:www/depot").start();
        let begun = std::time::Instant::now();
        while !world.path(format!("www/depot/{part}")).exists() && begun.elapsed().as_secs() < 20 {
            std::hint::spin_loop();
        }
        run.kill();
        let seen = depot(&world, "list shop --json").ends();
        if seen.status.success()
            && seen.json()["releases"].as_array().is_some_and(|it| !it.is_empty())
        {
            depot(&world, "pull shop:1.0 --into early").succeeds();
            fs::remove_dir_all(world.path("early")).unwrap();
        }
        copy(&world, "shop:1.0");
        depot(&world, "pull shop:1.0 --into host").succeeds();
        world.holds("host", "shop:1.0");
        fs::remove_dir_all(world.path("host")).unwrap();
        assert!(!world.path("www/depot/mirror/running").exists(), "{part}");
    }
}

#[test]
fn damage_in_a_depot_is_found_and_named() {
    let world = shop();
    copy(&world, "shop:stable");
    let files = world.path("www/depot");
    let documents = ["depot.json", "listings/@applications.b"];
    assert!(documents.iter().all(|it| files.join(it).exists()));
    for slot in ["a", "b"] {
        let path = files.join(format!("listings/shop/@releases.{slot}"));
        let good = fs::read(&path).unwrap();
        truncate(&path, good.len() as u64 / 2);
        // The other slot is older by the move of the channel.
        depot(&world, "list shop").succeeds().prints("1.0");
        fs::write(&path, good).unwrap();
    }
    let pack = self::files(&world, "packs").remove(0);
    flip_bit(&pack, 1000);
    depot(&world, "verify shop:1.0").exits_with(5);
    fs::remove_file(&pack).unwrap();
    depot(&world, "pull shop:1.0 --into host").exits_with(3).says("is gone from file:");
}

/// What a prune removes from the lists is still there for readers that began before.
#[test]
fn a_prune_keeps_the_copied_releases_alone() {
    let world = shop();
    copy(&world, "shop:*");
    let before = files(&world, "packs").len();
    let pruned = copy(&world, "shop:1.1 --prune");
    // The release and the map of its disk. Its packs have chunks of the other release, too.
    assert_eq!(pruned["pruned"]["condemnedCount"], 2, "{pruned}");
    assert_eq!(pruned["pruned"]["deletedCount"], 0);
    assert_eq!(files(&world, "packs").len(), before, "within the grace period");
    depot(&world, "pull shop:1.0 --into x").exits_with(3);
    depot(&world, "pull shop:1.1 --into host").succeeds();
    world.holds("host", "shop:1.1");
    world.local("copy shop:1.1 --prune --to ./other").exits_with(2).says("seawall retention");
}

/// A server that answers a range with the whole file.
#[test]
fn a_web_server_without_ranges_is_named_as_such() {
    let world = shop();
    copy(&world, "shop:stable");
    let server = WebServer::of(&world.path("www/depot"), "max_ranges 0;");
    let url = format!("depot+{}", server.url());
    let run = world.seawall("pull shop:stable --into host").env("SEAWALL_REGISTRY", url);
    run.ends().says("does not answer requests for a range").says("nginx");
}
