//! The store alone rebuilds the catalog; a damaged catalog is refused.

use reqwest::{Method, StatusCode};
use seawall_api::v1;
use seawall_server::{Access, Config, StartError, start};
use serde_json::{Value, json};

use crate::fixture::TinyRelease;
use crate::world::World;

const RELEASES: &str = "/v1/applications/team%2Fwebshop/releases";
const CHANNEL: &str = "/v1/applications/team%2Fwebshop/channels/stable";

/// Creates two releases that share chunks, a release of another application, and a channel that
/// moved twice.
async fn furnished() -> (World, [TinyRelease; 3]) {
    let world = World::open().await;
    let releases = [
        TinyRelease::new("team/webshop", "1.0", "ab.c", "dded"),
        TinyRelease::new("team/webshop", "1.1", "ab.c", "fgf"),
        TinyRelease::new("other", "2.0", "xy", "zz"),
    ];
    for release in &releases {
        world.push(release).await;
    }
    let moves = [(&releases[0], "if-none-match", "*"), (&releases[1], "if-match", "\"1\"")];
    for (to, header, value) in moves {
        let body = json!({ "release": to.release.digest() });
        let request = world.request(Method::PUT, CHANNEL).header(header, value).json(&body);
        assert!(request.send().await.unwrap().status().is_success());
    }
    (world, releases)
}

/// Returns everything that a client can read.
async fn seen(world: &World, releases: &[TinyRelease]) -> Vec<Value> {
    let mut seen = Vec::new();
    let history = format!("{CHANNEL}/history");
    for path in ["/v1/applications", RELEASES, "/v1/applications/other/releases", CHANNEL, &history]
    {
        seen.push(world.get(path).await.json().await.unwrap());
    }
    for tiny in releases {
        for disk in &tiny.disks {
            let ask = json!({ "chunks": disk.chunks() });
            let answer = world.post("/v1/chunks/locate", &ask).await;
            let located: v1::LocatedChunks = answer.json().await.unwrap();
            for pack in &located.packs {
                let answer = world.get(&format!("/v1/packs/{pack}")).await;
                assert_eq!(answer.status(), StatusCode::OK);
            }
            seen.push(serde_json::to_value(located).unwrap());
            let leaf = world.get(&format!("/v1/leaves/{}", disk.leaf.digest())).await;
            assert_eq!(leaf.bytes().await.unwrap(), disk.leaf.encode());
            let index = world.get(&format!("/v1/indexes/{}", disk.index.digest())).await;
            assert_eq!(index.bytes().await.unwrap(), disk.index.encode());
        }
        let application = tiny.release.application().as_str().replace('/', "%2F");
        let path = format!("/v1/applications/{application}/releases/{}", tiny.release.digest());
        assert_eq!(world.get(&path).await.bytes().await.unwrap(), tiny.release.bytes());
    }
    seen
}

async fn stopped(world: World) -> (tempfile::TempDir, Config) {
    let World { dir, running, .. } = world;
    running.stop().await.unwrap();
    // Moves the log into the file. A thread of the pool may hold a connection a little longer.
    let path = dir.path().join("catalog.sqlite");
    let connection = rusqlite::Connection::open(path).unwrap();
    connection.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    let config = Config { access: Access::Open, ..Config::in_process(dir.path()) };
    (dir, config)
}

async fn started(dir: tempfile::TempDir, config: Config) -> World {
    World { dir, running: start(config).await.unwrap(), client: reqwest::Client::new() }
}

