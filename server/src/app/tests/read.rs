//! The registry as a source of chunks.

use seawall_api::digest::ChunkDigest;
use seawall_api::index::ChunkRef;
use seawall_api::units::ChunkLen;
use seawall_store::error::ErrorKind;
use seawall_store::read::{Reader, Urgency};

use super::*;

#[tokio::test]
async fn a_registry_reads_its_own_chunks_and_no_others() {
    let site = Site::new();
    let one = TinyRelease::new("webshop", "1.0", "ab.c", "ab");
    push(&site.sound(), &one).await.unwrap();
    let reader = Arc::new(Reader::new(site.sound().content, 1));
    for disk in &one.disks {
        let leaf = Leaf::decode_any(&disk.leaf_bytes().1).unwrap();
        for chunk in leaf.chunks() {
            let bytes = reader.want([chunk], Urgency::Now).remove(0).bytes().await.unwrap();
            assert_eq!(ChunkDigest::of(&bytes), chunk.digest);
        }
    }
    let none = ChunkRef { digest: ChunkDigest::of(b"none"), len: ChunkLen::new(4).unwrap() };
    let error = reader.want([none], Urgency::Now).remove(0).bytes().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains(&none.digest.to_string()), "{error}");
}
