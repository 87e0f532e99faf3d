//! Copies of releases: only what the target lacks travels, a release appears as one, and what
//! arrives is what was released.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use seawall_tests::{
    Answer, MIB, Noise, ProxyRequest, Registry, World, flip_bit, object_files, raw,
};
use serde_json::Value;

/// Creates a world with `shop:1.0` and `shop:1.1`, which share most of their disk, `shop:2.0`, and
/// channel `stable` at `1.1`, in the registry `registry`.
fn shop() -> World {
    let world = World::new();
    let same = Noise::new("same").bytes(4 * MIB);
    for (name, part) in [("old", MIB), ("new", MIB), ("next", MIB)] {
        let own = Noise::new(name).bytes(part);
        raw(&world.path(format!("{name}.raw")), 16 * MIB, &[(0, same.clone()), (8 * MIB, own)]);
    }
    world.push("shop:1.0", &["web=root:old.raw"]);
    world.push("shop:1.1", &["web=root:new.raw"]);
    world.push("shop:2.0", &["web=root:next.raw"]);
    world.local("promote shop:1.1 stable").succeeds();
    world
}

/// Copies to the directory `site`.
fn copy(world: &World, what: &str) -> Value {
    world.local(&format!("copy {what} --to ./site --json")).succeeds().json()
}

fn site(world: &World, args: &str) -> seawall_tests::Run {
    world.seawall(args).env("SEAWALL_REGISTRY", world.path("site"))
}

fn versions(world: &World) -> Vec<String> {
    let listed = site(world, "list shop --json").succeeds().json();
    let releases = listed["releases"].as_array().unwrap();
    releases.iter().map(|release| release["version"].as_str().unwrap().to_owned()).collect()
}

fn sent(copied: &Value, position: usize) -> u64 {
    copied["releases"][position]["sent"]["bytes"].as_u64().unwrap()
}

#[test]
fn a_copied_release_is_the_same_byte_for_byte() {
    let world = shop();
    let copied = copy(&world, "shop:1.0");
    assert_eq!(sent(&copied, 0), 5 * MIB, "{copied}");
    site(&world, "pull shop:1.0 --into there").succeeds();
    world.holds("there", "shop:1.0");
    site(&world, "fsck").succeeds().prints("no damage was found");
    assert_eq!(versions(&world), ["1.0"]);
}

#[test]
fn only_chunks_that_the_target_lacks_travel() {
    let world = shop();
    copy(&world, "shop:1.0");
    let planned = world.local("copy shop:1.1 --to ./site --dry-run --json").succeeds().json();
    let copied = copy(&world, "shop:1.1");
    // The disks differ in 1 MiB, and the chunks at its ends.
    assert!((MIB..2 * MIB).contains(&sent(&copied, 0)), "{copied}");
    assert_eq!(sent(&planned, 0), sent(&copied, 0), "the plan is what happens");
    let again = copy(&world, "shop:1.1");
    assert_eq!(again["releases"][0]["alreadyPresent"], true, "{again}");
    assert_eq!(sent(&again, 0), 0);
}

#[test]
fn a_dry_run_writes_nothing() {
    let world = shop();
    copy(&world, "shop:1.0");
    let before = object_files(&world.path("site"), "packs").len();
    world.local("copy shop:stable shop:2.0 --to ./site --dry-run").succeeds();
    assert_eq!(object_files(&world.path("site"), "packs").len(), before);
    assert_eq!(versions(&world), ["1.0"]);
    site(&world, "show shop:stable").exits_with(3);
}

#[test]
fn a_plan_of_several_releases_counts_a_shared_chunk_once() {
    let world = shop();
    // An application of its own makes the registry of the site.
    world.push("other:1", &["web=root:old.raw"]);
    copy(&world, "other:1");
    world.local("rm other:1").succeeds();
    site(&world, "rm other:1").succeeds();
    site(&world, "gc").succeeds();
    let planned = world.local("copy shop:* --to ./site --dry-run --json").succeeds().json();
    let copied = copy(&world, "shop:*");
    let sum = |it: &Value| (0..3).map(|position| sent(it, position)).sum::<u64>();
    assert_eq!(sum(&planned), sum(&copied));
    assert!(sum(&copied) < 8 * MIB, "{copied}");
}

#[test]
fn a_channel_comes_with_its_release_and_moves_with_the_source() {
    let world = shop();
    let copied = copy(&world, "shop:stable");
    assert_eq!(copied["channels"][0]["outcome"], "created", "{copied}");
    site(&world, "show shop:stable").succeeds().prints("1.1");
    world.local("promote shop:2.0 stable").succeeds();
    assert_eq!(copy(&world, "shop:stable")["channels"][0]["outcome"], "moved");
    assert_eq!(copy(&world, "shop:stable")["channels"][0]["outcome"], "unchanged");
    let history = site(&world, "channels shop stable --json").succeeds().json();
    assert_eq!(history["moves"].as_array().unwrap().len(), 2, "{history}");
}

