//! A store in a bucket, or in any other backend of the `object_store` crate that is reached by
//! requests: an object is one object of the backend.
//!
//! # Invariants
//!
//! 1. A `put` is conditional on the absence of the object, so that one of two concurrent puts
//!    reports [`Put::AlreadyPresent`]. By then the backend has made the object durable.
//! 2. An open object is a name and a length: each read is a request for a range by name.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use object_store::memory::InMemory;
use object_store::{Error, ObjectStore as Backend, ObjectStoreExt, PutMode};

use super::calls::{self, failed, location, outside, within};
use crate::error::StoreError;
use crate::port::{Listing, ObjectKind, ObjectName, ObjectStore, OpenObject, Put};

/// The length of a read, in bytes. Each read is a request, whose latency a long read hides.
const PIECE_LEN: u64 = 2 << 20;

/// An [`ObjectStore`] in a bucket.
#[derive(Debug, Clone)]
pub struct Bucket {
    backend: Arc<dyn Backend>,
}

impl Bucket {
    /// Wraps a backend, whose root is the root of the store.
    pub fn new(backend: Arc<dyn Backend>) -> Self {
        Self { backend }
    }

    /// Returns a store in memory, for tests.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::new(Arc::new(InMemory::new()))
    }
}

#[async_trait::async_trait]
impl ObjectStore for Bucket {
    async fn put(&self, name: &ObjectName, bytes: Bytes) -> Result<Put, StoreError> {
        let path = name.path();
        let put =
            self.backend.put_opts(&location(&path), bytes.into(), PutMode::Create.into()).await;
        match put {
            Ok(_) => Ok(Put::Created),
            Err(Error::AlreadyExists { .. }) => Ok(Put::AlreadyPresent),
            Err(source) => Err(failed("write", path, source)),
        }
    }

    async fn replace(&self, name: &ObjectName, bytes: Bytes) -> Result<(), StoreError> {
        calls::write(&*self.backend, "replace", &name.path(), bytes).await
    }

    async fn get(&self, name: &ObjectName) -> Result<Bytes, StoreError> {
        calls::get(&*self.backend, &name.path()).await
    }

    async fn open(&self, name: &ObjectName) -> Result<Arc<dyn OpenObject>, StoreError> {
        let object = name.path();
        match calls::len(&*self.backend, &object).await? {
            Some(len) => Ok(Arc::new(Remote { backend: Arc::clone(&self.backend), len, object })),
            None => Err(StoreError::Missing { object }),
        }
    }

    async fn len(&self, name: &ObjectName) -> Result<Option<u64>, StoreError> {
        calls::len(&*self.backend, &name.path()).await
    }

    fn list(&self, kind: ObjectKind) -> Listing<'_> {
        calls::list(&*self.backend, kind)
    }

    async fn delete(&self, name: &ObjectName) -> Result<(), StoreError> {
        calls::delete(&*self.backend, &name.path()).await
    }

    async fn probe(&self) -> Result<(), StoreError> {
        calls::probe(&*self.backend).await
    }
}

/// An object of a bucket.
struct Remote {
    backend: Arc<dyn Backend>,
    len: u64,
    object: String,
}

#[async_trait::async_trait]
impl OpenObject for Remote {
    fn len(&self) -> u64 {
        self.len
    }

    fn piece_len(&self) -> u64 {
        PIECE_LEN
    }

    async fn read(&self, range: Range<u64>) -> Result<Bytes, StoreError> {
        let len = within(&range, self.len, &self.object)?;
        if len == 0 {
            return Ok(Bytes::new());
        }
        match self.backend.get_range(&location(&self.object), range.clone()).await {
            Ok(bytes) if bytes.len() == len => Ok(bytes),
            // Backends clip a range at the object's end: the object was cut after it was opened.
            Ok(_) => Err(outside(&range, &self.object)),
            Err(source) => Err(failed("read", self.object.clone(), source)),
        }
    }
}
