//! The holders of releases, deletions, and the permissions for both.

use std::path::Path;
use std::time::Duration;

use reqwest::{Method, Response, StatusCode};
use seawall_api::problem::Code;
use seawall_api::v1;
use seawall_server::Access;
use serde_json::{Value, json};

use crate::fixture::TinyRelease;
use crate::world::{World, assert_problem};

const RELEASES: &str = "/v1/applications/team%2Fwebshop/releases";
const CHANNEL: &str = "/v1/applications/team%2Fwebshop/channels/stable";
const RETENTION: &str = "/v1/applications/team%2Fwebshop/retention";
const POLICY: &str = "/v1/applications/team%2Fwebshop/policy";

/// Creates releases 1.0 to 1.3, each with a chunk of its own; `stable` is at 1.3.
async fn furnished() -> (World, Vec<TinyRelease>) {
    let world = World::open().await;
    let webs = ["dd", "ee", "ff", "gg"];
    let tiny = |(n, web)| TinyRelease::new("team/webshop", &format!("1.{n}"), "ab.c", web);
    let releases: Vec<_> = webs.into_iter().enumerate().map(tiny).collect();
    for release in &releases {
        world.push(release).await;
    }
    promote(&world, &releases[3], ("if-none-match", "*")).await;
    (world, releases)
}

async fn promote(world: &World, to: &TinyRelease, (header, value): (&str, &str)) {
    let body = json!({ "release": to.release.digest() });
    let request = world.request(Method::PUT, CHANNEL).header(header, value).json(&body);
    assert!(request.send().await.unwrap().status().is_success());
}

async fn put(world: &World, path: &str, body: &Value) -> Response {
    world.request(Method::PUT, path).json(body).send().await.unwrap()
}

async fn delete(world: &World, path: &str) -> Response {
    world.request(Method::DELETE, path).send().await.unwrap()
}

fn runs(release: &TinyRelease) -> Value {
    json!({
        "application": "team/webshop",
        "instance": "/srv/shop",
        "release": release.release.digest(),
        "channel": "stable",
        "disks": 2,
        "ttlSecs": 3600,
    })
}

#[tokio::test]
async fn a_release_is_deleted_once_and_its_version_is_gone_for_ever() {
    let (world, releases) = furnished().await;
    let path = format!("{RELEASES}/1.0");
    let answer = delete(&world, &path).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let deleted: v1::DeletedRelease = answer.json().await.unwrap();
    assert_eq!(deleted.digest, releases[0].release.digest());
    let by_digest = format!("{RELEASES}/{}", deleted.digest);
    for path in [path.clone(), by_digest, format!("{path}/holders"), format!("{path}/pins")] {
        let problem = assert_problem(world.get(&path).await, Code::Gone).await;
        assert!(problem.detail.contains("team/webshop:1.0"), "{}", problem.detail);
    }
    assert_problem(delete(&world, &path).await, Code::Gone).await;
    assert_problem(delete(&world, &format!("{RELEASES}/9.9")).await, Code::NotFound).await;
    for selector in ["stable", deleted.digest.to_string().as_str(), "1..0"] {
        let answer = delete(&world, &format!("{RELEASES}/{selector}")).await;
        assert_problem(answer, Code::InvalidInput).await;
    }
    let lease = world.lease("team/webshop").await;
    let problem = assert_problem(world.publish(&lease, &releases[0]).await, Code::VersionTaken);
    assert!(problem.await.detail.contains("deleted"));
    let page: v1::ReleasePage = world.get(RELEASES).await.json().await.unwrap();
    let versions: Vec<_> = page.releases.iter().map(|r| r.version.as_str()).collect();
    assert_eq!(versions, ["1.3", "1.2", "1.1"]);
}

