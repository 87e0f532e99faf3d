//! Fault injection: fails a chosen write and every later one, as if the process died there.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

use crate::error::StoreError;
use crate::port::{Listing, ObjectKind, ObjectName, ObjectStore, OpenObject, Put};

/// A store that fails a chosen write and every later one.
#[derive(Debug)]
pub struct FaultAt<S> {
    inner: S,
    at: usize,
    writes: AtomicUsize,
}

impl<S> FaultAt<S> {
    /// Fails the write number `at`, counted from 0, and all later ones.
    pub fn write(at: usize, inner: S) -> Self {
        Self { inner, at, writes: AtomicUsize::new(0) }
    }

    /// Returns whether a write was made to fail.
    pub fn has_failed(&self) -> bool {
        self.writes.load(Ordering::SeqCst) > self.at
    }

    fn before_write(&self) -> Result<(), StoreError> {
        if self.writes.fetch_add(1, Ordering::SeqCst) < self.at {
            return Ok(());
        }
        let source = io::Error::other("injected fault");
        Err(StoreError::Io { verb: "write", path: PathBuf::from("fault"), source })
    }
}

#[async_trait::async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: ObjectStore> ObjectStore for FaultAt<S> {
    async fn put(&self, name: &ObjectName, bytes: Bytes) -> Result<Put, StoreError> {
        self.before_write()?;
        self.inner.put(name, bytes).await
    }

    async fn replace(&self, name: &ObjectName, bytes: Bytes) -> Result<(), StoreError> {
        self.before_write()?;
        self.inner.replace(name, bytes).await
    }

    async fn get(&self, name: &ObjectName) -> Result<Bytes, StoreError> {
        self.inner.get(name).await
    }

    async fn open(&self, name: &ObjectName) -> Result<Arc<dyn OpenObject>, StoreError> {
        self.inner.open(name).await
    }

    async fn len(&self, name: &ObjectName) -> Result<Option<u64>, StoreError> {
        self.inner.len(name).await
    }

    fn list(&self, kind: ObjectKind) -> Listing<'_> {
        self.inner.list(kind)
    }

    async fn delete(&self, name: &ObjectName) -> Result<(), StoreError> {
        self.before_write()?;
        self.inner.delete(name).await
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.inner.probe().await
    }
}
