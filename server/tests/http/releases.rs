//! Publishing and resolving, over HTTP against a real registry.

use crate::fixture::{TinyDisk, TinyRelease};
use crate::world::{World, assert_problem};
use reqwest::{Method, StatusCode};
use seawall_api::problem::Code;
use seawall_api::v1;
use serde_json::json;

#[tokio::test]
async fn a_release_is_visible_once_published_and_reads_back_byte_for_byte() {
    let world = World::open().await;
    let tiny = TinyRelease::new("team/webshop", "1.0", "ab.c", "aabd");
    assert_problem(world.get("/v1/applications/team%2Fwebshop").await, Code::NotFound).await;
    let lease = world.lease("team/webshop").await;

    let chunks = tiny.disks[0].chunks();
    let ask = json!({ "lease": lease, "chunks": chunks });
    let missing: v1::MissingPositions =
        world.post("/v1/chunks/missing", &ask).await.json().await.unwrap();
    assert_eq!(missing.missing, [0, 1, 2]);
    world.upload_pack(&lease, &tiny.disks[1]).await;
    let missing: v1::MissingPositions =
        world.post("/v1/chunks/missing", &ask).await.json().await.unwrap();
    assert_eq!(missing.missing, [2], "a and b came with the other disk");

    for disk in &tiny.disks {
        world.upload(&lease, disk).await;
    }
    let path = "/v1/applications/team%2Fwebshop/releases/1.0";
    assert_problem(world.get(path).await, Code::NotFound).await;
    let answer = world.publish(&lease, &tiny).await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    let published: v1::Published = answer.json().await.unwrap();
    assert_eq!(published.digest, tiny.release.digest());
    assert!(!published.already_present);

    let answer = world.get(path).await;
    assert_eq!(answer.headers()["etag"], format!("\"{}\"", tiny.release.digest()));
    assert_eq!(answer.headers()["seawall-release"], tiny.release.digest().to_string());
    assert_eq!(answer.bytes().await.unwrap(), tiny.release.bytes());
    let etag = format!("\"{}\"", tiny.release.digest());
    let again = world.request(Method::GET, path).header("if-none-match", &etag);
    assert_eq!(again.send().await.unwrap().status(), StatusCode::NOT_MODIFIED);
    let leaf = tiny.disks[0].leaf.digest();
    let index = tiny.disks[0].index.digest();
    for (path, etag) in [
        (format!("/v1/leaves/{leaf}"), format!("\"{leaf}\"")),
        (format!("/v1/indexes/{index}"), format!("\"{index}\"")),
    ] {
        let again = world.request(Method::GET, &path).header("if-none-match", etag);
        let again = again.send().await.unwrap();
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{path}");
        assert!(again.bytes().await.unwrap().is_empty());
    }
    let head = world.request(Method::HEAD, path).send().await.unwrap();
    assert_eq!(head.headers()["content-length"], tiny.release.bytes().len().to_string());
}

#[tokio::test]
async fn listings_say_what_there_is_page_by_page() {
    let world = World::open().await;
    for (application, version) in [("a", "1.0"), ("team/b", "1.0"), ("team/b", "2.0")] {
        world.push(&TinyRelease::new(application, version, "ab", "c.d")).await;
    }
    let page: v1::ApplicationPage =
        world.get("/v1/applications?limit=1").await.json().await.unwrap();
    assert_eq!(page.applications[0].name.as_str(), "a");
    let after = page.next.unwrap();
    let path = format!("/v1/applications?limit=1&after={after}");
    let page: v1::ApplicationPage = world.get(&path).await.json().await.unwrap();
    assert_eq!(page.applications[0].name.as_str(), "team/b");
    assert_eq!(page.applications[0].release_count, 2);
    assert_eq!(page.applications[0].newest.as_ref().unwrap().as_str(), "2.0");
    assert_eq!(page.next, None);

    let path = "/v1/applications/team%2Fb/releases";
    let page: v1::ReleasePage = world.get(&format!("{path}?limit=1")).await.json().await.unwrap();
    let newest = &page.releases[0];
    assert_eq!((newest.version.as_str(), newest.disk_bytes), ("2.0", 5 * 4096));
    assert_eq!(newest.data_bytes, 4 * 4096);
    assert_eq!(newest.machines.len(), 2);
    let path = format!("{path}?after={}", page.next.unwrap());
    let page: v1::ReleasePage = world.get(&path).await.json().await.unwrap();
    assert_eq!(page.releases[0].version.as_str(), "1.0");
    assert_eq!(page.next, None);
    assert_problem(world.get("/v1/applications?limit=0").await, Code::InvalidInput).await;
    assert_problem(world.get("/v1/applications?limit=x").await, Code::InvalidInput).await;
    assert_problem(world.get("/v1/applications/none/releases").await, Code::NotFound).await;
}

