//! Audit, webhooks, quotas and rates over HTTP.

use std::os::unix::fs::PermissionsExt;

use reqwest::{Method, StatusCode};
use seawall_api::audit::{Action, CHAIN_BEGIN};
use seawall_api::problem::Code;
use seawall_api::v1;
use seawall_server::{Access, Rate};
use serde_json::json;

use crate::fixture::TinyRelease;
use crate::world::{World, assert_problem};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

#[tokio::test]
async fn the_log_is_read_page_by_page_and_each_entry_binds_the_one_before() {
    let world = World::open().await;
    for version in ["1.0", "2.0", "3.0"] {
        world.push(&TinyRelease::new("team/webshop", version, "ab", version)).await;
    }
    let mut path = "/v1/audit?limit=2&application=team%2Fwebshop".to_owned();
    let mut entries = Vec::new();
    loop {
        let page: v1::AuditPage = world.get(&path).await.json().await.unwrap();
        entries.extend(page.entries);
        let Some(next) = page.next else { break };
        path = format!("/v1/audit?limit=2&application=team%2Fwebshop&after={next}");
    }
    let versions: Vec<_> = entries.iter().map(|e| e.version.as_ref().unwrap().as_str()).collect();
    assert_eq!(versions, ["3.0", "2.0", "1.0"]);
    let mut previous = CHAIN_BEGIN;
    for entry in entries.iter().rev() {
        assert_eq!(entry.content().digest(previous), entry.digest);
        previous = entry.digest;
    }
    for query in ["action=push", "limit=0", "limit=1001", "after=-1", "since=x", "application=A"] {
        assert_problem(world.get(&format!("/v1/audit?{query}")).await, Code::InvalidInput).await;
    }
    let beyond = world.get(&format!("/v1/audit?since={}", u64::MAX)).await;
    assert_eq!(beyond.json::<v1::AuditPage>().await.unwrap().entries, []);
}

/// A damaged object is logged once, however often it is requested.
#[tokio::test]
async fn damage_that_is_found_is_logged_once() {
    let world = World::open().await;
    let tiny = TinyRelease::new("webshop", "1.0", "ab", "cd");
    world.push(&tiny).await;
    let digest = tiny.disks[0].pack().digest.to_hex();
    let path = world.dir.path().join("store/packs").join(&digest[..2]).join(&digest);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[1..]).unwrap();
    for _ in 0..3 {
        let pack = world.get(&format!("/v1/packs/blake3:{digest}")).await;
        assert_problem(pack, Code::Damaged).await;
    }
    let page: v1::AuditPage = world.get("/v1/audit?action=damage").await.json().await.unwrap();
    assert_eq!(page.entries.len(), 1, "{page:?}");
    assert!(page.entries[0].facts["object"].contains(&digest));
    assert_eq!(page.entries[0].action, Action::Damage);
}