#[test]
fn filters_choose_among_the_releases_of_an_application() {
    let world = shop();
    copy(&world, "shop:* --versions 1.*");
    assert_eq!(versions(&world), ["1.1", "1.0"]);
    copy(&world, "shop:* --newest 1");
    assert_eq!(versions(&world), ["2.0", "1.1", "1.0"]);
    world
        .local("copy shop:* --since 2099-01-01 --to ./site --dry-run")
        .succeeds()
        .prints("0 of 0 releases");
    let one = copy(&world, "*:* --channel stable");
    assert_eq!(one["releases"].as_array().unwrap().len(), 1, "{one}");
    world.local("copy nobody/*:* --to ./site").exits_with(3).explains();
    world.local("copy shop:1.0 --newest 2 --to ./site").exits_with(2).explains();
}

#[test]
fn a_version_of_other_content_is_a_conflict_and_a_deleted_one_does_not_return() {
    let world = shop();
    let elsewhere = |args: &str| world.seawall(args).env("SEAWALL_REGISTRY", world.path("site"));
    elsewhere("push shop:1.0 --machine web=root:next.raw").succeeds();
    world.local("copy shop:1.0 --to ./site").exits_with(4).explains();
    copy(&world, "shop:1.1");
    site(&world, "rm shop:1.1").succeeds();
    world.local("copy shop:1.1 --to ./site").exits_with(4).says("deleted in the target").explains();
    assert_eq!(versions(&world), ["1.0"]);
}

#[test]
fn copies_in_a_circle_change_nothing() {
    let world = shop();
    copy(&world, "shop:*");
    let back = site(&world, "copy shop:* --to ./registry --json").succeeds().json();
    assert!(back["releases"].as_array().unwrap().iter().all(|it| it["alreadyPresent"] == true));
    assert_eq!(back["channels"][0]["outcome"], "unchanged", "{back}");
}

#[test]
fn a_damaged_chunk_of_the_source_is_named_and_nothing_becomes_visible() {
    let world = shop();
    copy(&world, "shop:1.0");
    for pack in object_files(&world.path("registry"), "packs") {
        flip_bit(&pack, 100);
    }
    let failed = world.local("copy shop:2.0 --to ./site").exits_with(5).explains();
    assert!(failed.stderr.contains("chunk blake3:"), "{failed}");
    assert_eq!(versions(&world), ["1.0"]);
    site(&world, "fsck").succeeds().prints("no damage was found");
}

#[test]
fn bytes_that_were_wrong_once_are_read_again_and_arrive() {
    let world = shop();
    let registry = world.serve();
    let reads = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&reads);
    let proxy = seawall_tests::Proxy::start(&registry, move |request, answer| {
        let is_first = || count.fetch_add(1, Ordering::Relaxed) == 0;
        if request.is("GET", "/v1/packs/") && is_first() {
            let mut body = answer.body.clone();
            body[200] ^= 1;
            return answer.with_body(body);
        }
        answer
    });
    let from = format!("copy shop:1.0 --registry {} --to ./site", proxy.url());
    world.seawall(&from).succeeds();
    assert!(reads.load(Ordering::Relaxed) > 1);
    site(&world, "verify shop:1.0").succeeds();
}

/// Runs a copy through a proxy that cuts the answer to each request of the target in turn.
#[test]
fn a_copy_that_fails_at_any_request_of_the_target_leaves_no_name_and_can_be_repeated() {
    let world = shop();
    fs::create_dir(world.path("site")).unwrap();
    let target = Registry::start(&world, &world.path("site"));
    let names_before_publish = |request: &ProxyRequest| request.is("POST", "/v1/applications");
    for failing in 0..40 {
        let asked = Arc::new(AtomicUsize::new(0));
        let (count, published) = (Arc::clone(&asked), Arc::new(AtomicUsize::new(0)));
        let seen = Arc::clone(&published);
        let proxy = seawall_tests::Proxy::start(&target, move |request, answer| {
            if names_before_publish(request) {
                seen.fetch_add(1, Ordering::Relaxed);
            }
            match count.fetch_add(1, Ordering::Relaxed) {
                // Permanent, so that nothing is retried.
                at if at == failing => Answer::empty(403, "content-type", "text/plain"),
                _ => answer,
            }
        });
        let run = format!("copy shop:stable --to {}", proxy.url());
        let done = world.local(&run).ends();
        if done.status.success() {
            assert!(asked.load(Ordering::Relaxed) <= failing, "a refused request is told");
            site_holds(&world, &target);
            return;
        }
        if published.load(Ordering::Relaxed) == 0 {
            target.client(&world, "show shop:1.1").exits_with(3);
        }
    }
    panic!("a copy of one release takes fewer than 40 requests");
}

fn site_holds(world: &World, target: &Registry) {
    target.client(world, "pull shop:stable --into there").succeeds();
    world.holds("there", "shop:1.1");
}
