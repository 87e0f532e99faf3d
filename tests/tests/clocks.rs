//! Registries over one catalog whose machines disagree about the time.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use seawall_tests::{MIB, Noise, Postgres, Registry, World, exists, raw, same_bytes};

/// The seconds by which one clock is behind, and the other one ahead.
const OFF_SECS: i64 = 240;
/// The validity of a lease, in seconds: the shortest there is, and shorter than [`OFF_SECS`].
const LEASE_TTL_SECS: i64 = 10;

/// Returns the library that stands between a program and its clock.
fn library() -> PathBuf {
    assert!(exists("faketime"), "`./dev needs` installs what the tests start");
    let folders = fs::read_dir("/usr/lib").unwrap().map(|entry| entry.unwrap().path());
    let mut libraries = folders.map(|it| it.join("faketime/libfaketimeMT.so.1"));
    libraries.find(|it| it.exists()).expect("Debian's libfaketime")
}

/// Starts a registry whose clock is `secs` ahead.
fn serve(world: &World, place: &str, data: &str, secs: i64) -> Registry {
    let line = format!("serve --listen 127.0.0.1:0 --lease-ttl {LEASE_TTL_SECS}");
    let run = world.seawall(&line).args(["--catalog", place, "--store"]);
    let run = run.arg(world.path("objects")).arg(world.path(data));
    let run = run.env("LD_PRELOAD", library()).env("FAKETIME", format!("{secs:+}"));
    // The time between two moments stays as it is.
    let run = run.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("NO_FAKE_STAT", "1");
    Registry::start_by(run, world)
}

fn packs(registry: &Registry) -> u64 {
    let metrics = registry.text("/metrics");
    let mut lines = metrics.lines();
    let count = lines.find_map(|line| line.strip_prefix("seawall_packs_total "));
    count.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
}

#[test]
fn clocks_minutes_apart_end_no_lease_and_steal_no_job() {
    let Some(postgres) = Postgres::start() else { return };
    let world = World::new();
    let place = postgres.address("postgres", "");
    let behind = serve(&world, &place, "behind", -OFF_SECS);
    let ahead = serve(&world, &place, "ahead", OFF_SECS);
    for name in ["1.0", "2.0"] {
        let data = Noise::new(name).bytes(64 * MIB);
        raw(&world.path(format!("{name}.raw")), 96 * MIB, &[(MIB, data)]);
    }

    // Leases of either registry are alive for the other one, which collects.
    for (name, pushes, collects) in [("1.0", &behind, &ahead), ("2.0", &ahead, &behind)] {
        let before = packs(pushes);
        let line = format!("push shop:{name} --machine a=root:{name}.raw");
        let mut pushing = pushes.client(&world, &line).start();
        while packs(pushes) <= before {
            assert!(pushing.is_running(), "the push ended before its middle: {}", pushing.ends());
            std::thread::sleep(Duration::from_millis(2));
        }
        collects.client(&world, "gc --force --no-wait").succeeds();
        let done = pushing.ends();
        assert!(done.status.success(), "the lease ended early: {done}");
        collects.client(&world, &format!("pull shop:{name} --into {name}")).succeeds();
        same_bytes(world.path(format!("{name}/a/root.raw")), world.path(format!("{name}.raw")));
    }

    // A job of either registry is alive for the other one, which joins it.
    for (runs, asks) in [(&behind, &ahead), (&ahead, &behind)] {
        let checking = runs.client(&world, "fsck --json --rate 8").start();
        let begun = Instant::now();
        let status = || asks.client(&world, "fsck --status --json").ends().json();
        while status()["state"] != "running" {
            assert!(begun.elapsed() < Duration::from_secs(60), "{}", status());
            std::thread::sleep(Duration::from_millis(20));
        }
        let run = status()["run"].clone();
        let joined = asks.client(&world, "fsck --json").succeeds().json();
        let checked = checking.ends();
        assert!(checked.status.success(), "{checked}");
        assert_eq!((&joined["run"], &checked.json()["run"]), (&run, &run), "one check for both");
    }
}
