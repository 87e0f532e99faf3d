//! The checks of every request: limits, names, tokens, the form of errors.

use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use seawall_api::digest::PackDigest;
use seawall_api::problem::Code;
use seawall_api::v1;
use seawall_server::{Access, Config, StartError, start};
use serde_json::json;

use crate::fixture::TinyRelease;
use crate::world::{World, assert_problem};

#[tokio::test]
async fn names_that_escape_are_refused() {
    let world = World::open().await;
    for path in [
        "/v1/applications/%2e%2e%2f",
        "/v1/applications/%2e%2e%2fx/releases",
        "/v1/applications/a%2F..%2Fb/releases/1.0",
        "/v1/applications/a%00b",
        "/v1/applications/UPPER",
        "/v1/applications/a/releases/..%2f..%2fx",
        "/v1/applications/a/releases/blake3:zz",
        "/v1/applications/a/channels/1",
        "/v1/packs/blake3:%2e%2e%2f",
        "/v1/packs/..%2Fcatalog.sqlite",
        "/v1/leaves/x",
        "/v1/indexes/x",
        "/v1/diff?from=a&to=b",
        "/v1/diff?from=a:1",
        "/v1/diff?from=../a:1&to=b:1",
    ] {
        assert_problem(world.get(path).await, Code::InvalidInput).await;
    }
    assert_problem(world.put("/v1/leases/x", "").await, Code::InvalidInput).await;
    assert_problem(world.get("/v1/applications/a%2Fb%2Fc").await, Code::NotFound).await;
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems_too() {
    let world = World::open().await;
    assert_problem(world.get("/v2/applications").await, Code::NotFound).await;
    assert_problem(world.get("/docs/none").await, Code::NotFound).await;
    let answer = world.request(Method::DELETE, "/v1/applications").send().await.unwrap();
    assert_eq!(answer.headers()["allow"], "GET");
    assert_problem(answer, Code::MethodNotAllowed).await;
}

#[tokio::test]
async fn bodies_and_heads_have_limits() {
    let world = World::open().await;
    let lease = world.lease("webshop").await;
    let chunks: Vec<_> = (0..=65_536).map(|_| PackDigest::of(b"x")).collect();
    let ask = json!({ "lease": lease, "chunks": chunks });
    assert_problem(world.post("/v1/chunks/missing", &ask).await, Code::InvalidInput).await;
    assert_problem(
        world.post("/v1/chunks/locate", &json!({ "chunks": chunks })).await,
        Code::InvalidInput,
    )
    .await;
    let ask = json!({ "lease": lease, "leaves": &chunks[..16_385] });
    assert_problem(world.post("/v1/leaves/missing", &ask).await, Code::InvalidInput).await;
    let huge = json!({ "lease": "x".repeat(6 << 20), "chunks": [] });
    assert_problem(world.post("/v1/chunks/missing", &huge).await, Code::TooLarge).await;
    let unknown = json!({ "lease": lease, "chunks": [], "more": 1 });
    assert_problem(world.post("/v1/chunks/missing", &unknown).await, Code::InvalidInput).await;
    let text = world.request(Method::POST, "/v1/leases").body("{\"application\":\"a\"}");
    assert_problem(text.send().await.unwrap(), Code::InvalidInput).await;
    let long = format!("/v1/applications?after={}", "a".repeat(5000));
    assert_problem(world.get(&long).await, Code::TooLarge).await;
    let heavy = world.request(Method::GET, "/v1/version").header("x-heavy", "a".repeat(17_000));
    assert_problem(heavy.send().await.unwrap(), Code::TooLarge).await;
    let no_lease = world.put(&format!("/v1/packs/{}", PackDigest::of(b"x")), "x").await;
    assert_problem(no_lease, Code::InvalidInput).await;
}

/// Received bytes count, whatever length a client declares.
#[tokio::test]
async fn bytes_received_are_counted_as_they_are_read() {
    let world = World::open().await;
    let pieces = [Ok::<_, std::io::Error>("{\"application\":"), Ok("\"webshop\"}")];
    let body = reqwest::Body::wrap_stream(futures::stream::iter(pieces));
    let open = world.request(Method::POST, "/v1/leases").header("content-type", "application/json");
    assert_eq!(open.body(body).send().await.unwrap().status(), StatusCode::CREATED);
    let mut stalls = std::net::TcpStream::connect(world.running.addr()).unwrap();
    let head = "POST /v1/leases HTTP/1.1\r\nhost: localhost\r\ncontent-length: 4000000\r\n\r\n";
    stalls.write_all(head.as_bytes()).unwrap();
    drop(stalls);
    let text = world.get("/metrics").await.text().await.unwrap();
    assert!(text.contains("seawall_http_received_bytes_total 25\n"), "{text}");
}

/// Pulls are answered, however many packs arrive slowly.
#[tokio::test]
async fn uploads_that_stall_do_not_hold_up_questions() {
    let world = World::open().await;
    let lease = world.lease("webshop").await;
    let path = format!("/v1/packs/{}?lease={lease}", PackDigest::of(b"x"));
    let mut uploads = Vec::new();
    for _ in 0..8 {
        let mut stream = std::net::TcpStream::connect(world.running.addr()).unwrap();
        let head = format!("PUT {path} HTTP/1.1\r\nhost: localhost\r\n");
        write!(stream, "{head}content-length: {}\r\n\r\nx", 16 << 20).unwrap();
        uploads.push(stream);
    }
    // The packs have arrived: the query covers all of them.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let ask = json!({ "chunks": [] });
    let answer =
        tokio::time::timeout(Duration::from_secs(5), world.post("/v1/chunks/locate", &ask));
    assert_eq!(answer.await.expect("in time").status(), StatusCode::OK);
}

#[tokio::test]
async fn a_request_id_is_taken_over_where_it_is_sane() {
    let world = World::open().await;
    let get = async |id: &str| {
        let request = world.request(Method::GET, "/v1/version").header("x-request-id", id);
        request.send().await.unwrap().headers()["x-request-id"].to_str().unwrap().to_owned()
    };
    assert_eq!(get("build-7.a_b").await, "build-7.a_b");
    for insane in ["a b", "", &"a".repeat(65), "a\"b"] {
        assert_ne!(get(insane).await, insane);
    }
    assert_ne!(get("").await, get("").await);
}

#[tokio::test]
async fn the_registry_says_what_it_is_and_how_it_is() {
    let world = World::open().await;
    let version: v1::ServerVersion = world.get("/v1/version").await.json().await.unwrap();
    assert_eq!((version.name.as_str(), &version.epochs[..]), ("seawall", &[1][..]));
    for path in ["/healthz", "/readyz"] {
        let health: v1::Health = world.get(path).await.json().await.unwrap();
        assert_eq!(health.status, "ok");
    }
    world.push(&TinyRelease::new("webshop", "1.0", "ab", "cd")).await;
    world.get("/nowhere").await;
    let text = world.get("/metrics").await.text().await.unwrap();
    for line in [
        "seawall_publishes_total 1",
        "seawall_packs_total 2",
        "seawall_chunks_total 4",
        "seawall_http_in_flight 1",
        "seawall_http_requests_total{route=\"/v1/packs/{pack}\",method=\"PUT\",status=\"201\"} 2",
        "seawall_http_requests_total{route=\"none\",method=\"GET\",status=\"404\"} 1",
        "seawall_http_latency_seconds_count{route=\"/v1/leases\",method=\"POST\"} 1",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}

/// A page in a browser on this machine must not reach a registry without tokens.
#[tokio::test]
async fn without_tokens_only_names_of_the_loopback_are_answered() {
    let world = World::open().await;
    let port = world.running.addr().port();
    let ask = async |world: &World, host: String| {
        let request = world.request(Method::GET, "/v1/version").header("host", host);
        request.send().await.unwrap()
    };
    for host in ["localhost", "127.0.0.1", "[::1]"] {
        let answer = ask(&world, format!("{host}:{port}")).await;
        assert_eq!(answer.status(), StatusCode::OK, "{host}");
    }
    for host in ["evil.example", "192.168.0.7", "localhost.evil.example"] {
        let answer = ask(&world, format!("{host}:{port}")).await;
        let problem = assert_problem(answer, Code::Denied).await;
        assert!(problem.remedy.unwrap().contains("--token-file"));
    }
    let world = World::with(|_| {}).await;
    assert!(world.running.token().is_some());
    assert_eq!(ask(&world, "registry.example".to_owned()).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_store_that_cannot_be_written_is_not_ready() {
    let world = World::open().await;
    let store = world.dir.path().join("store");
    std::fs::rename(&store, world.dir.path().join("away")).unwrap();
    std::fs::write(&store, b"not a directory").unwrap();
    let answer = world.get("/readyz").await;
    assert_eq!(answer.headers()["retry-after"], "1");
    let problem = assert_problem(answer, Code::Unavailable).await;
    assert!(!problem.detail.contains('/'), "no path is told: {}", problem.detail);
    assert_eq!(world.get("/healthz").await.status(), StatusCode::OK);
}

/// A probe writes and syncs. An anonymous client must not be able to trigger this at will.
#[tokio::test]
async fn the_outcome_of_a_probe_is_kept_for_a_moment() {
    use std::os::unix::fs::MetadataExt;
    let world = World::open().await;
    let probe = world.dir.path().join("store/probe");
    let began = std::time::Instant::now();
    let mut files = std::collections::HashSet::new();
    for _ in 0..20 {
        let asked = (0..5).map(|_| world.get("/readyz"));
        for answer in futures::future::join_all(asked).await {
            assert_eq!(answer.status(), StatusCode::OK);
        }
        let meta = std::fs::metadata(&probe).unwrap();
        files.insert((meta.ino(), meta.mtime_nsec()));
    }
    let probes_max = 1 + began.elapsed().as_secs();
    assert!(files.len() as u64 <= probes_max, "{} probes, not {probes_max}", files.len());
}

fn token_file(dir: &std::path::Path, mode: u32) -> std::path::PathBuf {
    let path = dir.join("tokens");
    std::fs::write(&path, "ci publisher aaaabbbbccccdddd\nhost reader 0000111122223333\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    path
}

#[tokio::test]
async fn a_token_may_do_what_its_role_permits() {
    let files = tempfile::tempdir().unwrap();
    let path = token_file(files.path(), 0o600);
    let world = World::with(|config| config.access = Access::TokenFile(path)).await;
    let digest = PackDigest::of(b"x");
    let pack = format!("/v1/packs/{digest}");
    let upload = format!("{pack}?lease={}", "0".repeat(32));
    let lease = json!({ "application": "webshop" });
    let locate = json!({ "chunks": [] });
    let post = |path, body| world.client.post(world.url(path)).json(body);
    type Case<'a> = (&'a str, reqwest::RequestBuilder, [u16; 4]);
    let cases: Vec<Case<'_>> = vec![
        // Without a token, with a wrong one, as a reader, as a publisher.
        ("healthz", world.client.get(world.url("/healthz")), [200; 4]),
        ("readyz", world.client.get(world.url("/readyz")), [200; 4]),
        ("document", world.client.get(world.url("/v1/openapi.json")), [200; 4]),
        ("page", world.client.get(world.url("/docs/")), [200; 4]),
        ("metrics", world.client.get(world.url("/metrics")), [401, 401, 200, 200]),
        ("version", world.client.get(world.url("/v1/version")), [401, 401, 200, 200]),
        ("docsx", world.client.get(world.url("/docsx")), [401, 401, 404, 404]),
        ("get pack", world.client.get(world.url(&pack)), [401, 401, 404, 404]),
        ("head pack", world.client.head(world.url(&pack)), [401, 401, 404, 404]),
        ("locate", post("/v1/chunks/locate", &locate), [401, 401, 200, 200]),
        ("lease", post("/v1/leases", &lease), [401, 401, 403, 201]),
        ("upload", world.client.put(world.url(&upload)).body("x"), [401, 401, 403, 409]),
        (
            "large upload",
            world.client.put(world.url(&upload)).body(vec![0; 8 << 20]),
            [401, 401, 403, 409],
        ),
    ];
    for (name, request, want) in cases {
        let tokens = [None, Some("wrong"), Some("0000111122223333"), Some("aaaabbbbccccdddd")];
        for (token, want) in tokens.into_iter().zip(want) {
            let mut request = request.try_clone().unwrap();
            if let Some(token) = token {
                request = request.bearer_auth(token);
            }
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status().as_u16(), want, "{name} with {token:?}");
            if want == 401 {
                assert!(answer.headers()["www-authenticate"].to_str().unwrap().contains("Bearer"));
            }
        }
    }
    let basic =
        world.client.get(world.url("/v1/version")).basic_auth("ci", Some("aaaabbbbccccdddd"));
    assert_problem(basic.send().await.unwrap(), Code::Unauthenticated).await;
    let write = post("/v1/leases", &lease).bearer_auth("0000111122223333").send().await.unwrap();
    assert_problem(write, Code::Denied).await;
}

#[tokio::test]
async fn a_registry_refuses_to_start_unsafely() {
    let dir = tempfile::tempdir().unwrap();
    let wide: SocketAddr = "0.0.0.0:0".parse().unwrap();
    let open = Config { access: Access::Open, ..Config::in_process(dir.path()) };
    let error = start(Config { listen: wide, ..open.clone() }).await.unwrap_err();
    assert!(matches!(error, StartError::Exposed(_)), "{error}");
    assert!(error.remedy().unwrap().contains("--token-file FILE"));
    // Beside the data directory, because a directory with a file cannot become a registry.
    let tokens = tempfile::tempdir().unwrap();
    let readable = Access::TokenFile(token_file(tokens.path(), 0o644));
    let error = start(Config { access: readable, ..open.clone() }).await.unwrap_err();
    assert!(error.remedy().unwrap().starts_with("chmod 600"), "{error}");
    let safe = Access::TokenFile(token_file(tokens.path(), 0o600));
    start(Config { access: safe, listen: wide, ..open.clone() })
        .await
        .unwrap()
        .stop()
        .await
        .unwrap();

    let first = start(open.clone()).await.unwrap();
    let error = start(Config { listen: first.addr(), ..open.clone() }).await.unwrap_err();
    assert!(matches!(error, StartError::Listen { .. }), "{error}");
    let file = dir.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let error = start(Config { data_dir: file.join("x"), ..open.clone() }).await.unwrap_err();
    assert!(matches!(error, StartError::DataDir { .. }), "{error}");
    let damaged = tempfile::tempdir().unwrap();
    std::fs::write(damaged.path().join("catalog.sqlite"), vec![7; 8192]).unwrap();
    let error = start(Config { data_dir: damaged.path().into(), ..open }).await.unwrap_err();
    assert!(matches!(error, StartError::Catalog { .. }), "{error}");
    assert!(error.remedy().unwrap().contains("rebuild it from the store"));
}