#[tokio::test]
async fn a_version_is_never_used_again() {
    let world = World::open().await;
    let first = TinyRelease::new("webshop", "1.0", "ab", "cd");
    world.push(&first).await;
    let lease = world.lease("webshop").await;

    let answer = world.publish(&lease, &first).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(answer.json::<v1::Published>().await.unwrap().already_present);

    let other = TinyRelease::new("webshop", "1.0", "ab", "ce");
    // Publishing ends the lease, whether the release is new or not.
    let lease = world.lease("webshop").await;
    for disk in &other.disks {
        world.upload(&lease, disk).await;
    }
    let problem = assert_problem(world.publish(&lease, &other).await, Code::VersionTaken).await;
    assert!(problem.detail.contains(&first.release.digest().to_string()));
    let answer = world.get("/v1/applications/webshop/releases/1.0").await;
    assert_eq!(answer.bytes().await.unwrap(), first.release.bytes());
}

#[tokio::test]
async fn a_release_that_lacks_anything_is_not_published() {
    let world = World::open().await;
    let tiny = TinyRelease::new("webshop", "1.0", "ab", "cd");
    let lease = world.lease("webshop").await;
    world.upload(&lease, &tiny.disks[0]).await;
    let problem = assert_problem(world.publish(&lease, &tiny).await, Code::Incomplete).await;
    assert!(problem.detail.contains("machine `web`"), "{}", problem.detail);

    let (leaf, bytes) = tiny.disks[1].leaf_bytes();
    let put_leaf = format!("/v1/leaves/{leaf}?lease={lease}");
    let problem = assert_problem(world.put(&put_leaf, bytes).await, Code::Incomplete).await;
    assert!(problem.detail.contains(&tiny.disks[1].chunks()[0].to_string()));
    let index = &tiny.disks[1].index;
    let put_index = format!("/v1/indexes/{}?lease={lease}", index.digest());
    let problem =
        assert_problem(world.put(&put_index, index.encode()).await, Code::Incomplete).await;
    assert!(problem.detail.contains(&leaf.to_string()));
    assert_problem(world.get("/v1/applications/webshop").await, Code::NotFound).await;

    world.upload(&lease, &tiny.disks[1]).await;
    assert_eq!(world.publish(&lease, &tiny).await.status(), StatusCode::CREATED);
}

#[tokio::test]
async fn a_lease_that_ended_publishes_nothing() {
    let world = World::open().await;
    let tiny = TinyRelease::new("webshop", "1.0", "ab", "cd");
    let lease = world.lease("webshop").await;
    for disk in &tiny.disks {
        world.upload(&lease, disk).await;
    }
    let renewed = world.put(&format!("/v1/leases/{lease}"), "").await;
    assert_eq!(renewed.status(), StatusCode::OK);
    let other = world.lease("another").await;
    assert_problem(world.publish(&other, &tiny).await, Code::LeaseEnded).await;
    for _ in 0..2 {
        let path = format!("/v1/leases/{lease}");
        let ended = world.request(Method::DELETE, &path).send().await.unwrap();
        assert_eq!(ended.status(), StatusCode::NO_CONTENT);
    }
    assert_problem(world.publish(&lease, &tiny).await, Code::LeaseEnded).await;
    assert_problem(world.put(&format!("/v1/leases/{lease}"), "").await, Code::LeaseEnded).await;
    let ask = json!({ "lease": lease, "chunks": [] });
    assert_problem(world.post("/v1/chunks/missing", &ask).await, Code::LeaseEnded).await;
    let ask = json!({ "lease": lease, "leaves": [] });
    assert_problem(world.post("/v1/leaves/missing", &ask).await, Code::LeaseEnded).await;
    assert_problem(world.get("/v1/applications/webshop").await, Code::NotFound).await;
}

