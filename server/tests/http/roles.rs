//! The permissions of a reader, route by route, for every spelling of a path.

use std::os::unix::fs::PermissionsExt;

use reqwest::{Method, StatusCode};
use seawall_api::problem::{Code, Problem};
use seawall_server::{Access, Config, Rate};
use serde_json::Value;

use crate::world::World;

const PUBLISHER: &str = "0123456789abcdef0";
const READER: &str = "0123456789abcdef1";

/// The routes for readers. Every other route must be for publishers only, so a new route fails this
/// test until its access is declared.
const READERS_GET: [&str; 33] = [
    "/healthz",
    "/metrics",
    "/readyz",
    "/v1/applications",
    "/v1/applications/{application}",
    "/v1/applications/{application}/channels",
    "/v1/applications/{application}/channels/{channel}",
    "/v1/applications/{application}/channels/{channel}/history",
    "/v1/applications/{application}/policy",
    "/v1/applications/{application}/quota",
    "/v1/applications/{application}/releases",
    "/v1/applications/{application}/releases/{selector}",
    "/v1/applications/{application}/releases/{selector}/damage",
    "/v1/applications/{application}/releases/{selector}/holders",
    "/v1/applications/{application}/releases/{selector}/pins",
    "/v1/applications/{application}/retention",
    "/v1/audit",
    "/v1/collection",
    "/v1/collection/plan",
    "/v1/damage",
    "/v1/descriptors/{descriptor}",
    "/v1/diff",
    "/v1/fsck",
    "/v1/hosts",
    "/v1/jobs",
    "/v1/indexes/{index}",
    "/v1/leaves/{leaf}",
    "/v1/mirrors",
    "/v1/mirrors/{mirror}",
    "/v1/openapi.json",
    "/v1/packs/{pack}",
    "/v1/usage",
    "/v1/version",
];
const READERS_OTHER: [&str; 10] = [
    "head /v1/applications/{application}/releases/{selector}",
    "head /v1/leaves/{leaf}",
    "head /v1/indexes/{index}",
    "head /v1/descriptors/{descriptor}",
    "head /v1/packs/{pack}",
    "post /v1/chunks/locate",
    "post /v1/leases",
    "put /v1/leases/{lease}",
    "delete /v1/leases/{lease}",
    "put /v1/hosts/{host}",
];

fn is_for_readers(method: &str, path: &str) -> bool {
    match method {
        "get" => READERS_GET.contains(&path),
        _ => READERS_OTHER.contains(&format!("{method} {path}").as_str()),
    }
}

/// Returns a path of this pattern.
fn filled(pattern: &str) -> String {
    filled_with(pattern, "a")
}

/// A path of this pattern, about an application.
pub fn filled_with(pattern: &str, application: &str) -> String {
    let digest = format!("blake3:{}", "0".repeat(64));
    let mut path = pattern.to_owned();
    for name in ["pack", "leaf", "index", "descriptor", "release"] {
        path = path.replace(&format!("{{{name}}}"), &digest);
    }
    for name in ["lease", "webhook"] {
        path = path.replace(&format!("{{{name}}}"), &"0".repeat(32));
    }
    for (name, value) in [
        ("application", application),
        ("selector", "1"),
        ("channel", "c"),
        ("pin", "p"),
        ("host", "h"),
        ("token", "t"),
        ("kind", "deliver"),
        ("mirror", "m"),
    ] {
        path = path.replace(&format!("{{{name}}}"), value);
    }
    assert!(!path.contains('{'), "the test does not know how to fill {pattern}");
    path
}

/// Returns the path with the letter at `at` escaped.
fn escaped(path: &str, at: usize) -> String {
    let letter = path.as_bytes()[at];
    format!("{}%{letter:02X}{}", &path[..at], &path[at + 1..])
}