#[tokio::test]
async fn a_lost_catalog_is_rebuilt_and_nothing_is_missed() {
    for what in ["all of it", "the database alone", "cut to nothing"] {
        let (world, releases) = furnished().await;
        let before = seen(&world, &releases).await;
        // Simulates a power cut: the log still exists.
        let log = world.dir.path().join("catalog.sqlite-wal");
        let left = std::fs::read(&log).unwrap();
        let (dir, config) = stopped(world).await;
        let path = dir.path().join("catalog.sqlite");
        match what {
            "cut to nothing" => std::fs::write(&path, b"").unwrap(),
            _ => std::fs::remove_file(&path).unwrap(),
        }
        // The leftovers of a rebuild that was killed.
        for leftover in ["catalog.sqlite.rebuild", "catalog.sqlite.rebuild-wal"] {
            std::fs::write(dir.path().join(leftover), vec![7; 5000]).unwrap();
        }
        if what != "all of it" {
            std::fs::write(&log, &left).unwrap();
        }
        let world = started(dir, config).await;
        assert_eq!(seen(&world, &releases).await, before, "{what}");
        // Publishing works, and so does the next move of the channel.
        world.push(&TinyRelease::new("team/webshop", "1.2", "ab", "zq")).await;
        let body = json!({ "release": releases[0].release.digest() });
        let request = world.request(Method::PUT, CHANNEL).header("if-match", "\"2\"").json(&body);
        assert_eq!(request.send().await.unwrap().status(), StatusCode::OK);
        let world = world.restarted().await;
        let channel: v1::Channel = world.get(CHANNEL).await.json().await.unwrap();
        assert_eq!((channel.sequence, channel.version.as_str()), (3, "1.0"));
    }
}

#[tokio::test]
async fn of_registries_that_find_no_catalog_one_rebuilds_it_and_all_serve() {
    let (world, _) = furnished().await;
    let (dir, config) = stopped(world).await;
    std::fs::remove_file(dir.path().join("catalog.sqlite")).unwrap();
    // On one thread, to show that waiting for another process does not block.
    let starts = futures::future::join_all((0..4).map(|_| start(config.clone())));
    for started in starts.await {
        let running = started.unwrap();
        let url = format!("http://{}{RELEASES}", running.addr());
        let page: v1::ReleasePage = reqwest::get(url).await.unwrap().json().await.unwrap();
        assert_eq!(page.releases.len(), 2);
        running.stop().await.unwrap();
    }
}

/// Moving a catalog aside does not move the lock of a running registry.
#[tokio::test]
async fn while_a_registry_runs_no_other_catalog_is_made() {
    let (world, releases) = furnished().await;
    let before = seen(&world, &releases).await;
    let aside = tempfile::tempdir().unwrap();
    for suffix in ["", "-wal", "-shm"] {
        let name = format!("catalog.sqlite{suffix}");
        std::fs::rename(world.dir.path().join(&name), aside.path().join(name)).unwrap();
    }
    let config = Config { access: Access::Open, ..Config::in_process(world.dir.path()) };
    let error = start(config.clone()).await.unwrap_err();
    let cause = std::error::Error::source(&error).and_then(|error| error.source()).unwrap();
    assert!(cause.to_string().contains("stop it first"), "{cause}");
    assert!(!world.dir.path().join("catalog.sqlite").exists());
    let World { dir, running, .. } = world;
    running.stop().await.unwrap();
    let world = started(dir, config).await;
    assert_eq!(seen(&world, &releases).await, before);
}

#[tokio::test]
async fn a_damaged_catalog_is_refused_until_it_is_moved_aside() {
    let (world, releases) = furnished().await;
    let before = seen(&world, &releases).await;
    let (dir, config) = stopped(world).await;
    let path = dir.path().join("catalog.sqlite");
    let sound = std::fs::read(&path).unwrap();
    let mut garbage = sound.clone();
    garbage[..16].fill(7);
    let mut schema = sound.clone();
    schema[100..200].fill(0xff);
    let mut roots = sound.clone();
    roots[4096..].fill(0xff);
    let truncated = sound[..sound.len() / 2 + 100].to_vec();
    let cases = [
        ("garbage header", garbage),
        ("garbage schema", schema),
        ("garbage tables", roots),
        ("truncated", truncated),
        ("cut in its header", sound[..60].to_vec()),
        ("another thing", b"#!/bin/sh\n".repeat(1000)),
    ];
    for (what, bytes) in cases {
        std::fs::write(&path, &bytes).unwrap();
        let error = start(config.clone()).await.unwrap_err();
        assert!(matches!(error, StartError::Catalog { .. }), "{what}: {error}");
        let remedy = error.remedy().unwrap_or_default();
        assert!(remedy.contains("`seawall recover DATA`"), "{what}: {error:?}");
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "{what}: it is left as it is");
    }
    std::fs::rename(&path, dir.path().join("aside")).unwrap();
    let world = started(dir, config).await;
    assert_eq!(seen(&world, &releases).await, before);
}
