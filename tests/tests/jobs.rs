//! Jobs of two processes that serve one directory: each shows the jobs of both, stops them, and takes
//! over what the other leaves when it is killed. Collections are in `gc`, checks in `fsck`.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use seawall_tests::{MIB, Noise, Receiver, Registry, Signal, World, raw};
use serde_json::Value;

/// The time after which a job counts as stuck: a takeover takes some 11 seconds.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// Waits until a job is as wanted, as another process shows it.
#[track_caller]
fn comes_to(registry: &Registry, kind: &str, is_wanted: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let shown: Value = serde_json::from_str(&registry.text("/v1/jobs")).unwrap();
        let mut jobs = shown["jobs"].as_array().unwrap().iter();
        if let Some(job) = jobs.find(|job| job["kind"] == kind && is_wanted(job)) {
            return job.clone();
        }
        assert!(begun.elapsed() < WAIT_MAX, "{shown}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn is(state: &'static str) -> impl Fn(&Value) -> bool {
    move |job| job["state"] == state
}

fn push(world: &World, registry: &Registry, version: u32) {
    let push = format!("push shop:{version} --machine a=root:disk.raw");
    registry.client(world, &push).succeeds();
}

fn world() -> World {
    let world = World::new();
    raw(&world.path("disk.raw"), MIB, &[(0, Noise::new("disk").bytes(MIB))]);
    world
}

/// A process is killed while its receiver keeps a message. The other one sends this message and the
/// next ones, in their order.
#[test]
fn deliveries_of_a_killed_process_are_taken_over_in_order() {
    let world = world();
    let one = world.serve();
    let receiver = Receiver::failing(0);
    receiver.holds();
    fs::write(world.path("secret"), "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3").unwrap();
    let add =
        format!("webhooks add {} --events publish --secret-file secret", receiver.at("/hook"));
    one.client(&world, &add).succeeds();
    for version in 1..=3 {
        push(&world, &one, version);
    }
    receiver.waits_for("first message", |received| received.status == 0);
    let other = world.serve();
    let job = comes_to(&other, "deliver", is("running"));
    assert_eq!(job["subject"].as_str().unwrap().len(), 32, "{job}");
    one.kill();
    receiver.answers(204);

    let version = |body: &[u8]| -> String {
        let message: Value = serde_json::from_slice(body).unwrap();
        message["data"]["version"].as_str().unwrap().to_owned()
    };
    receiver.waits_for("last message", |received| version(&received.body) == "3");
    let versions: Vec<_> = receiver.received().iter().map(|it| version(&it.body)).collect();
    assert_eq!(versions, ["1", "1", "2", "3"], "the first one again, for its answer was lost");
    let job = comes_to(&other, "deliver", is("complete"));
    assert_eq!(job["objects"], 3, "{job}");
}

/// A process is killed after it deleted some of the releases of a plan. The other one deletes the
/// others, and collects.
#[test]
fn retention_of_a_killed_process_is_taken_over() {
    const COUNT: u32 = 30;
    let world = world();
    let [one, other] = [world.serve(), world.serve()];
    for version in 1..=COUNT {
        push(&world, &one, version);
    }
    one.client(&world, "retention set shop --keep-last 1").succeeds();
    let left = || {
        let listed = other.text("/v1/applications/shop/releases");
        let listed: Value = serde_json::from_str(&listed).unwrap();
        listed["releases"].as_array().unwrap().len()
    };
    one.signal(Signal::STOP);
    let apply = one.client(&world, "retention apply shop").start();
    let begun = Instant::now();
    // In slices of time, so that not all releases are deleted before this process looks.
    while left() == COUNT as usize {
        assert!(begun.elapsed() < WAIT_MAX, "nothing is deleted");
        one.signal(Signal::CONT);
        std::thread::sleep(Duration::from_millis(5));
        one.signal(Signal::STOP);
    }
    assert!(left() > 1, "all are deleted already");
    one.kill();
    apply.kill();

    let job = comes_to(&other, "retention", is("complete"));
    assert_eq!((&job["subject"], left()), (&"shop".into(), 1), "{job}");
    comes_to(&other, "collection", is("complete"));
    let again = other.client(&world, "retention apply shop --json").succeeds().json();
    assert_eq!(again["deleted"].as_array().unwrap().len(), 0, "{again}");
}

/// Requests a backup and reads its first bytes.
fn begin_backup(registry: &Registry) -> TcpStream {
    let address = registry.url().strip_prefix("http://").unwrap().trim_end_matches('/').to_owned();
    let mut client = TcpStream::connect(&address).unwrap();
    let request = format!(
        "POST /v1/backup HTTP/1.1\r\nhost: {address}\r\ncontent-length: 0\r\n\
         content-type: application/octet-stream\r\n\r\n"
    );
    client.write_all(request.as_bytes()).unwrap();
    let mut head = vec![0; 4096];
    client.read_exact(&mut head).unwrap();
    assert!(head.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&head));
    client
}

