//! Original descriptors over HTTP: kept byte for byte, and required by the release that names them.

use crate::fixture::TinyRelease;
use crate::world::{World, assert_problem};
use reqwest::StatusCode;
use seawall_api::digest::DescriptorDigest;
use seawall_api::problem::Code;
use seawall_api::release::{DESCRIPTOR_LEN_MAX, Descriptor};

const TEXT: &[u8] = b"<Envelope>\r\n  <!-- as it was -->\n</Envelope>";

fn with_descriptor() -> TinyRelease {
    TinyRelease::edited("shop", "1.0", ["ab", "c"], |document| {
        let digest = DescriptorDigest::of(TEXT);
        let media_type = "application/ovf+xml".to_owned();
        document.machines[0].descriptor = Some(Descriptor { digest, media_type });
    })
}

#[tokio::test]
async fn a_release_is_published_once_its_descriptor_is_there_which_reads_back_as_it_was() {
    let world = World::open().await;
    let tiny = with_descriptor();
    let digest = DescriptorDigest::of(TEXT);
    let path = format!("/v1/descriptors/{digest}");
    let lease = world.lease("shop").await;
    for disk in &tiny.disks {
        world.upload(&lease, disk).await;
    }
    let problem = assert_problem(world.publish(&lease, &tiny).await, Code::Incomplete).await;
    assert!(problem.detail.contains(&digest.to_string()), "{}", problem.detail);
    assert_problem(world.get(&path).await, Code::NotFound).await;

    let with_lease = format!("{path}?lease={lease}");
    assert_eq!(world.put(&with_lease, TEXT).await.status(), StatusCode::CREATED);
    assert_eq!(world.put(&with_lease, TEXT).await.status(), StatusCode::OK);
    assert_eq!(world.publish(&lease, &tiny).await.status(), StatusCode::CREATED);
    let answer = world.get(&path).await;
    assert_eq!(answer.headers()["etag"], format!("\"{digest}\""));
    assert_eq!(answer.bytes().await.unwrap(), TEXT);
}

#[tokio::test]
async fn bytes_that_are_not_the_descriptor_are_refused() {
    let world = World::open().await;
    let lease = world.lease("shop").await;
    let path = |digest: DescriptorDigest| format!("/v1/descriptors/{digest}?lease={lease}");
    let other = world.put(&path(DescriptorDigest::of(b"x")), TEXT).await;
    assert_problem(other, Code::DigestMismatch).await;
    let long = vec![b' '; DESCRIPTOR_LEN_MAX + 1];
    let answer = world.put(&path(DescriptorDigest::of(&long)), long.clone()).await;
    assert_problem(answer, Code::TooLarge).await;
    let ended = format!("/v1/descriptors/{}?lease={}", DescriptorDigest::of(TEXT), "0".repeat(32));
    let answer = world.put(&ended, TEXT).await;
    assert_problem(answer, Code::LeaseEnded).await;
}
