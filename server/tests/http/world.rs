//! A real registry on its own port, and a client for concise tests.

use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use seawall_api::problem::{Code, MEDIA_TYPE, Problem};
use seawall_api::v1;
use seawall_server::{Access, Config, Running, start};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::fixture::{TinyDisk, TinyRelease};

pub struct World {
    pub dir: TempDir,
    pub running: Running,
    pub client: Client,
}

impl World {
    pub async fn open() -> Self {
        Self::with(|config| config.access = Access::Open).await
    }

    pub async fn with(edit: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::in_process(dir.path());
        edit(&mut config);
        let running = start(config).await.unwrap();
        Self { dir, running, client: Client::new() }
    }

    /// Stops the registry and starts another over the same directory.
    pub async fn restarted(self) -> Self {
        let Self { dir, running, client } = self;
        running.stop().await.unwrap();
        let config = Config { access: Access::Open, ..Config::in_process(dir.path()) };
        Self { running: start(config).await.unwrap(), dir, client }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.running.addr())
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, self.url(path));
        match self.running.token() {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    pub async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    pub async fn put(&self, path: &str, body: impl Into<reqwest::Body>) -> Response {
        self.request(Method::PUT, path).body(body).send().await.unwrap()
    }

    pub async fn post(&self, path: &str, body: &Value) -> Response {
        self.request(Method::POST, path).json(body).send().await.unwrap()
    }

    pub async fn lease(&self, application: &str) -> String {
        let answer = self.post("/v1/leases", &json!({ "application": application })).await;
        assert_eq!(answer.status(), StatusCode::CREATED);
        answer.json::<v1::Lease>().await.unwrap().id
    }

    pub async fn upload(&self, lease: &str, disk: &TinyDisk) {
        self.upload_pack(lease, disk).await;
        let (digest, bytes) = disk.leaf_bytes();
        let answer = self.put(&format!("/v1/leaves/{digest}?lease={lease}"), bytes).await;
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
        let (digest, bytes) = (disk.index.digest(), disk.index.encode());
        let answer = self.put(&format!("/v1/indexes/{digest}?lease={lease}"), bytes).await;
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    }

    pub async fn upload_pack(&self, lease: &str, disk: &TinyDisk) {
        let pack = disk.pack();
        let answer =
            self.put(&format!("/v1/packs/{}?lease={lease}", pack.digest), pack.bytes).await;
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    }

    pub async fn publish(&self, lease: &str, tiny: &TinyRelease) -> Response {
        let application = tiny.release.application().as_str().replace('/', "%2F");
        let path = format!("/v1/applications/{application}/releases?lease={lease}");
        let bytes = tiny.release.bytes().to_vec();
        self.request(Method::POST, &path).body(bytes).send().await.unwrap()
    }

    /// Pushes a whole release.
    pub async fn push(&self, tiny: &TinyRelease) {
        let lease = self.lease(tiny.release.application().as_str()).await;
        for disk in &tiny.disks {
            self.upload(&lease, disk).await;
        }
        let answer = self.publish(&lease, tiny).await;
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    }
}

/// Asserts that the response is a complete problem document with this code.
pub async fn assert_problem(answer: Response, code: Code) -> Problem {
    let (status, headers) = (answer.status(), answer.headers().clone());
    let text = answer.text().await.unwrap();
    assert_eq!(headers["content-type"], MEDIA_TYPE, "{text}");
    let problem: Problem = serde_json::from_str(&text).unwrap();
    assert_eq!(problem.code, code, "{text}");
    assert_eq!(status.as_u16(), code.status());
    assert_eq!(problem.instance.as_deref(), headers["x-request-id"].to_str().ok());
    assert!(!problem.detail.is_empty());
    problem
}
