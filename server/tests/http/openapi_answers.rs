//! The description is compared with real responses: each body is checked against the schema of its
//! route, status and media type.

use reqwest::{Method, Response};
use seawall_api::digest::ChunkDigest;
use serde_json::{Value, json};

use crate::fixture::TinyRelease;
use crate::world::World;

/// The OpenAPI document, against which responses are checked.
struct Described(Value);

impl Described {
    fn new() -> Self {
        Self(serde_json::from_str(&seawall_server::openapi_json()).unwrap())
    }

    fn resolved<'a>(&'a self, schema: &'a Value) -> &'a Value {
        match schema["$ref"].as_str() {
            Some(name) => self.resolved(self.0.pointer(&name[1..]).expect(name)),
            None => schema,
        }
    }

    /// Fails if a value does not match its schema.
    fn check(&self, schema: &Value, value: &Value, at: &str) {
        let schema = self.resolved(schema);
        for all in schema["allOf"].as_array().into_iter().flatten() {
            self.check(all, value, at);
        }
        if let Some(any) = schema["oneOf"].as_array().or(schema["anyOf"].as_array()) {
            if value.is_null() {
                assert!(any.iter().any(|one| one["type"] == "null"), "{at} is null");
                return;
            }
            let some: Vec<_> = any.iter().filter(|one| one["type"] != "null").collect();
            // With several alternatives, other tests check which one applies.
            if let [one] = some[..] {
                self.check(one, value, at);
            }
            return;
        }
        if let Some(texts) = schema["enum"].as_array() {
            assert!(texts.contains(value), "{at}: {value} is none of {texts:?}");
        }
        let kinds = match &schema["type"] {
            Value::String(kind) => vec![kind.as_str()],
            Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
            _ => return,
        };
        let is = |kind: &str| match kind {
            "string" => value.is_string(),
            "integer" => value.is_u64() || value.is_i64(),
            "boolean" => value.is_boolean(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            "null" => value.is_null(),
            _ => false,
        };
        assert!(kinds.iter().any(|kind| is(kind)), "{at}: {value} is no {kinds:?}");
        for (index, item) in value.as_array().into_iter().flatten().enumerate() {
            self.check(&schema["items"], item, &format!("{at}[{index}]"));
        }
        self.check_fields(schema, value, at);
    }

    fn check_fields(&self, schema: &Value, value: &Value, at: &str) {
        let Some(fields) = value.as_object() else { return };
        for required in schema["required"].as_array().into_iter().flatten() {
            assert!(fields.contains_key(required.as_str().unwrap()), "{at} lacks {required}");
        }
        let Some(known) = schema["properties"].as_object() else { return };
        for (name, field) in fields {
            let schema = known.get(name);
            let schema = schema.unwrap_or_else(|| panic!("{at}.{name} is not described"));
            self.check(schema, field, &format!("{at}.{name}"));
        }
    }

    /// Fails if a response does not match its operation.
    async fn answers(&self, method: &str, path: &str, answer: Response) {
        let status = answer.status().as_u16();
        let kind =
            answer.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
        let body = answer.bytes().await.unwrap();
        let at = format!("{method} {path} {status}");
        let described = &self.0["paths"][path][method]["responses"][status.to_string()];
        assert!(described.is_object(), "{at} is not described: {body:?}");
        let Some(kind) = kind.filter(|kind| kind.contains("json")) else { return };
        let schema = &described["content"][&kind]["schema"];
        assert!(schema.is_object(), "{at}: no schema of {kind}");
        self.check(schema, &serde_json::from_slice(&body).unwrap(), &at);
    }
}

/// The read operations: the described path, and the requested path, in which `{A}` stands for the
/// application and `{R}` for a release.
const READS: [(&str, &str); 30] = [
    ("/v1/applications", "/v1/applications"),
    ("{A}", "/v1/applications/webshop"),
    ("{A}", "/v1/applications/none"),
    ("{A}/releases", "/v1/applications/webshop/releases"),
    ("{A}/channels", "/v1/applications/webshop/channels"),
    ("{A}/channels/{channel}", "/v1/applications/webshop/channels/stable"),
    ("{A}/channels/{channel}/history", "/v1/applications/webshop/channels/stable/history"),
    ("{A}/policy", "/v1/applications/webshop/policy"),
    ("{A}/retention", "/v1/applications/webshop/retention"),
    ("{A}/quota", "/v1/applications/webshop/quota"),
    ("{R}", "/v1/applications/webshop/releases/9.9"),
    ("{R}/holders", "/v1/applications/webshop/releases/1.0/holders"),
    ("{R}/pins", "/v1/applications/webshop/releases/1.0/pins"),
    ("{R}/damage", "/v1/applications/webshop/releases/1.0/damage"),
    ("/v1/hosts", "/v1/hosts"),
    ("/v1/audit", "/v1/audit"),
    ("/v1/webhooks", "/v1/webhooks"),
    ("/v1/fsck", "/v1/fsck"),
    ("/v1/damage", "/v1/damage"),
    ("/v1/jobs", "/v1/jobs"),
    ("/v1/mirrors", "/v1/mirrors"),
    ("/v1/mirrors/{mirror}", "/v1/mirrors/site"),
    ("/v1/mirrors/{mirror}", "/v1/mirrors/none"),
    ("/v1/collection", "/v1/collection"),
    ("/v1/collection/plan", "/v1/collection/plan"),
    ("/v1/usage", "/v1/usage"),
    ("/v1/version", "/v1/version"),
    ("/v1/diff", "/v1/diff?from=webshop:1.0&to=webshop:1.0"),
    ("/healthz", "/healthz"),
    ("/readyz", "/readyz"),
];

fn described(path: &str) -> String {
    path.replace("{R}", "{A}/releases/{selector}").replace("{A}", "/v1/applications/{application}")
}

/// Returns the write operations: method, described path, requested path, body.
fn writes(release: &str) -> Vec<(&'static str, &'static str, &'static str, Value)> {
    let runs = json!({ "application": "webshop", "instance": "/x", "release": release,
                       "channel": "stable", "disks": 2, "ttlSecs": 60 });
    let hook = json!({ "url": "https://hooks.example/", "events": ["publish"],
                       "secret": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3" });
    let release = json!({ "release": release });
    vec![
        ("put", "{A}/channels/{channel}", "/v1/applications/webshop/channels/stable", release),
        (
            "put",
            "{R}/pins/{pin}",
            "/v1/applications/webshop/releases/1.0/pins/audit",
            json!({ "reason": "it is read" }),
        ),
        ("put", "/v1/hosts/{host}", "/v1/hosts/rack1", runs),
        ("put", "{A}/policy", "/v1/applications/webshop/policy", json!({ "keepLast": 1 })),
        ("put", "{A}/quota", "/v1/applications/webshop/quota", json!({ "releaseCountMax": 9 })),
        ("post", "/v1/leases", "/v1/leases", json!({ "application": "webshop" })),
        ("post", "/v1/leases", "/v1/leases", json!([])),
        ("post", "/v1/chunks/locate", "/v1/chunks/locate", json!({ "chunks": [] })),
        (
            "post",
            "/v1/chunks/locate",
            "/v1/chunks/locate",
            json!({ "chunks": [ChunkDigest::of(b"none")] }),
        ),
        ("post", "/v1/webhooks", "/v1/webhooks", hook),
        (
            "post",
            "/v1/mirrors",
            "/v1/mirrors",
            json!({ "name": "site", "direction": "to", "url": "http://127.0.0.1:1",
                    "applications": ["*"], "everySecs": 900 }),
        ),
        ("post", "/v1/mirrors/{mirror}/runs", "/v1/mirrors/site/runs", json!({})),
        ("post", "/v1/fsck", "/v1/fsck", json!({})),
        ("post", "/v1/collection", "/v1/collection", json!({ "livePercentMin": 101 })),
    ]
}

#[tokio::test]
async fn responses_match_their_description() {
    let (world, api) = (World::open().await, Described::new());
    let tiny = TinyRelease::new("webshop", "1.0", "abc", "abd");
    world.push(&tiny).await;
    for (method, path, at, body) in writes(&tiny.release.digest().to_string()) {
        let verb = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
        let mut request = world.request(verb, at).json(&body);
        if path.ends_with("{channel}") {
            request = request.header("if-none-match", "*");
        }
        api.answers(method, &described(path), request.send().await.unwrap()).await;
    }
    for (path, at) in READS {
        api.answers("get", &described(path), world.get(at).await).await;
    }
    let held = world.request(Method::DELETE, "/v1/applications/webshop/releases/1.0");
    api.answers("delete", &described("{R}"), held.send().await.unwrap()).await;
}

#[test]
fn every_operation_has_a_summary_and_the_tables_are_the_wires() {
    let api = Described::new().0;
    for (path, item) in api["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let summary = operation["summary"].as_str().unwrap_or_default();
            assert!(!summary.is_empty(), "{method} {path} has no summary");
        }
    }
    let schemas = &api["components"]["schemas"];
    for code in seawall_api::problem::Code::ALL {
        assert!(schemas["Code"]["enum"].as_array().unwrap().contains(&json!(code.as_str())));
    }
    for action in seawall_api::audit::Action::ALL {
        assert!(schemas["Action"]["enum"].as_array().unwrap().contains(&json!(action.as_str())));
    }
    for name in ["ApplicationName", "ChannelName", "HostName", "PinName", "Version"] {
        assert!(schemas[name]["pattern"].is_string(), "{name} has a pattern");
        assert!(schemas[name]["examples"].is_array(), "{name} has an example");
    }
}