#[tokio::test]
async fn a_webhook_that_is_none_is_refused() {
    let world = World::open().await;
    let good = json!({"url": "https://hooks.example/a", "events": ["publish"], "secret": SECRET});
    let with = |key: &str, value: serde_json::Value| {
        let mut body = good.clone();
        body[key] = value;
        body
    };
    for bad in [
        with("url", json!("ftp://hooks.example/")),
        with("url", json!("hooks.example")),
        with("url", json!("https://user:hunter2@hooks.example/")),
        with("url", json!("file:///etc/passwd")),
        with("url", json!(format!("https://hooks.example/{}", "a".repeat(2048)))),
        with("events", json!([])),
        with("events", json!(["collect"])),
        with("events", json!(["everything"])),
        with("secret", json!("whsec_c2hvcnQ=")),
        with("secret", json!("not Base64!")),
        with("application", json!("NO")),
        with("more", json!(1)),
    ] {
        let problem = assert_problem(world.post("/v1/webhooks", &bad).await, Code::InvalidInput);
        let problem = problem.await;
        assert!(
            !problem.detail.contains("whsec") && !problem.detail.contains("hunter2"),
            "{problem:?}"
        );
    }
    let added = world.post("/v1/webhooks", &good).await;
    assert_eq!(added.status(), StatusCode::CREATED);
    let text = added.text().await.unwrap();
    assert!(!text.contains("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), "{text}");
    let webhook: v1::Webhook = serde_json::from_str(&text).unwrap();
    let path = format!("/v1/webhooks/{}", webhook.id);
    let page: v1::DeliveryPage =
        world.get(&format!("{path}/deliveries")).await.json().await.unwrap();
    assert_eq!(page.deliveries, []);
    let gone = world.request(Method::DELETE, &path).send().await.unwrap();
    assert_eq!(gone.status(), StatusCode::NO_CONTENT);
    for path in [path.as_str(), "/v1/webhooks/00000000000000000000000000000000"] {
        let gone = world.request(Method::DELETE, path).send().await.unwrap();
        assert_problem(gone, Code::NotFound).await;
    }
    let bad = world.request(Method::DELETE, "/v1/webhooks/1").send().await.unwrap();
    assert_problem(bad, Code::InvalidInput).await;
}

/// With tokens, some users are not the operator. They must not make the registry send requests to
/// its private network.
#[tokio::test]
async fn a_registry_with_tokens_tells_no_private_address_unless_it_is_told_to() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tokens");
    std::fs::write(&file, "ci publisher 0123456789abcdef0\nhost reader 0123456789abcdef1\n")
        .unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    for permitted in [false, true] {
        let file = file.clone();
        let world = World::with(|config| {
            config.access = Access::TokenFile(file);
            config.private_webhooks = permitted;
        });
        let world = world.await;
        let ask = async |method, secret: &str, body| {
            let request = world.client.request(method, world.url("/v1/webhooks"));
            request.bearer_auth(secret).json(&body).send().await.unwrap()
        };
        for url in ["http://127.0.0.1:1/", "http://169.254.169.254/", "http://[::1]/", "http://0/"]
        {
            let body = json!({"url": url, "events": ["publish"], "secret": SECRET});
            let answer = ask(Method::POST, "0123456789abcdef0", body).await;
            if permitted {
                assert_eq!(answer.status(), StatusCode::CREATED, "{url}");
            } else {
                let problem = assert_problem(answer, Code::InvalidInput).await;
                assert!(problem.detail.contains("--private-webhooks"), "{}", problem.detail);
            }
        }
        let denied = ask(Method::GET, "0123456789abcdef1", json!({})).await;
        assert_problem(denied, Code::Denied).await;
        assert_eq!(ask(Method::GET, "0123456789abcdef0", json!({})).await.status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn a_quota_is_set_read_and_kept_to() {
    let world = World::open().await;
    let path = "/v1/applications/webshop/quota";
    let none: v1::Quota = world.get(path).await.json().await.unwrap();
    assert_eq!((none.data_bytes_max, none.release_count), (None, 0));
    let set = async |body| world.request(Method::PUT, path).json(&body).send().await.unwrap();
    for bad in [json!({"dataBytesMax": -1}), json!({"dataBytesMax": u64::MAX}), json!({"bytes": 1})]
    {
        assert_problem(set(bad).await, Code::InvalidInput).await;
    }
    world.push(&TinyRelease::new("webshop", "1.0", "ab", "cd")).await;
    let quota: v1::Quota = set(json!({"releaseCountMax": 1})).await.json().await.unwrap();
    assert_eq!((quota.release_count, quota.release_count_max), (1, Some(1)));

    let open = async |body| world.post("/v1/leases", &body).await;
    let refused = open(json!({"application": "webshop", "version": "2.0"})).await;
    let problem = assert_problem(refused, Code::QuotaExceeded).await;
    assert!(problem.detail.contains("2 releases, and its quota is 1"), "{}", problem.detail);
    let again = open(json!({"application": "webshop", "version": "1.0"})).await;
    assert_eq!(again.status(), StatusCode::CREATED, "it may mend what is there");
    // A client that does not state its version is refused only at the end.
    let two = TinyRelease::new("webshop", "2.0", "ab", "ce");
    let lease = world.lease("webshop").await;
    for disk in &two.disks {
        world.upload(&lease, disk).await;
    }
    assert_problem(world.publish(&lease, &two).await, Code::QuotaExceeded).await;
    set(json!({})).await;
    assert_eq!(world.publish(&lease, &two).await.status(), StatusCode::CREATED);
}

#[tokio::test]
async fn an_application_has_its_own_rate() {
    let world = World::with(|config| {
        config.access = Access::Open;
        config.rates.per_application = Some(Rate { per_sec: 1, burst: 3 });
    })
    .await;
    let ask = async |name: &str| world.get(&format!("/v1/applications/{name}/quota")).await;
    let mut last = ask("a").await;
    for _ in 0..5 {
        last = ask("a").await;
    }
    let after = last.headers()["retry-after"].clone();
    let problem = assert_problem(last, Code::RateLimited).await;
    assert!(problem.detail.contains("application a may send 1 request per second"), "{problem:?}");
    assert_eq!(after, "1");
    assert_eq!(ask("b").await.status(), StatusCode::OK);
    assert_eq!(world.get("/v1/applications").await.status(), StatusCode::OK);
}

/// Counters exist from the start, at zero, so that `increase()` sees the first event.
#[tokio::test]
async fn every_problem_is_a_series_from_the_start() {
    let world = World::open().await;
    let metrics = world.get("/metrics").await.text().await.unwrap();
    for code in Code::ALL {
        let line = format!("seawall_problems_total{{code=\"{}\"}} 0", code.as_str());
        assert!(metrics.contains(&line), "{line} is not in {metrics}");
    }
}

/// A directory that a command hosts briefly sends no messages. The registry that serves the
/// directory sends them, because it knows the permitted addresses.
#[tokio::test]
async fn a_registry_inside_another_process_leaves_messages_to_the_one_that_serves() {
    let receiver = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    receiver.set_nonblocking(true).unwrap();
    let is_asked = async |secs| {
        let begun = std::time::Instant::now();
        while begun.elapsed().as_secs() < secs {
            if receiver.accept().is_ok() {
                return true;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        false
    };
    let world = World::with(|_| {}).await;
    let url = format!("http://{}/", receiver.local_addr().unwrap());
    let body = json!({"url": url, "events": ["publish"], "secret": SECRET});
    assert_eq!(world.post("/v1/webhooks", &body).await.status(), StatusCode::CREATED);
    world.push(&TinyRelease::new("webshop", "1.0", "ab", "cd")).await;
    assert!(!is_asked(2).await, "it told the address");
    let world = world.restarted().await;
    assert!(is_asked(10).await, "what was published is told");
    drop(world);
}

#[tokio::test]
async fn a_backup_is_asked_for_as_no_page_of_another_site_can() {
    let world = World::open().await;
    let ask = async |kind: Option<&str>| {
        let request = world.request(Method::POST, "/v1/backup");
        let request = match kind {
            Some(kind) => request.header("content-type", kind),
            None => request,
        };
        request.send().await.unwrap()
    };
    for kind in [None, Some("text/plain"), Some("application/x-www-form-urlencoded")] {
        assert_problem(ask(kind).await, Code::InvalidInput).await;
    }
    for kind in ["application/octet-stream", "application/json"] {
        let answer = ask(Some(kind)).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert!(answer.bytes().await.unwrap().starts_with(b"SQLite format 3"));
    }
}
