//! Tokens that the registry keeps: who may make them, what they cover, and when they end.

use reqwest::{Method, StatusCode};
use seawall_api::problem::Code;
use seawall_api::v1::{CreatedToken, TokenPage};
use seawall_server::{Access, Config, start};
use serde_json::{Value, json};

use crate::roles::{filled_with, token_file};
use crate::world::{World, assert_problem};

const OPERATOR: &str = "0123456789abcdef0";

/// The operations about the whole registry, which no token may use that is limited to applications.
const WHOLE_REGISTRY: [&str; 27] = [
    "get /metrics",
    "get /v1/audit",
    "post /v1/backup",
    "get /v1/collection",
    "post /v1/collection",
    "delete /v1/collection",
    "get /v1/collection/plan",
    "get /v1/damage",
    "get /v1/fsck",
    "post /v1/fsck",
    "delete /v1/fsck",
    "get /v1/hosts",
    "get /v1/jobs",
    "delete /v1/jobs/{kind}",
    "get /v1/usage",
    "get /v1/webhooks",
    "post /v1/webhooks",
    "delete /v1/webhooks/{webhook}",
    "get /v1/webhooks/{webhook}/deliveries",
    "get /v1/mirrors",
    "post /v1/mirrors",
    "get /v1/mirrors/{mirror}",
    "delete /v1/mirrors/{mirror}",
    "post /v1/mirrors/{mirror}/runs",
    "get /v1/tokens",
    "post /v1/tokens",
    "delete /v1/tokens/{token}",
];
/// Operations about an application that are for operators all the same: whoever is limited could
/// lift the limit. A host's reports may be another's holds.
const OPERATORS: [&str; 2] =
    ["put /v1/applications/{application}/quota", "delete /v1/hosts/{host}"];

async fn open() -> World {
    let (dir, file) = token_file(&format!("root publisher {OPERATOR}\n"));
    let world = World::with(|config| config.access = Access::Tokens(Some(file))).await;
    drop(dir);
    world
}

async fn ask(world: &World, token: &str, method: &str, path: &str, body: &Value) -> StatusCode {
    let method: Method = method.to_uppercase().parse().unwrap();
    let request = world.client.request(method.clone(), world.url(path)).bearer_auth(token);
    let request =
        if method == Method::POST || method == Method::PUT { request.json(body) } else { request };
    request.send().await.unwrap().status()
}

async fn create(world: &World, body: Value) -> CreatedToken {
    let request = world.client.post(world.url("/v1/tokens")).bearer_auth(OPERATOR).json(&body);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
    answer.json().await.unwrap()
}

/// Each operation, for tokens that are limited to `team/*`: those about an application of the team,
/// about another one, and about the registry itself.
#[tokio::test]
async fn a_limited_token_may_nothing_outside_its_applications() {
    let world = open().await;
    let [reader, publisher] = ["reader", "publisher"].map(
        |role| json!({ "name": format!("team-{role}"), "role": role, "applications": ["team/*"] }),
    );
    let (reader, publisher) = (create(&world, reader).await, create(&world, publisher).await);
    let document: Value = serde_json::from_str(&seawall_server::openapi_json()).unwrap();
    let (mut inside, mut whole) = (0, 0);
    for (pattern, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            if !["get", "head", "put", "post", "delete"].contains(&method.as_str()) {
                continue;
            }
            let operation = format!("{method} {pattern}");
            let is_whole = WHOLE_REGISTRY.contains(&&*operation);
            let is_operators = OPERATORS.contains(&&*operation);
            let has_application = pattern.contains("{application}");
            for secret in [&reader.secret, &publisher.secret] {
                for (application, is_covered) in [
                    ("team%2Fshop", true),
                    ("te%61m%2fshop", true),
                    ("teams%2Fshop", false),
                    ("team", false),
                    ("other", false),
                    ("%6Fther", false),
                ] {
                    let path = filled_with(pattern, application);
                    let status = ask(&world, secret, method, &path, &json!({})).await;
                    let is_denied = status == StatusCode::FORBIDDEN;
                    if is_whole || is_operators || (has_application && !is_covered) {
                        assert!(is_denied, "{method} {path}: {status}");
                    } else if *secret == publisher.secret {
                        assert!(!is_denied, "{method} {path}: {status}");
                        inside += 1;
                    }
                }
            }
            whole += u32::from(is_whole || is_operators);
        }
    }
    assert_eq!(whole as usize, WHOLE_REGISTRY.len() + OPERATORS.len());
    assert!(inside > 100, "{inside}");
}

