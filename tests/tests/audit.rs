//! Tests of operators' tools: audit log, webhooks, quotas, free space, rates.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use seawall_tests::{MIB, Noise, Received, Receiver, Registry, World, object_files, raw};
use serde_json::Value;
use sha2::Sha256;

const SECRET: [u8; 32] = *b"a secret that only two may know!";

fn disk(world: &World, name: &str, seed: &str, data: u64) {
    raw(&world.path(name), 32 * MIB, &[(0, Noise::new(seed).bytes(data))]);
}

fn add_webhook(world: &World, registry: &Registry, receiver: &Receiver, events: &str) -> String {
    fs::write(world.path("secret"), format!("whsec_{}\n", BASE64.encode(SECRET))).unwrap();
    let add = format!(
        "webhooks add {} --events {events} --secret-file secret --json",
        receiver.at("/hook")
    );
    let added = registry.client(world, &add).succeeds().json();
    added["webhook"].as_str().unwrap().to_owned()
}

/// Asserts a signature as in the Standard Webhooks specification, and returns the body.
#[track_caller]
fn proven(received: &Received) -> Value {
    let header = |name: &str| received.headers[name].as_str();
    let mut hmac = Hmac::<Sha256>::new_from_slice(&SECRET).unwrap();
    let head = format!("{}.{}.", header("webhook-id"), header("webhook-timestamp"));
    hmac.update(head.as_bytes());
    hmac.update(&received.body);
    let signature = format!("v1,{}", BASE64.encode(hmac.finalize().into_bytes()));
    assert_eq!(header("webhook-signature"), signature);
    assert_eq!(header("content-type"), "application/json");
    serde_json::from_slice(&received.body).unwrap()
}

fn is_of(received: &Received, kind: &str) -> bool {
    serde_json::from_slice::<Value>(&received.body).unwrap()["type"] == kind
}

#[test]
fn a_webhook_that_fails_twice_gets_each_event_rightly_signed() {
    let world = World::new();
    let registry = world.serve();
    disk(&world, "1.raw", "one", 4096);
    let receiver = Receiver::failing(2);
    let id = add_webhook(&world, &registry, &receiver, "publish,promote");
    // A dead receiver delays neither other receivers nor pushes.
    let dead = "webhooks add http://127.0.0.1:1/ --events publish --secret-file secret";
    registry.client(&world, dead).succeeds();

    registry.client(&world, "push shop:1 --machine a=root:1.raw").succeeds();
    registry.client(&world, "promote shop:1 stable").succeeds();

    let accepted = |kind: &'static str| {
        move |received: &Received| received.status == 204 && is_of(received, kind)
    };
    let published = receiver.waits_for("accepted publish", accepted("publish"));
    let promoted = receiver.waits_for("accepted promote", accepted("promote"));
    let all = receiver.received();
    assert!(all.iter().filter(|received| received.status == 500).count() == 2, "{all:?}");
    for received in &all {
        let body = proven(received);
        assert_eq!(body["data"]["action"], body["type"]);
        // The id of an event is the same in every attempt.
        let id = |of: &Received| of.headers["webhook-id"].clone();
        let same = if is_of(received, "publish") { &published } else { &promoted };
        assert_eq!(id(received), id(same));
    }
    let (published, promoted) = (proven(&published), proven(&promoted));
    assert_eq!(published["data"]["application"], "shop");
    assert_eq!(published["data"]["version"], "1");
    assert_eq!(promoted["data"]["facts"]["channel"], "stable");
    assert_ne!(published["data"]["digest"], promoted["data"]["digest"]);

    let begun = Instant::now();
    loop {
        let listed = registry.client(&world, "webhooks list --json").succeeds().json();
        let all = listed["webhooks"].as_array().unwrap();
        let (this, other): (Vec<_>, Vec<_>) = all.iter().partition(|hook| hook["webhook"] == *id);
        if this[0]["pendingCount"] == 0 {
            assert_eq!(other[0]["pendingCount"], 1, "the dead one still waits");
            assert!(!listed.to_string().contains("secret"), "{listed}");
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{listed}");
        std::thread::sleep(Duration::from_millis(50));
    }
    let told = registry.client(&world, &format!("webhooks deliveries {id}")).succeeds();
    assert!(told.stdout.contains("delivered") && told.stdout.contains("HTTP status 204"), "{told}");
    let metrics = registry.text("/metrics");
    let tries = "seawall_webhook_attempts_total{outcome=\"accepted\"} 2";
    assert!(metrics.contains(tries), "{metrics}");
    assert!(metrics.contains("seawall_webhook_pending_messages 1"), "{metrics}");

    registry.client(&world, &format!("webhooks remove {id}")).succeeds();
    registry.client(&world, &format!("webhooks remove {id}")).exits_with(3).explains();
}

