//! Start and stop.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use futures::StreamExt;
use reqwest::{Method, StatusCode};
use seawall_api::digest::ChunkDigest;
use seawall_api::problem::Code;
use seawall_api::units::ChunkLen;
use seawall_server::{Access, Config, start};
use seawall_store::pack::PackWriter;

use crate::fixture::TinyDisk;
use crate::world::{World, assert_problem};

/// The time after which an expected event counts as missing.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// Creates an upload whose second half is sent only after the signal `go`.
fn slow_body(bytes: bytes::Bytes, go: tokio::sync::oneshot::Receiver<()>) -> reqwest::Body {
    let half = bytes.len() / 2;
    let first = futures::stream::iter([Ok::<_, std::io::Error>(bytes.slice(..half))]);
    let second = futures::stream::once(async move {
        go.await.unwrap();
        Ok(bytes.slice(half..))
    });
    reqwest::Body::wrap_stream(first.chain(second))
}

#[tokio::test]
async fn stopping_finishes_requests_in_flight() {
    let world = World::open().await;
    let lease = world.lease("webshop").await;
    let pack = TinyDisk::new("abcdefgh").pack();
    let (go, wait) = tokio::sync::oneshot::channel();
    let path = format!("/v1/packs/{}?lease={lease}", pack.digest);
    let upload = world.request(Method::PUT, &path).body(slow_body(pack.bytes.clone(), wait));
    let upload = tokio::spawn(upload.send());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let url = world.url("/healthz");
    let stop = tokio::spawn(world.running.stop());
    let begun = Instant::now();
    while reqwest::get(&url).await.is_ok() {
        assert!(begun.elapsed() < WAIT_MAX, "it still takes new connections");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(!stop.is_finished(), "it waits for the upload");
    go.send(()).unwrap();
    assert_eq!(upload.await.unwrap().unwrap().status(), StatusCode::CREATED);
    stop.await.unwrap().unwrap();
}

#[tokio::test]
async fn while_draining_it_serves_and_says_it_is_not_ready() {
    let world = World::with(|config| {
        config.access = Access::Open;
        config.drain_time = Duration::from_secs(5);
    })
    .await;
    let ready = world.url("/readyz");
    let version = world.url("/v1/version");
    let stop = tokio::spawn(world.running.stop());
    let begun = Instant::now();
    loop {
        let answer = reqwest::get(&ready).await.unwrap();
        if answer.status() != StatusCode::OK {
            assert_problem(answer, Code::Unavailable).await;
            break;
        }
        assert!(begun.elapsed() < WAIT_MAX, "it still says that it is ready");
    }
    let answer = reqwest::get(version).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["connection"], "close", "the next request goes elsewhere");
    stop.await.unwrap().unwrap();
}

#[test]
fn a_registry_starts_from_a_plain_thread_in_no_time() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config::in_process(dir.path());
    let first = futures::executor::block_on(start(config.clone())).unwrap();
    futures::executor::block_on(first.stop()).unwrap();
    let began = Instant::now();
    let running = futures::executor::block_on(start(config)).unwrap();
    let took = began.elapsed();
    println!("started in {took:?}");
    // Milliseconds; a rebuild or a wait for a lock takes longer than any busy machine.
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert!(running.token().is_some());
    futures::executor::block_on(running.stop()).unwrap();
}

#[tokio::test]
async fn stopping_an_idle_registry_takes_no_time() {
    let world = World::open().await;
    // The client keeps its connection for a next request that never follows.
    assert_eq!(world.get("/v1/version").await.status(), StatusCode::OK);
    let began = Instant::now();
    world.running.stop().await.unwrap();
    let took = began.elapsed();
    println!("stopped in {took:?}");
    // Milliseconds; a connection that is kept would be waited for three times as long.
    assert!(took < Duration::from_secs(10), "{took:?}");
}

/// A client that reads nothing of its response does not hold a connection for ever.
#[tokio::test]
async fn a_reader_that_stalls_is_dropped() {
    let world = World::with(|config| {
        config.access = Access::Open;
        config.stall_time_max = Duration::from_secs(1);
    })
    .await;
    let mut writer = PackWriter::default();
    for seed in 0..60_u8 {
        let mut chunk = vec![0; 256 << 10];
        blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut chunk);
        writer.push(ChunkDigest::of(&chunk), ChunkLen::new(256 << 10).unwrap(), &chunk);
    }
    let pack = writer.finish(None);
    let lease = world.lease("webshop").await;
    let path = format!("/v1/packs/{}", pack.digest);
    let answer = world.put(&format!("{path}?lease={lease}"), pack.bytes.clone()).await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    let addr = world.running.addr();
    let stalled = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(addr).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
        std::thread::sleep(Duration::from_secs(6));
        let mut received = Vec::new();
        // The connection was reset, or ended early where the reset was overtaken.
        let _ = stream.read_to_end(&mut received);
        received.len()
    });
    let received = stalled.await.unwrap();
    assert!(received < pack.bytes.len(), "{received} bytes came after all");
}
