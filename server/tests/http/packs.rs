//! Packs: uploads are proven, ranges are served.

use reqwest::{Method, Response, StatusCode};
use seawall_api::digest::{ChunkDigest, LeafDigest, PackDigest};
use seawall_api::problem::Code;
use seawall_api::v1;
use serde_json::json;

use crate::fixture::{TinyDisk, TinyRelease};
use crate::world::{World, assert_problem};

#[tokio::test]
async fn a_pack_that_is_not_what_its_name_says_is_refused() {
    let world = World::open().await;
    let lease = world.lease("webshop").await;
    let pack = TinyDisk::new("abc").pack();
    let put = async |name: PackDigest, bytes: Vec<u8>| {
        world.put(&format!("/v1/packs/{name}?lease={lease}"), bytes).await
    };
    let bytes = pack.bytes.to_vec();
    let answer = put(PackDigest::of(b"other"), bytes.clone()).await;
    assert_problem(answer, Code::DigestMismatch).await;
    // A flipped bit in a raw frame: the footer and thus the name are right, but the chunk is wrong.
    let mut flipped = bytes.clone();
    flipped[100] ^= 1;
    assert_problem(put(pack.digest, flipped).await, Code::DigestMismatch).await;
    assert_problem(put(pack.digest, bytes[..bytes.len() - 1].to_vec()).await, Code::InvalidInput)
        .await;
    assert_problem(put(pack.digest, vec![]).await, Code::InvalidInput).await;
    assert_problem(put(pack.digest, vec![0; 20 << 20]).await, Code::TooLarge).await;
    let ask = json!({ "lease": lease, "chunks": TinyDisk::new("abc").chunks() });
    let missing: v1::MissingPositions =
        world.post("/v1/chunks/missing", &ask).await.json().await.unwrap();
    assert_eq!(missing.missing, [0, 1, 2], "nothing of it is known");
    assert_problem(world.get(&format!("/v1/packs/{}", pack.digest)).await, Code::NotFound).await;
    assert_eq!(put(pack.digest, bytes.clone()).await.status(), StatusCode::CREATED);
    assert_eq!(put(pack.digest, bytes).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn an_upload_without_a_declared_length_is_bounded_too() {
    let world = World::open().await;
    let lease = world.lease("webshop").await;
    let path = format!("/v1/packs/{}?lease={lease}", PackDigest::of(b"x"));
    let pieces = (0..40).map(|_| Ok::<_, std::io::Error>(vec![0_u8; 1 << 20]));
    let body = reqwest::Body::wrap_stream(futures::stream::iter(pieces));
    // The sender may see a closed connection first. The point is that nothing was stored.
    if let Ok(answer) = world.request(Method::PUT, &path).body(body).send().await {
        assert_problem(answer, Code::TooLarge).await;
    }
    let pack = TinyDisk::new("abc").pack();
    let bytes = pack.bytes.clone();
    let body = reqwest::Body::wrap_stream(futures::stream::iter([Ok::<_, std::io::Error>(bytes)]));
    let path = format!("/v1/packs/{}?lease={lease}", pack.digest);
    let answer = world.request(Method::PUT, &path).body(body).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
}

#[tokio::test]
async fn the_same_pack_from_eight_clients_is_one_pack() {
    let world = World::open().await;
    let lease = world.lease("webshop").await;
    let pack = TinyDisk::new("abcdefgh").pack();
    let path = format!("/v1/packs/{}?lease={lease}", pack.digest);
    let uploads = (0..8).map(|_| world.put(&path, pack.bytes.clone()));
    let answers = futures::future::join_all(uploads).await;
    assert!(answers.iter().all(|answer| answer.status().is_success()));
    let created = answers.iter().filter(|a| a.status() == StatusCode::CREATED).count();
    assert_eq!(created, 1);
    let answer = world.get(&format!("/v1/packs/{}", pack.digest)).await;
    assert_eq!(answer.bytes().await.unwrap(), pack.bytes);
}

#[tokio::test]
async fn chunks_are_located_in_the_pack_that_had_them_first() {
    let world = World::open().await;
    let lease = world.lease("webshop").await;
    let (first, second) = (TinyDisk::new("ab"), TinyDisk::new("bc"));
    world.upload_pack(&lease, &first).await;
    world.upload_pack(&lease, &second).await;
    let ask = json!({ "chunks": TinyDisk::new("cab").chunks() });
    let located: v1::LocatedChunks =
        world.post("/v1/chunks/locate", &ask).await.json().await.unwrap();
    assert_eq!(located.packs, [second.pack().digest, first.pack().digest]);
    let packs: Vec<_> = located.locations.iter().map(|location| location.pack).collect();
    assert_eq!(packs, [0, 1, 1]);
    for (location, (digest, plain)) in located.locations.iter().zip(TinyDisk::new("cab").plain) {
        let path = format!("/v1/packs/{}", located.packs[location.pack as usize]);
        let range = format!(
            "bytes={}-{}",
            location.offset,
            location.offset + u64::from(location.stored_len) - 1
        );
        let answer = world.request(Method::GET, &path).header("range", range).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::PARTIAL_CONTENT);
        let bytes = answer.bytes().await.unwrap();
        assert_eq!(location.encoding, v1::ENCODING_RAW);
        assert_eq!((ChunkDigest::of(&bytes), bytes.to_vec()), (digest, plain));
    }
    let unknown = ChunkDigest::of(b"unknown");
    let ask = json!({ "chunks": [first.chunks()[0], unknown] });
    let answer = world.post("/v1/chunks/locate", &ask).await;
    let problem = assert_problem(answer, Code::NotFound).await;
    assert!(problem.detail.contains(&unknown.to_string()));
}

#[tokio::test]
async fn ranges_are_answered_as_a_web_server_does() {
    let world = World::open().await;
    let lease = world.lease("webshop").await;
    let pack = TinyDisk::new("abcdefgh").pack();
    world.upload_pack(&lease, &TinyDisk::new("abcdefgh")).await;
    let path = format!("/v1/packs/{}", pack.digest);
    let etag = format!("\"{}\"", pack.digest);
    let len = pack.bytes.len();
    let get = async |headers: &[(&str, &str)]| -> Response {
        let mut request = world.request(Method::GET, &path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap()
    };

    let whole = get(&[]).await;
    assert_eq!(whole.status(), StatusCode::OK);
    assert_eq!(whole.headers()["accept-ranges"], "bytes");
    assert_eq!(whole.headers()["etag"], etag);
    assert!(whole.headers()["cache-control"].to_str().unwrap().contains("immutable"));
    assert_eq!(whole.headers()["content-length"], len.to_string());
    assert_eq!(whole.bytes().await.unwrap(), pack.bytes);

    for (range, want) in [
        ("bytes=0-99".to_owned(), 0..100),
        (format!("bytes={}-", len - 7), len - 7..len),
        ("bytes=-5".to_owned(), len - 5..len),
        (format!("bytes=5-{}", len * 2), 5..len),
    ] {
        let part = get(&[("range", &range)]).await;
        assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT, "{range}");
        let content_range = format!("bytes {}-{}/{len}", want.start, want.end - 1);
        assert_eq!(part.headers()["content-range"], content_range);
        assert_eq!(part.headers()["content-length"], want.len().to_string());
        assert_eq!(part.bytes().await.unwrap(), pack.bytes[want]);
    }
    let outside = get(&[("range", &format!("bytes={len}-"))]).await;
    assert_eq!(outside.headers()["content-range"], format!("bytes */{len}"));
    assert_problem(outside, Code::RangeNotSatisfiable).await;
    for headers in [
        [("range", "bytes=0-1,4-5"), ("x", "")],
        [("range", "lines=0-1"), ("x", "")],
        [("range", "bytes=0-1"), ("if-range", "\"other\"")],
    ] {
        let answer = get(&headers).await;
        assert_eq!(answer.status(), StatusCode::OK, "{headers:?}");
        assert_eq!(answer.bytes().await.unwrap(), pack.bytes);
    }
    let same = get(&[("range", "bytes=0-1"), ("if-range", &etag)]).await;
    assert_eq!(same.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(get(&[("if-none-match", &etag)]).await.status(), StatusCode::NOT_MODIFIED);

    let two_lines = get(&[("if-none-match", "\"other\""), ("if-none-match", &etag)]).await;
    assert_eq!(two_lines.status(), StatusCode::NOT_MODIFIED);

    let head = world.request(Method::HEAD, &path).header("range", "bytes=0-1");
    let head = head.send().await.unwrap();
    assert_eq!(head.status(), StatusCode::OK, "a range means nothing to HEAD");
    assert_eq!(head.headers()["content-length"], len.to_string());
    assert!(head.bytes().await.unwrap().is_empty());
}

#[tokio::test]
async fn damage_at_rest_is_named_and_never_served() {
    let world = World::open().await;
    let tiny = TinyRelease::new("webshop", "1.0", "ab", "cd");
    world.push(&tiny).await;
    let pack = tiny.disks[0].pack().digest;
    let (leaf, _) = tiny.disks[0].leaf_bytes();
    let index = tiny.disks[0].index.digest();
    let release = tiny.release.digest();
    let file = |folder: &str, hex: String| {
        world.dir.path().join("store").join(folder).join(&hex[..2]).join(hex)
    };
    let objects = [
        (file("packs", pack.to_hex()), format!("/v1/packs/{pack}"), pack.to_hex()),
        (file("indexes/leaves", leaf.to_hex()), format!("/v1/leaves/{leaf}"), leaf.to_hex()),
        (file("indexes/lists", index.to_hex()), format!("/v1/indexes/{index}"), index.to_hex()),
        (
            file("releases", release.to_hex()),
            "/v1/applications/webshop/releases/1.0".to_owned(),
            release.to_hex(),
        ),
    ];
    for (file, path, hex) in objects {
        let intact = std::fs::read(&file).unwrap();
        std::fs::write(&file, &intact[..intact.len() - 1]).unwrap();
        let problem = assert_problem(world.get(&path).await, Code::Damaged).await;
        assert!(problem.detail.contains(&hex), "{}", problem.detail);
        std::fs::remove_file(&file).unwrap();
        let problem = assert_problem(world.get(&path).await, Code::Damaged).await;
        assert!(problem.detail.contains(&hex), "{}", problem.detail);
        if !path.contains("packs") {
            let mut flipped = intact.clone();
            flipped[20] ^= 4;
            std::fs::write(&file, flipped).unwrap();
            assert_problem(world.get(&path).await, Code::Damaged).await;
        }
        std::fs::write(&file, intact).unwrap();
        assert_eq!(world.get(&path).await.status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn a_leaf_and_an_index_must_be_canonical_and_named_right() {
    let world = World::open().await;
    let lease = world.lease("webshop").await;
    let disk = TinyDisk::new("ab");
    world.upload_pack(&lease, &disk).await;
    let (leaf, bytes) = disk.leaf_bytes();
    let put = async |path: String, bytes: Vec<u8>| {
        world.put(&format!("{path}?lease={lease}"), bytes).await
    };
    let other = LeafDigest::of(b"other");
    assert_problem(put(format!("/v1/leaves/{other}"), bytes.to_vec()).await, Code::DigestMismatch)
        .await;
    let garbage = b"SWLFgarbage".to_vec();
    let name = LeafDigest::of(&garbage);
    assert_problem(put(format!("/v1/leaves/{name}"), garbage).await, Code::InvalidInput).await;
    assert_problem(put(format!("/v1/leaves/{leaf}"), vec![0; 5 << 20]).await, Code::TooLarge).await;
    assert_eq!(
        put(format!("/v1/leaves/{leaf}"), bytes.to_vec()).await.status(),
        StatusCode::CREATED
    );
    assert_eq!(put(format!("/v1/leaves/{leaf}"), bytes.to_vec()).await.status(), StatusCode::OK);
    assert_eq!(world.get(&format!("/v1/leaves/{leaf}")).await.bytes().await.unwrap(), bytes);
    let index = &disk.index;
    let path = format!("/v1/indexes/{}", index.digest());
    let mut longer = index.encode();
    longer.push(0);
    assert_problem(put(path.clone(), longer).await, Code::DigestMismatch).await;
    assert_eq!(put(path.clone(), index.encode()).await.status(), StatusCode::CREATED);
    assert_eq!(world.get(&path).await.bytes().await.unwrap(), index.encode());
    let ask = json!({ "lease": lease, "leaves": [other, leaf] });
    let missing: v1::MissingPositions =
        world.post("/v1/leaves/missing", &ask).await.json().await.unwrap();
    assert_eq!(missing.missing, [0]);
}
