//! An edge: a registry at a site that fetches what its hosts ask for, once, and proves it.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use seawall_tests::{Answer, MIB, Noise, Proxy, ProxyRequest, Registry, World, object_files, raw};

/// Creates a world with `shop:1.0`, on channel `stable`, in the registry `registry`.
fn shop() -> World {
    let world = World::new();
    raw(&world.path("root.raw"), 24 * MIB, &[(0, Noise::new("root").bytes(6 * MIB))]);
    world.push("shop:1.0", &["web=root:root.raw"]);
    world.local("promote shop:1.0 stable").succeeds();
    world
}

/// Starts an edge before an upstream, whose answers about names are never fresh.
fn edge(world: &World, upstream: &str) -> Registry {
    let args = format!("serve ./edge --listen 127.0.0.1:0 --fresh-time 0 --upstream {upstream}");
    Registry::start_by(world.seawall(&args), world)
}

/// Pulls to another host each time.
fn pull(world: &World, edge: &Registry, host: &str) {
    std::fs::create_dir(world.path(format!("{host}-home"))).unwrap();
    let args = format!("pull shop:stable --registry {} --into {host}", edge.url());
    world.on_host(&format!("{host}-home"), &args).succeeds();
    world.holds(host, "shop:1.0");
}

fn untouched(_: &ProxyRequest, answer: Answer) -> Answer {
    answer
}

#[test]
fn many_hosts_behind_an_edge_cost_the_upstream_one_copy() {
    let world = shop();
    let upstream = world.serve();
    let proxy = Proxy::start(&upstream, untouched);
    let edge = edge(&world, proxy.url());
    pull(&world, &edge, "first");
    let once = proxy.sent();
    assert!(once > 6 * MIB, "the first pull travels: {once} bytes");
    std::thread::scope(|scope| {
        for host in ["second", "third", "fourth"] {
            let (world, edge) = (&world, &edge);
            scope.spawn(move || pull(world, edge, host));
        }
    });
    // Names are asked for anew by each host, and are small.
    let more = proxy.sent() - once;
    assert!(more < MIB / 4, "{more} further bytes");
}

#[test]
fn hosts_that_ask_at_once_cost_one_copy() {
    let world = shop();
    let upstream = world.serve();
    let proxy = Proxy::start(&upstream, untouched);
    let edge = edge(&world, proxy.url());
    std::thread::scope(|scope| {
        for host in ["first", "second", "third"] {
            let (world, edge) = (&world, &edge);
            scope.spawn(move || pull(world, edge, host));
        }
    });
    assert!(proxy.sent() < 8 * MIB, "{} bytes for 6 MiB", proxy.sent());
}

#[test]
fn an_edge_serves_what_it_has_when_its_upstream_is_gone_and_says_so() {
    let world = shop();
    let upstream = world.serve();
    let edge = edge(&world, upstream.url());
    pull(&world, &edge, "first");
    upstream.kill();
    pull(&world, &edge, "second");
    let answer = reqwest::blocking::get(edge.at("/v1/applications/shop/releases/stable")).unwrap();
    let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("cache-status"), "seawall; hit; detail=upstream-unreachable");
    assert!(header("age").parse::<u64>().is_ok());
    edge.client(&world, "show shop:2.0").exits_with(6).explains();
    assert_eq!(edge.status("/readyz"), Some(200));
}

#[test]
fn what_an_edge_has_survives_its_restart_without_an_upstream() {
    let world = shop();
    let upstream = world.serve();
    let first = edge(&world, upstream.url());
    pull(&world, &first, "first");
    first.kill();
    let address = upstream.url().to_owned();
    upstream.kill();
    pull(&world, &edge(&world, &address), "second");
}

#[test]
fn a_push_passes_through_and_is_there_for_everyone() {
    let world = shop();
    let upstream = world.serve();
    let edge = edge(&world, upstream.url());
    edge.client(&world, "push shop:2.0 --machine web=root:root.raw").succeeds();
    edge.client(&world, "promote shop:2.0 stable").succeeds();
    upstream.client(&world, "show shop:stable").succeeds().prints("2.0");
    edge.client(&world, "show shop:stable").succeeds().prints("2.0");
    edge.client(&world, "gc").succeeds();
}

#[test]
fn wrong_bytes_of_the_upstream_are_asked_for_again_and_never_leave() {
    let world = shop();
    let upstream = world.serve();
    let wrong = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&wrong);
    let lying = Proxy::start(&upstream, move |request, mut answer| {
        // Not the tail of the pack, which is read first.
        let is_of_frames = request.is("GET", "/v1/packs/") && answer.body.len() > 80 << 10;
        if is_of_frames && count.fetch_add(1, Ordering::Relaxed) == 0 {
            answer.body[70_000] ^= 1;
        }
        answer
    });
    let edge = edge(&world, lying.url());
    pull(&world, &edge, "first");
    assert!(wrong.load(Ordering::Relaxed) > 1, "the wrong answer was given");
}

#[test]
fn damage_of_the_upstream_is_told_and_not_served() {
    let world = shop();
    for pack in object_files(&world.path("registry"), "packs") {
        seawall_tests::flip_bit(&pack, 100_000);
    }
    let upstream = world.serve();
    let edge = edge(&world, upstream.url());
    let failed = edge.client(&world, "pull shop:1.0 --into here").exits_with(5).explains();
    assert!(failed.stderr.contains("damaged at the upstream of this edge"), "{failed}");
}

#[test]
fn what_an_edge_keeps_is_only_for_tokens_that_the_upstream_accepts() {
    let world = shop();
    let tokens = world.path("tokens");
    std::fs::write(&tokens, "ci reader secret-of-the-hosts\n").unwrap();
    std::fs::set_permissions(&tokens, std::fs::Permissions::from_mode(0o600)).unwrap();
    let args = "serve ./registry --listen 127.0.0.1:0 --token-file ./tokens";
    let upstream = Registry::start_by(world.seawall(args), &world);
    let edge = edge(&world, upstream.url());
    let pull = |token: &str, into: &str| {
        let args = format!("pull shop:1.0 --into {into}");
        edge.client(&world, &args).env("SEAWALL_TOKEN", token)
    };
    pull("secret-of-the-hosts", "first").succeeds();
    pull("secret-of-nobody-at-all", "second").exits_with(7);
    let pack = object_files(&world.path("registry"), "packs").remove(0);
    let pack = format!("/v1/packs/blake3:{}", pack.file_name().unwrap().to_str().unwrap());
    assert_eq!(edge.status(&pack), Some(401));
    upstream.kill();
    assert_eq!(edge.status(&pack), Some(503), "an unknown token stays unknown");
}

#[test]
fn an_edge_is_given_an_address_of_a_registry() {
    let world = World::new();
    for wrong in ["registry.example", "ftp://registry.example", "http://user@registry.example"] {
        let args = format!("serve ./edge --listen 127.0.0.1:0 --upstream {wrong}");
        world.seawall(&args).exits_with(2).says("no address of a registry").explains();
    }
    world.seawall("serve ./edge --upstream http://127.0.0.1:1 --tokens").exits_with(2);
}