#[test]
fn events_are_delivered_although_the_registry_was_killed_before() {
    let world = World::new();
    let registry = world.serve();
    disk(&world, "1.raw", "one", 4096);
    let receiver = Receiver::failing(0);
    receiver.answers(503);
    add_webhook(&world, &registry, &receiver, "publish");
    registry.client(&world, "push shop:1 --machine a=root:1.raw").succeeds();
    registry.kill();
    let before = receiver.received().len();
    receiver.answers(204);

    let registry = world.serve();

    let told = receiver.waits_for("publish", |received| received.status == 204);
    assert_eq!(proven(&told)["data"]["version"], "1");
    assert!(receiver.received().len() > before);
    drop(registry);
}

#[test]
fn a_redirect_is_not_followed() {
    let world = World::new();
    let registry = world.serve();
    disk(&world, "1.raw", "one", 4096);
    let receiver = Receiver::failing(0);
    receiver.answers(307);
    let id = add_webhook(&world, &registry, &receiver, "publish");
    registry.client(&world, "push shop:1 --machine a=root:1.raw").succeeds();
    receiver.waits_for("second try", |received| {
        received.status == 307 && receiver.received().len() > 1
    });
    let told = registry.client(&world, &format!("webhooks deliveries {id}")).succeeds();
    assert!(told.stdout.contains("pending") && told.stdout.contains("HTTP status 307"), "{told}");
    let ids: Vec<_> = receiver.received().iter().map(|r| r.headers["webhook-id"].clone()).collect();
    let first = receiver.received()[0].headers["webhook-timestamp"].clone();
    let times = receiver.received();
    assert!(ids.iter().all(|id| *id == ids[0]));
    assert!(
        times.iter().skip(1).all(|r| r.headers["webhook-timestamp"] != first),
        "tries, not hops"
    );
}

fn tokens(world: &World) -> PathBuf {
    let file = world.path("tokens");
    let text = "ci publisher 0123456789abcdef-ci\nops publisher 0123456789abcdef-ops\n\
                host reader 0123456789abcdef-host\n";
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    file
}

#[test]
fn the_audit_log_names_who_did_what_and_shows_when_it_was_changed() {
    let world = World::new();
    disk(&world, "1.raw", "one", 4096);
    disk(&world, "2.raw", "two", 4096);
    tokens(&world);
    let serve = || {
        Registry::start_by(
            world.seawall("serve registry --listen 127.0.0.1:0 --token-file tokens"),
            &world,
        )
    };
    let registry = serve();
    let by = |registry: &Registry, token: &str, args: &str| {
        registry.client(&world, args).env("SEAWALL_TOKEN", format!("0123456789abcdef-{token}"))
    };
    by(&registry, "ci", "push shop:1 --machine a=root:1.raw").succeeds();
    by(&registry, "ci", "push shop:2 --machine a=root:2.raw").succeeds();
    by(&registry, "ci", "push shop:2 --machine a=root:2.raw").succeeds();
    by(&registry, "ops", "promote shop:2 stable").succeeds();
    by(&registry, "ops", "quota shop --releases 5").succeeds();
    by(&registry, "host", "promote shop:1 stable").exits_with(7);

    let log = by(&registry, "host", "audit --json").succeeds().json();
    let acts: Vec<_> = log["entries"].as_array().unwrap().iter().rev().collect();
    let said: Vec<_> =
        acts.iter().map(|act| [&act["actor"], &act["action"], &act["version"]]).collect();
    let null = Value::Null;
    assert_eq!(said[0], ["ci", "publish", "1"]);
    assert_eq!(said[1], ["ci", "publish", "2"]);
    assert_eq!(said[2], ["ops", "promote", "2"]);
    assert_eq!(said[3], [&Value::from("ops"), &Value::from("quota"), &null]);
    assert_eq!(said.len(), 4, "what was refused, or was there, is not an act");
    let only = by(&registry, "host", "audit shop --action publish --actor ci --since 1h --limit 1");
    let only = only.succeeds();
    assert!(only.stdout.contains("shop:2") && !only.stdout.contains("shop:1"), "{only}");
    let none = by(&registry, "host", "audit --since 2999-01-01 --json").succeeds().json();
    assert_eq!(none["entries"], Value::Array(vec![]));
    by(&registry, "host", "audit --action promoted").exits_with(2).explains();
    // A reader may not see a webhook's address.
    by(&registry, "host", "webhooks list").exits_with(7).explains();

    let head = by(&registry, "host", "audit --verify --json").succeeds().json();
    assert_eq!(head["entryCount"], 4);
    let head = head["head"].as_str().unwrap().to_owned();
    assert!(head.starts_with("4@blake3:"), "{head}");
    by(&registry, "ci", "push shop:3 --machine a=root:1.raw").succeeds();
    let whole = by(&registry, "host", &format!("audit --verify --head {head}")).succeeds();
    assert!(whole.stdout.starts_with("intact: 5 entries"), "{whole}");
    drop(registry);

    let catalog = rusqlite::Connection::open(world.path("registry/catalog.sqlite")).unwrap();
    let forge = "DROP TRIGGER audit_is_not_changed; DROP TRIGGER audit_is_not_cut;
                 DELETE FROM audit WHERE sequence = 5";
    catalog.execute_batch(forge).unwrap();
    let registry = serve();
    by(&registry, "host", "audit --verify").succeeds();
    let noted = "5@blake3:0000000000000000000000000000000000000000000000000000000000000000";
    by(&registry, "host", &format!("audit --verify --head {noted}")).exits_with(5).explains();
    catalog.execute("UPDATE audit SET actor = 'nobody' WHERE sequence = 2", []).unwrap();
    by(&registry, "host", "audit --verify").exits_with(5).explains().says("entry 2");
}