#[tokio::test]
async fn holders_of_a_release_are_listed_refuse_its_deletion_and_let_go() {
    let (world, releases) = furnished().await;
    let pin = format!("{RELEASES}/1.0/pins/audit");
    let answer = put(&world, &pin, &json!({ "reason": "the auditors read it" })).await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    let answer = put(&world, &pin, &json!({ "reason": "until 2027" })).await;
    assert_eq!(answer.status(), StatusCode::OK, "it is replaced");
    let pins: v1::PinPage = world.get(&format!("{RELEASES}/1.0/pins")).await.json().await.unwrap();
    assert_eq!((pins.pins.len(), pins.pins[0].reason.as_str()), (1, "until 2027"));
    promote(&world, &releases[2], ("if-match", "\"1\"")).await;
    let answer = put(&world, "/v1/hosts/rack4.example", &runs(&releases[1])).await;
    assert_eq!(answer.status(), StatusCode::OK);

    let page: v1::ReleasePage = world.get(RELEASES).await.json().await.unwrap();
    let marks: Vec<_> = page
        .releases
        .iter()
        .map(|r| (r.channels.len(), r.recent_on.len(), r.pins.len(), r.host_count))
        .collect();
    assert_eq!(marks, [(0, 1, 0, 0), (1, 0, 0, 0), (0, 0, 0, 1), (0, 0, 1, 0)]);
    let holders = world.get(&format!("{RELEASES}/1.3/holders")).await;
    let want = json!([{ "kind": "history", "channel": "stable", "movesAgo": 1 }]);
    assert_eq!(holders.json::<Value>().await.unwrap()["holders"], want);
    for (version, word) in [
        ("1.0", "pin audit: until 2027"),
        ("1.1", "host rack4.example"),
        ("1.2", "channel stable points at it"),
        ("1.3", "channel stable pointed at it 1 move ago"),
    ] {
        let answer = delete(&world, &format!("{RELEASES}/{version}")).await;
        let problem = assert_problem(answer, Code::Held).await;
        assert!(problem.detail.contains(word), "{}", problem.detail);
        assert_eq!(world.get(&format!("{RELEASES}/{version}")).await.status(), StatusCode::OK);
    }
    assert_eq!(delete(&world, &pin).await.status(), StatusCode::NO_CONTENT);
    assert_problem(delete(&world, &pin).await, Code::NotFound).await;
    let empty = "/v1/hosts/rack4.example?application=team%2Fwebshop&instance=";
    assert_problem(delete(&world, empty).await, Code::InvalidInput).await;
    let part = "/v1/hosts/rack4.example?application=team%2Fwebshop&instance=/srv/shop";
    assert_eq!(delete(&world, part).await.status(), StatusCode::NO_CONTENT);
    assert_problem(delete(&world, part).await, Code::NotFound).await;
    for version in ["1.0", "1.1"] {
        let answer = delete(&world, &format!("{RELEASES}/{version}")).await;
        assert_eq!(answer.status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn hosts_say_what_they_run_and_are_told_how_far_behind_they_are() {
    let (world, releases) = furnished().await;
    promote(&world, &releases[0], ("if-match", "\"1\"")).await;
    promote(&world, &releases[1], ("if-match", "\"2\"")).await;
    let said = put(&world, "/v1/hosts/rack4", &runs(&releases[3])).await;
    let said: v1::HostRun = said.json().await.unwrap();
    assert_eq!((said.moves_behind, said.version.as_str()), (Some(2), "1.3"));
    assert_eq!(said.channel_version.unwrap().as_str(), "1.1");
    let listed: v1::HostPage = world.get("/v1/hosts").await.json().await.unwrap();
    assert_eq!((listed.hosts.len(), listed.hosts[0].is_expired), (1, false));
    let path = "/v1/hosts?application=team%2Fwebshop&limit=1&after=rack4";
    let listed: v1::HostPage = world.get(path).await.json().await.unwrap();
    assert!(listed.hosts.is_empty() && listed.next.is_none());
    assert_problem(world.get("/v1/hosts?application=none").await, Code::NotFound).await;

    let with = |key: &str, value: Value| {
        let mut body = runs(&releases[3]);
        body[key] = value;
        body
    };
    for (key, value) in [
        ("ttlSecs", json!(59)),
        ("ttlSecs", json!(u64::MAX)),
        ("disks", json!(u64::MAX)),
        ("instance", json!("")),
        ("instance", json!("a\nb")),
        ("instance", json!("x".repeat(1025))),
        ("channel", json!("1.0")),
        ("surplus", json!(1)),
    ] {
        let answer = put(&world, "/v1/hosts/rack4", &with(key, value)).await;
        assert_problem(answer, Code::InvalidInput).await;
    }
    let answer = put(&world, "/v1/hosts/Rack4", &runs(&releases[3])).await;
    assert_problem(answer, Code::InvalidInput).await;
    let elsewhere = with("application", json!("other"));
    assert_problem(put(&world, "/v1/hosts/rack4", &elsewhere).await, Code::NotFound).await;
    assert_eq!(delete(&world, &format!("{RELEASES}/1.2")).await.status(), StatusCode::OK);
    let answer = put(&world, "/v1/hosts/rack4", &runs(&releases[2])).await;
    assert_problem(answer, Code::Gone).await;
}

/// Every host has a reader's token, which may report what the host runs and may delete nothing.
#[tokio::test]
async fn a_reader_reports_its_host_and_neither_deletes_nor_pins() {
    let (world, releases) = furnished().await;
    let dir = tempfile::tempdir().unwrap();
    let tokens = dir.path().join("tokens");
    std::fs::write(&tokens, "host reader 0123456789abcdef0123456789abcdef\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&tokens, mode).unwrap();
    let World { dir: data, running, client } = world;
    running.stop().await.unwrap();
    let config = seawall_server::Config {
        access: Access::TokenFile(tokens),
        ..seawall_server::Config::in_process(data.path())
    };
    let running = seawall_server::start(config).await.unwrap();
    let url = |path: &str| format!("http://{}{path}", running.addr());
    let send = async |method: Method, path: &str, body: &Value| {
        let request = client.request(method, url(path));
        request.bearer_auth("0123456789abcdef0123456789abcdef").json(body).send().await.unwrap()
    };
    let answer = send(Method::PUT, "/v1/hosts/rack4", &runs(&releases[0])).await;
    assert_eq!(answer.status(), StatusCode::OK);
    for (method, path) in [
        (Method::DELETE, "/v1/hosts/rack4".to_owned()),
        (Method::DELETE, format!("{RELEASES}/1.1")),
        (Method::PUT, format!("{RELEASES}/1.1/pins/mine")),
        (Method::PUT, POLICY.to_owned()),
        (Method::POST, RETENTION.to_owned()),
    ] {
        assert_problem(send(method, &path, &json!({ "reason": "x" })).await, Code::Denied).await;
    }
    running.stop().await.unwrap();
}

/// Returns the total length of all objects except records, which are kept for ever.
fn store_bytes(dir: &Path) -> u64 {
    let mut sum = 0;
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() && entry.file_name() != "names" {
            sum += store_bytes(&entry.path());
        } else if kind.is_file() {
            sum += entry.metadata().unwrap().len();
        }
    }
    sum
}

#[tokio::test]
async fn a_plan_says_what_goes_and_applying_it_frees_exactly_what_it_says() {
    let (world, releases) = furnished().await;
    let plan: v1::RetentionPlan = world.get(RETENTION).await.json().await.unwrap();
    assert!(plan.verdicts.iter().all(|verdict| verdict.fate == v1::Fate::Stays));
    let answer = put(&world, POLICY, &json!({ "keepLast": 2 })).await;
    assert_eq!(answer.status(), StatusCode::OK);
    for bad in [json!({ "keepLast": 0 }), json!({ "keepAll": true }), json!({ "keepLast": -1 })] {
        assert_problem(put(&world, POLICY, &bad).await, Code::InvalidInput).await;
    }
    let of_channel = format!("{CHANNEL}/policy");
    put(&world, &of_channel, &json!({ "keepLast": 1 })).await;
    let set: v1::Policies = world.get(POLICY).await.json().await.unwrap();
    assert_eq!(set.policies.len(), 2);
    assert_eq!(put(&world, &of_channel, &json!({})).await.status(), StatusCode::OK);
    let set: v1::Policies = world.get(POLICY).await.json().await.unwrap();
    assert_eq!(set.policies.len(), 1, "an empty one removes it");
    let none = "/v1/applications/team%2Fwebshop/channels/none/policy";
    assert_problem(put(&world, none, &json!({ "keepLast": 1 })).await, Code::NotFound).await;

    let plan: v1::RetentionPlan = world.get(RETENTION).await.json().await.unwrap();
    let fates: Vec<_> = plan
        .verdicts
        .iter()
        .map(|verdict| (verdict.version.as_str(), verdict.fate == v1::Fate::Goes))
        .collect();
    assert_eq!(fates, [("1.3", false), ("1.2", false), ("1.1", true), ("1.0", true)]);
    let (store, freed) = (world.dir.path().join("store"), plan.freed_bytes.unwrap());
    let before = store_bytes(&store);
    assert!(freed > 0, "each has a chunk of its own");
    let outcome: v1::RetentionOutcome =
        world.post(RETENTION, &json!({})).await.json().await.unwrap();
    assert_eq!((outcome.deleted.len(), outcome.kept.len()), (2, 0));
    assert_eq!(outcome.planned_bytes, Some(freed), "what the collection that began is to free");
    let collected = loop {
        let collection: v1::Collection = world.get("/v1/collection").await.json().await.unwrap();
        if collection.phase == v1::CollectionPhase::Idle {
            break collection.last.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!((collected.totals.freed_bytes, collected.error), (freed, None));
    assert_eq!(before - store_bytes(&store), freed, "as `du` sees it");
    for release in &releases[2..] {
        let digest = release.release.digest();
        let answer = world.get(&format!("{RELEASES}/{digest}")).await;
        assert_eq!(answer.bytes().await.unwrap(), release.release.bytes());
        for disk in &release.disks {
            let ask = json!({ "chunks": disk.chunks() });
            assert_eq!(world.post("/v1/chunks/locate", &ask).await.status(), StatusCode::OK);
        }
    }
    let nothing: v1::RetentionOutcome =
        world.post(RETENTION, &json!({ "releases": [] })).await.json().await.unwrap();
    assert!(nothing.deleted.is_empty());
}
