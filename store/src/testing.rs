//! Conformance tests and fault injection for the ports of this crate, for the tests of every crate.

mod fault;
mod packs;
mod unconditional;

pub use fault::FaultAt;
pub use packs::{Calls, MemoryPacks, NotHere};
pub use unconditional::unconditional;

use bytes::Bytes;
use futures::TryStreamExt;
use seawall_api::digest::{LeafDigest, PackDigest};

use crate::error::{ErrorKind, StoreError};
use crate::port::{ObjectKind, ObjectName, ObjectStore, Put};

/// Tests a store, empty at the start, against the contract of [`ObjectStore`].
///
/// # Panics
/// On the first violation.
pub async fn conformance(store: &dyn ObjectStore) {
    one_object(store).await;
    listings(store).await;
    store.probe().await.expect("probe");
}

async fn one_object(store: &dyn ObjectStore) {
    let name = ObjectName::Pack(PackDigest::of(b"pack"));
    let first = Bytes::from_static(b"0123456789");

    assert_eq!(store.len(&name).await.expect("len"), None, "an empty store holds nothing");
    let missing = store.get(&name).await.expect_err("get of nothing");
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    let missing = store.open(&name).await.err().expect("open nothing");
    assert_eq!(missing.kind(), ErrorKind::NotFound);

    assert_eq!(store.put(&name, first.clone()).await.expect("put"), Put::Created);
    let again = store.put(&name, Bytes::from_static(b"other")).await.expect("put again");
    assert_eq!(again, Put::AlreadyPresent);
    assert_eq!(store.get(&name).await.expect("get"), first, "the first bytes stay");
    assert_eq!(store.len(&name).await.expect("len"), Some(10));
    store.replace(&name, Bytes::from_static(b"mended")).await.expect("replace");
    assert_eq!(store.get(&name).await.expect("get"), "mended");
    store.replace(&name, first.clone()).await.expect("replace again");

    let open = store.open(&name).await.expect("open");
    assert_eq!(open.len(), 10);
    assert_eq!(open.read(3..7).await.expect("range"), first.slice(3..7));
    assert_eq!(open.read(0..10).await.expect("all"), first);
    assert_eq!(open.read(10..10).await.expect("nothing"), Bytes::new());
    assert_eq!(open.read(9..10).await.expect("the last byte"), first.slice(9..));
    #[allow(clippy::reversed_empty_ranges)]
    for range in [5..11, 10..11, 11..11, 11..12, 7..3, 0..u64::MAX] {
        let outside = open.read(range.clone()).await.expect_err("range outside");
        assert!(matches!(outside, StoreError::Range { .. }), "{range:?}: {outside}");
    }
    assert!(open.piece_len() > 0, "a long range can be read in pieces");

    let note = ObjectName::Name("team/webshop/1.0".to_owned());
    store.put(&note, Bytes::from_static(b"x")).await.expect("put a name");
    assert_eq!(listed(store, ObjectKind::Pack).await, std::slice::from_ref(&name));
    assert_eq!(listed(store, ObjectKind::Name).await, [note]);
    assert_eq!(listed(store, ObjectKind::Leaf).await, []);

    store.replace(&name, Bytes::from_static(b"cut")).await.expect("replace by less");
    for (start, end) in [(0, 10), (1, 4)] {
        if let Ok(bytes) = open.read(start as u64..end as u64).await {
            assert_eq!(bytes, first.slice(start..end), "what is open is what it was, or an error");
        }
    }
    store.replace(&name, first.clone()).await.expect("replace again");
    store.delete(&name).await.expect("delete");
    store.delete(&name).await.expect("delete what is gone");
    assert_eq!(store.len(&name).await.expect("len"), None);
    if let Ok(bytes) = open.read(0..10).await {
        assert_eq!(bytes, first, "what is open is what it was, or an error");
    }
}

/// Lists objects while others are put and deleted.
async fn listings(store: &dyn ObjectStore) {
    let leaf = |n: u32| ObjectName::Leaf(LeafDigest::of(&n.to_le_bytes()));
    for n in 0..60 {
        store.put(&leaf(n), Bytes::from_static(b"leaf")).await.expect("put");
    }
    let mut listing = store.list(ObjectKind::Leaf);
    let mut names: Vec<_> = listing.try_next().await.expect("list").into_iter().collect();
    for n in 60..90 {
        store.put(&leaf(n), Bytes::from_static(b"leaf")).await.expect("put");
        store.delete(&leaf(n - 20)).await.expect("delete");
    }
    names.extend(listing.try_collect::<Vec<_>>().await.expect("list"));
    let count = |n| names.iter().filter(|name| **name == leaf(n)).count();
    assert!((0..40).all(|n| count(n) == 1), "what stays is listed once");
    assert!((40..90).all(|n| count(n) <= 1), "nothing is listed twice");
    assert_eq!(listed(store, ObjectKind::Leaf).await.len(), 60);
}

async fn listed(store: &dyn ObjectStore, kind: ObjectKind) -> Vec<ObjectName> {
    store.list(kind).try_collect().await.expect("list")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{Bucket, Conditions, Directory};

    #[tokio::test]
    async fn a_bucket_conforms() {
        conformance(&Bucket::in_memory()).await;
    }

    /// As some services are: a put must not rely on the condition.
    #[tokio::test]
    async fn a_bucket_that_ignores_conditions_conforms() {
        conformance(&unconditional()).await;
        let bucket = unconditional();
        assert_eq!(bucket.probe_conditions("x").await.unwrap(), Conditions::Ignored);
        conformance(&bucket).await;
    }

    #[tokio::test]
    async fn a_bucket_that_honours_conditions_conforms() {
        let bucket = Bucket::in_memory();
        assert_eq!(bucket.probe_conditions("x").await.unwrap(), Conditions::Honoured);
        conformance(&bucket).await;
    }

    /// A list of several pages is read folder by folder.
    #[tokio::test]
    async fn a_long_list_names_each_object_once() {
        for bucket in [Bucket::in_memory(), unconditional()] {
            let mut names = Vec::new();
            for n in 0..2500u32 {
                let name = ObjectName::Leaf(LeafDigest::of(&n.to_le_bytes()));
                bucket.replace(&name, Bytes::from_static(b"leaf")).await.unwrap();
                names.push(name);
            }
            let mut found = listed(&bucket, ObjectKind::Leaf).await;
            names.sort_by_key(ObjectName::path);
            found.sort_by_key(ObjectName::path);
            assert!(found == names, "{} of {} names", found.len(), names.len());
        }
    }

    #[tokio::test]
    async fn a_long_object_is_read_in_pieces() {
        let bucket = Bucket::in_memory();
        let name = ObjectName::Pack(PackDigest::of(b"pack"));
        for len in [0, 1, (4 << 20) - 1, 4 << 20, (4 << 20) + 1, 17 << 20] {
            let bytes: Bytes = (0..len).map(|n: u32| n.to_le_bytes()[(n % 4) as usize]).collect();
            bucket.replace(&name, bytes.clone()).await.unwrap();
            assert!(bucket.get(&name).await.unwrap() == bytes, "{len} bytes");
            assert_eq!(bucket.len(&name).await.unwrap(), Some(u64::from(len)));
        }
    }

    #[tokio::test]
    async fn a_directory_conforms() {
        let root = tempfile::tempdir().unwrap();
        conformance(&Directory::open(root.path()).unwrap()).await;
    }

    #[tokio::test]
    async fn a_wrapper_without_a_fault_conforms() {
        conformance(&FaultAt::write(usize::MAX, Bucket::in_memory())).await;
    }
}
