//! A wrapper of a store that permits reads only.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;

use crate::error::StoreError;
use crate::port::{Listing, ObjectKind, ObjectName, ObjectStore, OpenObject, Put};

/// A read-only store.
pub struct ReadOnly(Arc<dyn ObjectStore>);

impl ReadOnly {
    /// Wraps a store.
    pub fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self(store)
    }
}

fn refused(verb: &'static str, name: &ObjectName) -> StoreError {
    let source = io::Error::new(io::ErrorKind::PermissionDenied, "it is opened read-only");
    StoreError::io(verb, name.path(), source)
}

#[async_trait::async_trait]
#[deny(clippy::missing_trait_methods)]
impl ObjectStore for ReadOnly {
    async fn put(&self, name: &ObjectName, _: Bytes) -> Result<Put, StoreError> {
        Err(refused("write", name))
    }

    async fn replace(&self, name: &ObjectName, _: Bytes) -> Result<(), StoreError> {
        Err(refused("replace", name))
    }

    async fn get(&self, name: &ObjectName) -> Result<Bytes, StoreError> {
        self.0.get(name).await
    }

    async fn open(&self, name: &ObjectName) -> Result<Arc<dyn OpenObject>, StoreError> {
        self.0.open(name).await
    }

    async fn len(&self, name: &ObjectName) -> Result<Option<u64>, StoreError> {
        self.0.len(name).await
    }

    fn list(&self, kind: ObjectKind) -> Listing<'_> {
        self.0.list(kind)
    }

    async fn delete(&self, name: &ObjectName) -> Result<(), StoreError> {
        Err(refused("delete", name))
    }

    /// Lists a release instead of writing a probe: a store opened for reading only need not be
    /// writable.
    async fn probe(&self) -> Result<(), StoreError> {
        self.0.list(ObjectKind::Release).try_next().await.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Bucket;

    #[tokio::test]
    async fn a_read_only_store_is_read_and_cannot_be_changed() {
        let inner = Bucket::in_memory();
        let (name, bytes) = (ObjectName::Name("a/@1".to_owned()), Bytes::from_static(b"a"));
        inner.put(&name, bytes.clone()).await.unwrap();
        let store = ReadOnly::new(Arc::new(inner.clone()));
        assert_eq!(store.get(&name).await.unwrap(), bytes);
        assert_eq!(store.open(&name).await.unwrap().len(), 1);
        assert_eq!(store.list(ObjectKind::Name).try_next().await.unwrap(), Some(name.clone()));
        assert!(store.put(&name, bytes.clone()).await.is_err());
        assert!(store.replace(&name, Bytes::from_static(b"b")).await.is_err());
        assert!(store.delete(&name).await.is_err());
        store.probe().await.unwrap();
        assert_eq!(inner.get(&name).await.unwrap(), bytes);
    }
}
