//! Registries behind a balancer, over a catalog in PostgreSQL and a store in a bucket.
//!
//! Each scene runs on two stages: on processes, as part of every run of the tests, and on the
//! containers of `docker-compose.yml`, by `./dev compose`. The balancer has the same configuration
//! on both.

mod containers;
mod processes;
mod rolling;
mod traffic;

use std::fs;
use std::time::{Duration, Instant};

use processes::Processes;
use seawall_tests::{Done, InRotation, MIB, Noise, Run, World, raw, same_bytes};

/// The time after which an expected event counts as missing.
const WAIT_MAX: Duration = Duration::from_secs(120);
/// The validity of leases on both stages, in seconds: the shortest there is.
const LEASE_TTL_SECS: u64 = 10;
/// The data of each disk that is pushed: several packs, so that a push has a middle.
const DATA_LEN: u64 = 64 * MIB;

/// The registries, as places in arrays.
const A: usize = 0;
const B: usize = 1;

/// A deployment of two registries behind a balancer, and the ways to disturb it.
trait Stage {
    /// Returns the place of disks and pulled releases.
    fn world(&self) -> &World;
    /// Returns the address and the token for clients.
    fn entrance(&self) -> (String, String);
    /// Returns which registries get requests.
    fn in_rotation(&self) -> Option<InRotation>;
    /// Returns the metrics of a registry, reached without the balancer.
    fn metrics(&self, registry: usize) -> Option<String>;
    /// Ends a registry by SIGKILL.
    fn kill(&mut self, registry: usize);
    /// Sends SIGTERM to a registry.
    fn tell_to_stop(&mut self, registry: usize);
    /// Waits for the end of a registry that was told to stop, and asserts its success.
    fn wait_for_end(&mut self, registry: usize);
    /// Starts a registry that was ended.
    fn start(&mut self, registry: usize);
    /// Stops all threads of a registry.
    fn freeze(&mut self, registry: usize);
    /// Lets a frozen registry go on.
    fn thaw(&mut self, registry: usize);
    /// Cuts a registry off from the catalog's database.
    fn cut_off(&mut self, registry: usize);
    /// Reconnects a registry to the catalog's database.
    fn reconnect(&mut self, registry: usize);
    /// Restarts the catalog's database.
    fn restart_catalog(&mut self);
    /// Runs statements in the catalog's database.
    fn query(&self, sql: &str);
    /// Stops the S3 service.
    fn stop_store(&mut self);
    /// Starts the S3 service.
    fn start_store(&mut self);
}

fn client(stage: &dyn Stage, args: &str) -> Run {
    let (url, token) = stage.entrance();
    stage.world().seawall(args).env("SEAWALL_REGISTRY", url).env("SEAWALL_TOKEN", token)
}

#[track_caller]
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < WAIT_MAX, "not within {WAIT_MAX:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[track_caller]
fn wait_for_rotation(stage: &dyn Stage, expected: InRotation) {
    wait_until(&format!("the balancer's set is {expected:?}"), || {
        stage.in_rotation() == Some(expected)
    });
}

/// Returns a counter of a registry; 0 if it does not answer.
fn count(stage: &dyn Stage, registry: usize, name: &str) -> u64 {
    let text = stage.metrics(registry).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
}

fn packs(stage: &dyn Stage) -> u64 {
    [A, B].map(|registry| count(stage, registry, "seawall_packs_total")).iter().sum()
}

/// Makes a disk for a version, different from every other.
fn disk(world: &World, version: &str) {
    let data = Noise::new(version).bytes(DATA_LEN);
    raw(&world.path(format!("{version}.raw")), 2 * DATA_LEN, &[(4 * MIB, data)]);
}

fn push_line(version: &str) -> String {
    format!("push team/shop:{version} --machine a=root:{version}.raw")
}

/// Pushes a version, and disturbs the deployment once a part of the packs is stored.
fn push_disturbed(
    stage: &mut dyn Stage,
    version: &str,
    disturb: impl FnOnce(&mut dyn Stage),
) -> Done {
    disk(stage.world(), version);
    let before = packs(stage);
    let mut pushing = client(stage, &push_line(version)).start();
    while packs(stage) <= before {
        assert!(pushing.is_running(), "the push ended before its middle: {}", pushing.ends());
        std::thread::sleep(Duration::from_millis(2));
    }
    let begun = Instant::now();
    disturb(stage);
    let disturbed = begun.elapsed();
    let done = pushing.ends();
    println!("{version}: disturbed for {disturbed:.1?}, pushed after {:.1?}", begun.elapsed());
    done
}