/// A token file with this text.
/// A client that alternates between registries has no more than its rate.
#[tokio::test]
async fn registries_over_one_catalog_keep_the_rate_of_a_token_together() {
    const RATE: Rate = Rate { per_sec: 20, burst: 5 };
    let (_dir, file) = token_file(&format!("ci publisher {PUBLISHER}\n"));
    let one = World::with(|config| {
        config.access = Access::TokenFile(file.clone());
        config.rates.per_token = Some(RATE);
    })
    .await;
    let mut config = Config::in_process(one.dir.path());
    config.access = Access::TokenFile(file);
    config.rates.per_token = Some(RATE);
    let other = seawall_server::start(config).await.unwrap();
    let urls = [one.url("/v1/version"), format!("http://{}/v1/version", other.addr())];
    let (begun, mut passed) = (std::time::Instant::now(), 0);
    while begun.elapsed().as_secs() < 6 {
        for url in &urls {
            let answer = one.client.get(url).bearer_auth(PUBLISHER).send().await.unwrap();
            passed += u32::from(answer.status() == StatusCode::OK);
        }
    }
    // Each registry permits a burst and the rate until the second exchange, at most.
    let secs = begun.elapsed().as_secs() as u32 + 1;
    let fair = RATE.burst + RATE.per_sec * secs;
    let early = RATE.burst + 3 * RATE.per_sec;
    assert!(passed <= fair + early, "{passed} in {secs} s, and one registry permits {fair}");
    assert!(passed >= fair / 3, "{passed} in {secs} s, and one registry permits {fair}");
    other.stop().await.unwrap();
}

pub fn token_file(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tokens");
    std::fs::write(&file, text).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    (dir, file)
}

async fn with_tokens() -> World {
    let (_dir, file) = token_file(&format!("ci publisher {PUBLISHER}\nhost reader {READER}\n"));
    World::with(|config| {
        config.access = Access::TokenFile(file);
        config.rates.per_application = Some(Rate { per_sec: 1, burst: 10_000 });
    })
    .await
}

async fn is_denied(world: &World, method: &str, path: &str) -> bool {
    let method: Method = method.to_uppercase().parse().unwrap();
    let is_head = method == Method::HEAD;
    let answer = world.client.request(method, world.url(path)).bearer_auth(READER);
    let answer = answer.send().await.unwrap();
    let status = answer.status().as_u16();
    if status != Code::Denied.status() || is_head {
        return status == Code::Denied.status();
    }
    answer.json::<Problem>().await.unwrap().code == Code::Denied
}

#[tokio::test]
async fn a_reader_may_what_readers_may_however_the_path_is_spelled() {
    let world = with_tokens().await;
    let document: Value = serde_json::from_str(&seawall_server::openapi_json()).unwrap();
    let (mut denied, mut admitted) = (0, 0);
    for (pattern, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            if !["get", "head", "put", "post", "delete"].contains(&method.as_str()) {
                continue;
            }
            let (path, is_for_readers) = (filled(pattern), is_for_readers(method, pattern));
            // The first letter of the resource, its last, and the `v` of the version.
            let second = if path.starts_with("/v1/") { 4 } else { 1 };
            let spellings = [
                path.clone(),
                escaped(&path, second),
                escaped(&path, path.len() - 1),
                escaped(&path, 1),
            ];
            for path in spellings {
                let is_denied = is_denied(&world, method, &path).await;
                assert_eq!(is_denied, !is_for_readers, "{method} {path}");
            }
            if is_for_readers { admitted += 1 } else { denied += 1 }
        }
    }
    assert_eq!(admitted, READERS_GET.len() + READERS_OTHER.len());
    assert!(denied > 20, "{denied} routes are for publishers alone");
}

/// A path with an escaped letter is the same path and counts against the same rate.
#[tokio::test]
async fn an_application_has_one_rate_however_its_path_is_spelled() {
    let world = World::with(|config| {
        config.access = Access::Open;
        config.rates.per_application = Some(Rate { per_sec: 1, burst: 3 });
    })
    .await;
    let mut last = None;
    for path in ["/v1/applications/x", "/v1/%61pplications/x", "/v1/applications/%78"] {
        for _ in 0..3 {
            last = Some((path, world.get(&format!("{path}/quota")).await));
        }
        let (path, answer) = last.take().unwrap();
        let refused = answer.status().as_u16() == Code::RateLimited.status();
        assert_eq!(refused, path != "/v1/applications/x", "{path}: {}", answer.status());
    }
}