#[tokio::test]
async fn a_document_must_be_what_its_place_says() {
    let world = World::open().await;
    let tiny = TinyRelease::new("webshop", "1.0", "ab", "cd");
    let lease = world.lease("webshop").await;
    for disk in &tiny.disks {
        world.upload(&lease, disk).await;
    }
    let publish = |application: &str, bytes: Vec<u8>| {
        let path = format!("/v1/applications/{application}/releases?lease={lease}");
        world.request(Method::POST, &path).body(bytes).send()
    };
    let bytes = tiny.release.bytes().to_vec();
    assert_problem(publish("other", bytes.clone()).await.unwrap(), Code::InvalidInput).await;
    let spaced = [b" ".to_vec(), bytes].concat();
    assert_problem(publish("webshop", spaced).await.unwrap(), Code::InvalidInput).await;
    assert_problem(publish("webshop", vec![0; 5 << 20]).await.unwrap(), Code::TooLarge).await;
    let other_disk = TinyDisk::new("zz").disk("root").content;
    let lying = TinyRelease::edited("webshop", "1.0", ["ab", "cd"], |document| {
        document.machines[0].disks[0].content = other_disk;
    });
    let problem = assert_problem(world.publish(&lease, &lying).await, Code::InvalidInput).await;
    assert!(problem.detail.contains("describes another disk"), "{}", problem.detail);
}

#[tokio::test]
async fn a_restart_keeps_everything() {
    let world = World::open().await;
    let tiny = TinyRelease::new("team/webshop", "1.0", "ab.c", "aabd");
    world.push(&tiny).await;
    let lease = world.lease("team/webshop").await;
    let world = world.restarted().await;
    let answer = world.get("/v1/applications/team%2Fwebshop/releases/1.0").await;
    assert_eq!(answer.bytes().await.unwrap(), tiny.release.bytes());
    let ask = json!({ "chunks": tiny.disks[0].chunks() });
    let answer = world.post("/v1/chunks/locate", &ask).await;
    let located: v1::LocatedChunks = answer.json().await.unwrap();
    assert_eq!(located.locations.len(), 3);
    let next = TinyRelease::new("team/webshop", "1.1", "ab.c", "aabd");
    assert_eq!(world.publish(&lease, &next).await.status(), StatusCode::CREATED);
    let name = world.dir.path().join("store/names/team/webshop/@1.1");
    let text = std::fs::read_to_string(name).unwrap();
    assert!(text.contains(&next.release.digest().to_string()), "{text}");
}

#[tokio::test]
async fn two_registries_may_serve_one_directory() {
    let one = World::open().await;
    let tiny = TinyRelease::new("webshop", "1.0", "ab", "cd");
    one.push(&tiny).await;
    let config = seawall_server::Config::in_process(one.dir.path());
    let two = seawall_server::start(config).await.unwrap();
    let url = format!("http://{}/v1/applications/webshop/releases/1.0", two.addr());
    let answer = one.client.get(url).bearer_auth(two.token().unwrap()).send().await.unwrap();
    assert_eq!(answer.bytes().await.unwrap(), tiny.release.bytes());
    two.stop().await.unwrap();
    one.push(&TinyRelease::new("webshop", "2.0", "ab", "ce")).await;
}