/// A backup whose client does not read is shown, stopped, and killed with its process.
#[test]
fn a_backup_is_shown_and_stopped_by_another_process() {
    const LEN: u64 = 24 * MIB;
    let world = world();
    world.push("shop:1", &["a=root:disk.raw"]);
    // More than the buffers of a connection take.
    let catalog = rusqlite::Connection::open(world.path("registry/catalog.sqlite")).unwrap();
    let fill = "INSERT INTO findings (run, object, kind, what, class)
                VALUES (0, $1, 'x', hex(zeroblob($2)), 0)";
    for object in 0..24 {
        catalog.execute(fill, (object.to_string(), 1 << 19)).unwrap();
    }
    drop(catalog);
    let [one, other] = [world.serve(), world.serve()];
    let mut client = begin_backup(&one);
    let under_way = |job: &Value| job["state"] == "running" && job["bytes"].as_u64() > Some(0);
    let job = comes_to(&other, "backup", under_way);
    let (bytes, total) = (job["bytes"].as_u64().unwrap(), job["totalBytes"].as_u64().unwrap());
    assert!(bytes < total && total >= LEN, "{job}");
    other.client(&world, "backup copy.sqlite").exits_with(6).says("another backup is in progress");

    let stop = other.client(&world, "jobs --stop backup").succeeds();
    assert!(stop.stdout.contains("backup  stopped"), "{stop}");
    comes_to(&other, "backup", |job| job["state"] == "stopped" && job["failure"].is_string());
    let mut rest = Vec::new();
    // The connection is closed, with or without an error.
    let _ = client.read_to_end(&mut rest);
    assert!((rest.len() as u64) < total, "the copy is cut");

    let client = begin_backup(&one);
    comes_to(&other, "backup", under_way);
    one.kill();
    comes_to(&other, "backup", is("interrupted"));
    other.client(&world, "backup copy.sqlite").succeeds();
    let job = comes_to(&other, "backup", is("complete"));
    assert_eq!(
        (&job["bytes"], &job["endedAtSecs"]),
        (&job["totalBytes"], &job["lastCompleteAtSecs"])
    );
    let metrics = other.text("/metrics");
    let metric = format!("seawall_backup_last_complete_timestamp_seconds {}", job["endedAtSecs"]);
    assert!(metrics.contains(&metric), "{metrics}");
    drop(client);

    let copy = rusqlite::Connection::open(world.path("copy.sqlite")).unwrap();
    let count = "SELECT COUNT(*) FROM jobs WHERE kind = 'backup'";
    let count: u32 = copy.query_row(count, [], |row| row.get(0)).unwrap();
    assert_eq!(count, 0, "a restored catalog shows no backup in progress");

    // In the directory's own process, which ends with the command.
    drop(other);
    world.local("backup again.sqlite").succeeds();
    let jobs = world.local("jobs --json").succeeds().json();
    assert_eq!(jobs["jobs"][0]["state"], "complete", "{jobs}");
}