#[test]
fn a_quota_refuses_what_would_pass_it_before_it_is_uploaded() {
    let world = World::new();
    raw(&world.path("first.raw"), MIB, &[]);
    world.push("first:1", &["a=root:first.raw"]);
    for (name, seed, data) in
        [("1.raw", "one", MIB), ("2.raw", "two", MIB), ("big.raw", "b", 24 * MIB)]
    {
        disk(&world, name, seed, data);
    }
    let shown = world.local("quota shop --releases 2 --bytes 8MiB --json").succeeds().json();
    assert_eq!((&shown["releaseCount"], &shown["releaseCountMax"]), (&0.into(), &2.into()));
    world.push("shop:1", &["a=root:1.raw"]);
    let packs = || object_files(&world.path("registry"), "packs").len();
    let before = packs();

    let refused = world.local("push shop:2 --machine a=root:big.raw --threads 1").exits_with(8);
    let refused = refused.explains().says("its quota is 8388608").says("seawall quota shop");
    assert_eq!(world.versions("shop"), ["1"], "{refused}");
    assert!(packs() <= before + 1, "it stops at the pack that passes the quota");

    world.push("shop:2", &["a=root:2.raw"]);
    let before = packs();
    let refused = world.local("push shop:3 --machine a=root:big.raw").exits_with(8).explains();
    refused.says("3 releases, and its quota is 2");
    assert_eq!(packs(), before, "it is refused before anything is sent");
    // Pushing a release again, for instance to repair it, uses no more of the quota.
    world.push("shop:2", &["a=root:2.raw"]);
    world.push("other:1", &["a=root:big.raw"]);

    let shown = world.local("quota shop --releases none --bytes none").succeeds();
    assert!(shown.stdout.contains("2.0 MiB") && shown.stdout.contains("none"), "{shown}");
    world.push("shop:3", &["a=root:big.raw"]);
    world.pull("shop:3", "out");
    world.holds("out", "shop:3");
}

/// A file system in memory of a given length, unmounted when dropped.
struct Tmpfs(PathBuf);

impl Tmpfs {
    /// Returns `None`, with a message, if mounting is not permitted.
    fn mount(path: &Path, len: &str) -> Option<Self> {
        fs::create_dir_all(path).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={len}"), "tmpfs"])
            .arg(path)
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self(path.to_owned())),
            failed => {
                eprintln!("SKIPPED: no tmpfs may be mounted here: {failed:?}");
                None
            }
        }
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