/// Asserts that a push has succeeded; or, because a part was gone for longer than a lease lasts,
/// that it said so and succeeds when it is run again.
fn ends_well(stage: &dyn Stage, version: &str, done: Done) {
    if !done.status.success() {
        done.explains().says("lease").says("run the push again");
        client(stage, &push_line(version)).succeeds();
    }
}

/// Pulls a version on a host that knows nothing, and compares its disk.
fn pull_and_compare(stage: &dyn Stage, version: &str, into: &str) {
    client(stage, &format!("pull team/shop:{version} --into {into}")).succeeds();
    let world = stage.world();
    same_bytes(world.path(into).join("a/root.raw"), world.path(format!("{version}.raw")));
    fs::remove_dir_all(world.path(into)).unwrap();
}

/// Disturbs each part in the middle of a push. Clients notice delays at most; nothing is lost.
fn every_part_fails_in_the_middle_of_a_push(stage: &mut dyn Stage) {
    wait_for_rotation(stage, [true, true]);
    let succeeds = |done: Done| assert!(done.status.success(), "{done}");

    succeeds(push_disturbed(stage, "1-killed", |stage| {
        stage.kill(A);
        wait_for_rotation(stage, [false, true]);
    }));
    pull_and_compare(stage, "1-killed", "by-one");
    stage.start(A);
    wait_for_rotation(stage, [true, true]);

    let cut_off = push_disturbed(stage, "2-cut-off", |stage| {
        stage.cut_off(A);
        wait_for_rotation(stage, [false, true]);
    });
    ends_well(stage, "2-cut-off", cut_off);
    stage.reconnect(A);
    wait_for_rotation(stage, [true, true]);

    succeeds(push_disturbed(stage, "3-catalog", |stage| stage.restart_catalog()));
    wait_for_rotation(stage, [true, true]);

    let frozen = push_disturbed(stage, "4-frozen", |stage| {
        stage.freeze(A);
        wait_for_rotation(stage, [false, true]);
        pull_and_compare(stage, "1-killed", "meanwhile");
        // Longer than a lease lasts without a request.
        std::thread::sleep(Duration::from_secs(LEASE_TTL_SECS + 2));
        // What the frozen registry believes to hold is collected, if nothing else protects it.
        let gc = client(stage, "gc --force --no-wait").ends();
        assert!(gc.status.success(), "{gc}");
        stage.thaw(A);
    });
    ends_well(stage, "4-frozen", frozen);
    wait_for_rotation(stage, [true, true]);

    let without_store = push_disturbed(stage, "5-store", |stage| {
        stage.stop_store();
        wait_for_rotation(stage, [false, false]);
        client(stage, "list").succeeds().prints("team/shop");
        stage.start_store();
    });
    ends_well(stage, "5-store", without_store);
    wait_for_rotation(stage, [true, true]);

    for version in ["1-killed", "2-cut-off", "3-catalog", "4-frozen", "5-store"] {
        pull_and_compare(stage, version, "at-the-end");
    }
    client(stage, "fsck --json").succeeds();
    client(stage, "audit --verify").succeeds();
    let collected = client(stage, "gc --json").succeeds().json();
    assert_eq!(collected["phase"], "idle", "{collected}");
}

/// Without any registry, the balancer's answer has the form of a registry's.
fn the_balancer_answers_if_no_registry_does(stage: &mut dyn Stage) {
    stage.kill(A);
    stage.kill(B);
    let answer = reqwest::blocking::get(stage.entrance().0 + "/v1/applications").unwrap();
    assert_eq!(answer.status().as_u16(), 503);
    assert_eq!(answer.headers()["retry-after"], "3");
    let problem: seawall_api::problem::Problem = answer.json().unwrap();
    assert_eq!(problem.code, seawall_api::problem::Code::Unavailable);
    stage.start(A);
    stage.start(B);
    wait_for_rotation(stage, [true, true]);
}

#[test]
fn clients_end_well_when_each_part_of_a_deployment_fails() {
    let Some(mut stage) = Processes::start() else { return };
    every_part_fails_in_the_middle_of_a_push(&mut stage);
}

#[test]
fn a_deployment_is_upgraded_without_a_failed_request() {
    let Some(mut stage) = Processes::start() else { return };
    rolling::bodies_pass_the_balancer_as_they_arrive(&stage);
    rolling::a_connection_serves_several_requests(&stage);
    rolling::each_registry_restarts_without_a_failed_request(&mut stage);
    rolling::registries_too_old_for_the_catalog_leave_the_set(&stage);
    the_balancer_answers_if_no_registry_does(&mut stage);
}
