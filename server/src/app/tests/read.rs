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

/// Reads what a pull and a push read of an object: its served bytes, or its typed content.
async fn serve(registry: &Registry, object: &ObjectName) -> Result<(), AppError> {
    let content = &registry.content;
    match object {
        ObjectName::Leaf(leaf) => content.leaf_bytes(*leaf).await.map(drop),
        ObjectName::Index(index) => content.index_bytes(*index).await.map(drop),
        ObjectName::Release(release) => registry.releases.bytes(*release).await.map(drop),
        other => panic!("{other:?} is not served whole"),
    }
}

#[tokio::test]
async fn served_objects_are_read_twice_before_they_are_damaged() {
    let site = Site::new();
    let one = TinyRelease::new("webshop", "1.0", "ab.c", "ab");
    push(&site.sound(), &one).await.unwrap();
    let disk = &one.disks[0];
    for object in [
        ObjectName::Leaf(disk.leaf.digest()),
        ObjectName::Index(disk.index.digest()),
        ObjectName::Release(one.release.digest()),
    ] {
        for (failing, is_served) in [(1, true), (2, false)] {
            let (inner, left) = (Arc::clone(&site.store), AtomicU64::new(failing));
            let sector = BadSector { inner, object: object.clone(), left, is_probed: true };
            let served = serve(&site.open(Arc::new(sector)), &object).await;
            let is_damaged = matches!(served, Err(AppError::Damaged { .. }));
            assert_eq!((served.is_ok(), is_damaged), (is_served, !is_served), "{served:?}");
        }
        let dead = site.open(site.bad_sector(object.clone(), false));
        let error = serve(&dead, &object).await.unwrap_err();
        assert!(
            !matches!(error, AppError::Damaged { .. }),
            "a failing disk is not damage: {error}"
        );
    }
}

#[tokio::test]
async fn an_object_longer_than_its_kind_permits_is_damaged_unread() {
    let site = Site::new();
    let one = TinyRelease::new("webshop", "1.0", "ab.c", "ab");
    push(&site.sound(), &one).await.unwrap();
    let disk = &one.disks[0];
    let (leaf, pack) = (disk.leaf.digest(), disk.pack().digest);
    for object in [ObjectName::Leaf(leaf), ObjectName::Pack(pack)] {
        let len = object.kind().rules().len_max + 1;
        site.store.replace(&object, Bytes::from(vec![0; len])).await.unwrap();
        let (inner, left) = (Arc::clone(&site.store), AtomicU64::new(u64::MAX));
        let store = Arc::new(BadSector { inner, object: object.clone(), left, is_probed: true });
        let registry = site.open(Arc::clone(&store) as _);
        if object == ObjectName::Pack(pack) {
            assert!(!registry.content.is_sound(pack).await.unwrap());
        } else {
            let error = serve(&registry, &object).await.unwrap_err();
            assert!(matches!(error, AppError::Damaged { .. }), "{error}");
        }
        assert_eq!(store.left.load(Ordering::Relaxed), u64::MAX, "{object:?} was read");
    }
}