fn metric(metrics: &str, name: &str) -> u64 {
    let line = metrics.lines().find(|line| line.starts_with(&format!("{name} ")));
    line.unwrap_or_else(|| panic!("no {name} in {metrics}"))[name.len()..].trim().parse().unwrap()
}

#[test]
fn a_registry_refuses_pushes_before_its_disk_is_full_and_goes_on_serving_pulls() {
    let world = World::new();
    let Some(_tmpfs) = Tmpfs::mount(&world.path("registry"), "64m") else { return };
    let serve = "serve registry --listen 127.0.0.1:0 --min-free 16MiB";
    let registry = Registry::start_by(world.seawall(serve), &world);
    let mut pushed = 0;
    let refused = loop {
        disk(&world, "disk.raw", &format!("disk {pushed}"), 6 * MIB);
        let push = format!("push shop:{pushed} --machine a=root:disk.raw");
        let done = registry.client(&world, &push).ends();
        if !done.status.success() {
            break done;
        }
        fs::copy(world.path("disk.raw"), world.path(format!("{pushed}.raw"))).unwrap();
        pushed += 1;
        assert!(pushed < 20, "64 MiB are not full after {pushed} pushes of 6 MiB");
    };
    assert_eq!(refused.status.code(), Some(8), "{refused}");
    assert!(pushed >= 4, "there was room for more than {pushed}: {refused}");
    let refused = refused.explains();
    assert!(refused.stderr.contains("must leave 16777216 free"), "{refused}");

    let metrics = registry.text("/metrics");
    let free = metric(&metrics, "seawall_store_free_bytes");
    assert!(free >= 16 * MIB, "what is kept was kept: {free}");
    assert!(free < metric(&metrics, "seawall_store_low_free_bytes"), "{free} is low");
    assert_eq!(metric(&metrics, "seawall_store_min_free_bytes"), 16 * MIB);
    assert_eq!(metric(&metrics, "seawall_store_size_bytes"), 64 * MIB);
    assert_eq!(registry.status("/readyz"), Some(200), "who pulls finds it ready");
    for version in 0..pushed {
        let into = format!("out-{version}");
        let pull = format!("pull shop:{version} --into {into}");
        registry.client(&world, &pull).succeeds();
        seawall_tests::same_bytes(
            world.path(into).join("a/root.raw"),
            world.path(format!("{version}.raw")),
        );
    }
    // Names still move.
    registry.client(&world, "promote shop:0 stable").succeeds();

    // Below the reserved space, not even a lease is granted.
    let full = free - 12 * MIB;
    fs::write(world.path("registry/filler"), vec![1; usize::try_from(full).unwrap()]).unwrap();
    let lease = registry.client(&world, &format!("push shop:{pushed} --machine a=root:0.raw"));
    lease.exits_with(8).explains();
    registry.client(&world, "pull shop:0 --into again").succeeds();
    fs::remove_file(world.path("registry/filler")).unwrap();
    registry.client(&world, &format!("push shop:{pushed} --machine a=root:0.raw")).succeeds();
}

#[test]
fn clients_over_their_rate_are_told_when_to_retry() {
    let world = World::new();
    disk(&world, "1.raw", "one", MIB);
    let serve = "serve registry --listen 127.0.0.1:0 --rate-limit 10:10";
    let registry = Registry::start_by(world.seawall(serve), &world);
    let client = reqwest::blocking::Client::new();
    let ask = || client.get(registry.at("/v1/applications")).send().unwrap();
    let refused = (0..200).map(|_| ask()).find(|answer| answer.status() == 429);
    let refused = refused.expect("200 requests at once are too many");
    assert_eq!(refused.headers()["retry-after"], "1");
    let problem: Value = refused.json().unwrap();
    assert_eq!(problem["code"], "rate-limited");
    // Health checks are always answered, and Seawall's client retries by itself.
    assert!((0..50).all(|_| registry.status("/readyz") == Some(200)));
    registry.client(&world, "push shop:1 --machine a=root:1.raw").succeeds();
    registry.client(&world, "pull shop:1 --into out").succeeds();
}

#[test]
fn limits_that_are_none_are_refused_at_the_start() {
    let world = World::new();
    for flag in ["--min-free 200%", "--min-free much", "--rate-limit 0", "--rate-limit 1:x"] {
        let serve = format!("serve registry --listen 127.0.0.1:0 {flag}");
        world.seawall(&serve).exits_with(2).explains();
    }
}