/// An application in the body or query counts like one in the path.
#[tokio::test]
async fn a_limited_token_covers_what_a_body_names() {
    let world = open().await;
    let body = json!({ "name": "team", "role": "publisher", "applications": ["team/*", "shop"] });
    let secret = create(&world, body).await.secret;
    let ask = async |method: &str, path: &str, body: Value| {
        ask(&world, &secret, method, path, &body).await
    };
    for (application, is_covered) in [("team/a", true), ("shop", true), ("shop/x", false)] {
        let denied = |status: StatusCode| status == StatusCode::FORBIDDEN;
        let lease = ask("post", "/v1/leases", json!({ "application": application })).await;
        assert_eq!(denied(lease), !is_covered, "{application}");
        let report = json!({
            "application": application, "instance": "i", "release": format!("blake3:{}", "0".repeat(64)),
            "disks": 1, "ttlSecs": 86_400
        });
        assert_eq!(denied(ask("put", "/v1/hosts/h", report).await), !is_covered, "{application}");
        for path in [
            format!("/v1/audit?application={application}"),
            format!("/v1/hosts?application={application}"),
            format!("/v1/diff?from={application}:1&to=shop:1"),
            format!("/v1/diff?from=shop:1&to={application}:1"),
        ] {
            assert_eq!(denied(ask("get", &path, json!({})).await), !is_covered, "{path}");
        }
    }
}

