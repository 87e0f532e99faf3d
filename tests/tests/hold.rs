//! A flow renews its lease even while it sends no other request. A lease that ended anyway is
//! replaced by a new one.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use seawall_tests::{
    Answer, MIB, Noise, Proxy, ProxyRequest, Registry, World, object_files, raw, same_bytes, tool,
};

/// The shortest validity of a lease, in seconds.
const TTL_SECS: u64 = 10;
/// The delay of a response, after which a lease without renewal has ended.
const SLOW: Duration = Duration::from_secs(TTL_SECS + 3);
/// The time limit for replacing an ended lease.
const REOPENED_TIME_MAX: Duration = Duration::from_secs(2 * TTL_SECS);

/// Creates a world with a disk of one leaf and one pack, so that no two requests are concurrent.
fn shop() -> World {
    let world = World::new();
    raw(&world.path("root.raw"), 8 * MIB, &[(0, Noise::new("root").bytes(2 * MIB))]);
    world
}

/// Serves a directory of the world with the shortest leases.
fn serve(world: &World, data: &str) -> Registry {
    let run = world.seawall(&format!("serve --listen 127.0.0.1:0 --lease-ttl {TTL_SECS}"));
    Registry::start_by(run.arg(world.path(data)), world)
}

/// Starts a proxy that delays its first response to this request. Also returns whether it has done
/// so.
fn slow(registry: &Registry, method: &'static str, path: &'static str) -> (Proxy, Arc<AtomicBool>) {
    let was_slow = Arc::new(AtomicBool::new(false));
    let is_late = Arc::clone(&was_slow);
    let proxy = Proxy::start(registry, move |asked: &ProxyRequest, answer: Answer| {
        if asked.is(method, path) && !is_late.swap(true, Ordering::SeqCst) {
            std::thread::sleep(SLOW);
        }
        answer
    });
    (proxy, was_slow)
}

#[test]
fn a_push_outlives_an_answer_that_comes_later_than_its_lease_holds() {
    let world = shop();
    let registry = serve(&world, "registry");
    let (proxy, was_slow) = slow(&registry, "POST", "/v1/chunks/missing");
    let push = world.seawall("push shop:1 --machine web=root:root.raw");
    push.env("SEAWALL_REGISTRY", proxy.url()).succeeds();
    assert!(was_slow.load(Ordering::SeqCst));
    registry.client(&world, "verify shop:1").succeeds();
}

#[test]
fn a_repair_outlives_a_source_that_takes_longer_than_its_lease_holds() {
    let world = shop();
    world.push("shop:1", &["web=root:root.raw"]);
    tool(
        "cp",
        ["-r".as_ref(), world.path("registry").as_os_str(), world.path("intact").as_os_str()],
    );
    let intact = serve(&world, "intact");
    let (proxy, was_slow) = slow(&intact, "GET", "/v1/packs/");
    let packs = object_files(&world.path("registry"), "packs");
    assert_eq!(packs.len(), 1);
    fs::remove_file(&packs[0]).unwrap();
    world.local("fsck").exits_with(5);

    let damaged = serve(&world, "registry");
    damaged.client(&world, "repair --from").arg(proxy.url()).succeeds();

    assert!(was_slow.load(Ordering::SeqCst));
    damaged.client(&world, "verify shop:1").succeeds();
}

#[test]
fn a_pull_whose_lease_is_ended_opens_another() {
    let world = shop();
    world.push("shop:1", &["web=root:root.raw"]);
    let registry = serve(&world, "registry");
    let opened = Arc::new(AtomicU32::new(0));
    let (count, leases) = (Arc::clone(&opened), registry.at("/v1/leases"));
    let proxy = Proxy::start(&registry, move |asked: &ProxyRequest, answer: Answer| {
        if asked.is("POST", "/v1/leases") {
            let lease: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
            if count.fetch_add(1, Ordering::SeqCst) == 0 {
                // The lease is ended externally, before any read under it.
                let lease = format!("{leases}/{}", lease["id"].as_str().unwrap());
                let ended = reqwest::blocking::Client::new().delete(lease).send().unwrap();
                assert!(ended.status().is_success(), "{ended:?}");
            }
        }
        if asked.is("GET", "/v1/packs/") {
            let begun = Instant::now();
            while count.load(Ordering::SeqCst) < 2 && begun.elapsed() < REOPENED_TIME_MAX {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        answer
    });
    let pull = world.seawall("pull shop:1 --into host");
    pull.env("SEAWALL_REGISTRY", proxy.url()).succeeds();
    same_bytes(world.path("host/web/root.raw"), world.path("root.raw"));
    assert_eq!(opened.load(Ordering::SeqCst), 2, "another lease holds what is left to read");
}
