//! Conformance tests and fault injection for the ports of this crate, for the tests of every crate.

mod fault;

pub use fault::FaultAt;

use bytes::Bytes;
use seawall_api::digest::PackDigest;

use crate::error::{ErrorKind, StoreError};
use crate::port::{ObjectKind, ObjectName, ObjectStore, Put};

/// Tests a store, empty at the start, against the contract of [`ObjectStore`].
///
/// # Panics
/// On the first violation.
pub async fn conformance(store: &dyn ObjectStore) {
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
    for range in [5..11, 10..11, 11..12, 0..u64::MAX] {
        let outside = open.read(range.clone()).await.expect_err("range outside");
        assert!(matches!(outside, StoreError::Range { .. }), "{range:?}: {outside}");
    }

    let note = ObjectName::Name("team/webshop/1.0".to_owned());
    store.put(&note, Bytes::from_static(b"x")).await.expect("put a name");
    assert_eq!(store.list(ObjectKind::Pack).await.expect("list"), std::slice::from_ref(&name));
    assert_eq!(store.list(ObjectKind::Name).await.expect("list"), [note]);
    assert_eq!(store.list(ObjectKind::Leaf).await.expect("list"), []);

    store.delete(&name).await.expect("delete");
    store.delete(&name).await.expect("delete what is gone");
    assert_eq!(store.len(&name).await.expect("len"), None);
    if let Ok(bytes) = open.read(0..10).await {
        assert_eq!(bytes, first, "what is open is what it was, or an error");
    }
    store.probe().await.expect("probe");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend;

    #[tokio::test]
    async fn memory_conforms() {
        conformance(&backend::memory()).await;
    }

    #[tokio::test]
    async fn a_directory_conforms() {
        let root = tempfile::tempdir().unwrap();
        conformance(&backend::directory(root.path()).unwrap()).await;
    }

    #[tokio::test]
    async fn a_wrapper_without_a_fault_conforms() {
        conformance(&FaultAt::write(usize::MAX, backend::memory())).await;
    }
}