/// Applications outside the limit are left out of the list.
#[tokio::test]
async fn a_list_shows_what_the_token_covers() {
    let world = open().await;
    let all = create(&world, json!({ "name": "all", "role": "publisher" })).await.secret;
    for application in ["team/a", "team/b", "other"] {
        let path = format!("/v1/applications/{}/quota", application.replace('/', "%2F"));
        let status = ask(&world, &all, "put", &path, &json!({ "releaseCountMax": 9 })).await;
        assert_eq!(status, StatusCode::OK, "an operator's token");
    }
    let limited = json!({ "name": "team", "role": "reader", "applications": ["team/*"] });
    let limited = create(&world, limited).await.secret;
    let names = async |secret: &str| {
        let request = world.client.get(world.url("/v1/applications")).bearer_auth(secret);
        let body: Value = request.send().await.unwrap().json().await.unwrap();
        let list = body["applications"].as_array().unwrap().clone();
        list.iter().map(|it| it["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let known = names(&all).await;
    let covered: Vec<_> = known.iter().filter(|name| name.starts_with("team/")).cloned().collect();
    assert_eq!(names(&limited).await, covered);
}

#[tokio::test]
async fn a_token_is_made_once_and_ends_when_it_is_revoked() {
    let world = open().await;
    let body = json!({ "name": "ci", "role": "publisher", "expiresAtSecs": 4_000_000_000_u64 });
    let made = create(&world, body.clone()).await;
    assert!(made.secret.starts_with("swt_"));
    assert_eq!(made.token.created_by, "root");
    let taken = world.client.post(world.url("/v1/tokens")).bearer_auth(OPERATOR).json(&body);
    assert_problem(taken.send().await.unwrap(), Code::NameTaken).await;
    let of_file = json!({ "name": "root", "role": "reader" });
    let of_file = world.client.post(world.url("/v1/tokens")).bearer_auth(OPERATOR).json(&of_file);
    assert_problem(of_file.send().await.unwrap(), Code::NameTaken).await;
    for bad in [
        json!({ "name": "x", "role": "publisher", "expiresAtSecs": 1 }),
        json!({ "name": "x", "role": "admin" }),
        json!({ "name": "x", "role": "reader", "applications": [] }),
        json!({ "name": "local", "role": "reader" }),
        json!({ "name": "x", "role": "reader", "applications": ["*/x"] }),
        json!({ "name": "x/y", "role": "reader" }),
    ] {
        let status = ask(&world, OPERATOR, "post", "/v1/tokens", &bad).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{bad}");
    }
    assert_eq!(ask(&world, &made.secret, "get", "/v1/version", &json!({})).await, StatusCode::OK);
    let list =
        world.client.get(world.url("/v1/tokens")).bearer_auth(OPERATOR).send().await.unwrap();
    let text = list.text().await.unwrap();
    assert!(!text.contains(&made.secret), "a secret is shown once");
    let page: TokenPage = serde_json::from_str(&text).unwrap();
    assert_eq!(page.tokens, [made.token]);
    for _ in 0..2 {
        let status = ask(&world, OPERATOR, "delete", "/v1/tokens/ci", &json!({})).await;
        assert_eq!(status, StatusCode::NO_CONTENT);
    }
    let revoked = ask(&world, &made.secret, "get", "/v1/version", &json!({})).await;
    assert_eq!(revoked, StatusCode::UNAUTHORIZED);
    let absent = ask(&world, OPERATOR, "delete", "/v1/tokens/none", &json!({})).await;
    assert_eq!(absent, StatusCode::NOT_FOUND);
}

/// The audit log has names only. A line that is added to the file later must not hide whose entry
/// is whose.
#[tokio::test]
async fn a_token_that_shares_its_name_with_one_of_the_file_is_refused() {
    let (dir, file) = token_file(&format!("root publisher {OPERATOR}\n"));
    let access = Access::Tokens(Some(file.clone()));
    let world = World::with(|config| config.access = access).await;
    let made = create(&world, json!({ "name": "ci", "role": "reader" })).await;
    let get = || world.client.get(world.url("/v1/version")).bearer_auth(&made.secret).send();
    assert_eq!(get().await.unwrap().status(), StatusCode::OK);
    std::fs::write(&file, format!("root publisher {OPERATOR}\nci reader {OPERATOR}1\n")).unwrap();
    let problem = assert_problem(get().await.unwrap(), Code::Denied).await;
    assert!(problem.detail.contains("token `ci` has the name"), "{}", problem.detail);
    drop(dir);
}

/// Whoever has the token can do nothing about its record, and hears so.
#[tokio::test]
async fn a_token_whose_record_is_unreadable_is_refused_with_a_remedy() {
    let world = open().await;
    let made = create(&world, json!({ "name": "ci", "role": "reader" })).await;
    let catalog = rusqlite::Connection::open(world.dir.path().join("catalog.sqlite")).unwrap();
    catalog.execute("UPDATE tokens SET role = 'king'", []).unwrap();
    let answer = world.client.get(world.url("/v1/version")).bearer_auth(&made.secret);
    let problem = assert_problem(answer.send().await.unwrap(), Code::Unavailable).await;
    assert!(problem.detail.contains("its record of this token"), "{}", problem.detail);
    assert!(problem.remedy.unwrap().contains("seawall token revoke"));
}

/// Guesses cost the catalog a bounded number of look-ups, and nobody else is kept out.
#[tokio::test]
async fn an_address_without_a_valid_token_is_rated_and_valid_tokens_are_not() {
    let world = open().await;
    let made = create(&world, json!({ "name": "ci", "role": "reader" })).await;
    let get = async |secret: &str| {
        let request = world.client.get(world.url("/v1/version")).bearer_auth(secret);
        request.send().await.unwrap()
    };
    assert_eq!(get(&made.secret).await.status(), StatusCode::OK);
    let mut refused = 0;
    let answer = loop {
        let answer = get(&format!("swt_{refused:064x}")).await;
        if answer.status() != StatusCode::UNAUTHORIZED {
            break answer;
        }
        refused += 1;
    };
    let wait = answer.headers().get("retry-after").is_some();
    let problem = assert_problem(answer, Code::RateLimited).await;
    assert!(wait && problem.detail.contains("address 127.0.0.1"), "{}", problem.detail);
    assert!(refused >= 500, "{refused} refused");
    assert_eq!(get(&made.secret).await.status(), StatusCode::OK);
    assert_eq!(get(OPERATOR).await.status(), StatusCode::OK);
}

/// The tokens of the catalog are the same in every registry over it. A registry that was not told
/// to accept them does not.
#[tokio::test]
async fn every_registry_over_a_catalog_accepts_its_tokens() {
    let world = open().await;
    let made = create(&world, json!({ "name": "ci", "role": "reader" })).await;
    let (_dir, file) = token_file(&format!("root publisher {OPERATOR}\n"));
    for (access, status) in [
        (Access::Tokens(None), StatusCode::OK),
        (Access::TokenFile(file), StatusCode::UNAUTHORIZED),
        (Access::Ephemeral, StatusCode::UNAUTHORIZED),
    ] {
        let config = Config { access: access.clone(), ..Config::in_process(world.dir.path()) };
        let other = start(config).await.unwrap();
        let url = format!("http://{}/v1/version", other.addr());
        let answer = world.client.get(url).bearer_auth(&made.secret).send().await.unwrap();
        assert_eq!(answer.status(), status, "{access:?}");
        other.stop().await.unwrap();
    }
}
