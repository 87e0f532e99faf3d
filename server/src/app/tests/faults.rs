//! Failing stores: at a write, at a read, or at one object.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use bytes::Bytes;
use futures::{StreamExt, stream};
use seawall_store::error::StoreError;
use seawall_store::port::{Listing, ObjectKind, ObjectName, ObjectStore, OpenObject, Put};

/// The effect of an injected write failure.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Failing {
    /// Nothing is written.
    Before,
    /// The write succeeds but reports an error, like a crash before the next step.
    After,
}

/// A store that fails at write number `at`, or from a given read on.
pub(super) struct FaultAt {
    inner: Arc<dyn ObjectStore>,
    at: u32,
    how: Failing,
    writes: AtomicU32,
    reads: Arc<Reads>,
    source: fn() -> std::io::Error,
}

impl FaultAt {
    /// Creates a store that fails at one write.
    pub(super) fn write(
        inner: Arc<dyn ObjectStore>,
        at: u32,
        how: Failing,
        source: fn() -> std::io::Error,
    ) -> Self {
        let reads = Arc::new(Reads(AtomicU32::new(u32::MAX)));
        Self { inner, at, how, writes: AtomicU32::new(0), reads, source }
    }

    /// Creates a store that fails at a read and all later reads.
    pub(super) fn read(inner: Arc<dyn ObjectStore>, at: u32) -> Self {
        let reads = Arc::new(Reads(AtomicU32::new(at)));
        Self { reads, ..Self::write(inner, u32::MAX, Failing::Before, broken) }
    }
}

/// A countdown to the first failing read; all later reads fail as well.
struct Reads(AtomicU32);

impl Reads {
    fn next(&self) -> Result<(), StoreError> {
        let left = |left: u32| Some(left.saturating_sub(1));
        match self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left) {
            Ok(0) | Err(_) => Err(StoreError::io("read", "an object", broken())),
            Ok(_) => Ok(()),
        }
    }
}

struct OpenFaultAt {
    inner: Arc<dyn OpenObject>,
    reads: Arc<Reads>,
}

#[async_trait::async_trait]
impl OpenObject for OpenFaultAt {
    fn len(&self) -> u64 {
        self.inner.len()
    }

    fn piece_len(&self) -> u64 {
        self.inner.piece_len()
    }

    async fn link(&self) -> Result<Option<String>, StoreError> {
        self.inner.link().await
    }

    async fn read(&self, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.reads.next()?;
        self.inner.read(range).await
    }
}

#[async_trait::async_trait]
#[deny(clippy::missing_trait_methods)]
impl ObjectStore for FaultAt {
    async fn put(&self, name: &ObjectName, bytes: Bytes) -> Result<Put, StoreError> {
        let fails = self.writes.fetch_add(1, Ordering::Relaxed) == self.at;
        if !fails || self.how == Failing::After {
            let put = self.inner.put(name, bytes).await?;
            if !fails {
                return Ok(put);
            }
        }
        Err(StoreError::io("write", name.path(), (self.source)()))
    }

    async fn replace(&self, name: &ObjectName, bytes: Bytes) -> Result<(), StoreError> {
        let fails = self.writes.fetch_add(1, Ordering::Relaxed) == self.at;
        if !fails || self.how == Failing::After {
            self.inner.replace(name, bytes).await?;
        }
        if fails { Err(StoreError::io("replace", name.path(), (self.source)())) } else { Ok(()) }
    }

    async fn get(&self, name: &ObjectName) -> Result<Bytes, StoreError> {
        self.reads.next()?;
        self.inner.get(name).await
    }

    async fn open(&self, name: &ObjectName) -> Result<Arc<dyn OpenObject>, StoreError> {
        self.reads.next()?;
        let inner = self.inner.open(name).await?;
        Ok(Arc::new(OpenFaultAt { inner, reads: Arc::clone(&self.reads) }))
    }

    async fn len(&self, name: &ObjectName) -> Result<Option<u64>, StoreError> {
        self.reads.next()?;
        self.inner.len(name).await
    }

    fn list(&self, kind: ObjectKind) -> Listing<'_> {
        match self.reads.next() {
            Ok(()) => self.inner.list(kind),
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }

    async fn delete(&self, name: &ObjectName) -> Result<(), StoreError> {
        self.inner.delete(name).await
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.inner.probe().await
    }
}

/// A store with an unreadable object, permanently or for the first few reads.
pub(in crate::app) struct BadSector {
    pub(in crate::app) inner: Arc<dyn ObjectStore>,
    pub(in crate::app) object: ObjectName,
    /// The number of reads that fail before the first success.
    pub(in crate::app) left: AtomicU64,
    /// True if probes of the store succeed.
    pub(in crate::app) is_probed: bool,
}

impl BadSector {
    fn check(&self, name: &ObjectName) -> Result<(), StoreError> {
        let less = |left: u64| left.checked_sub(1);
        if *name != self.object
            || self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_err()
        {
            return Ok(());
        }
        Err(StoreError::io("read", name.path(), std::io::Error::from_raw_os_error(EIO)))
    }
}

const EIO: i32 = 5;

#[async_trait::async_trait]
#[deny(clippy::missing_trait_methods)]
impl ObjectStore for BadSector {
    async fn put(&self, name: &ObjectName, bytes: Bytes) -> Result<Put, StoreError> {
        self.inner.put(name, bytes).await
    }

    async fn replace(&self, name: &ObjectName, bytes: Bytes) -> Result<(), StoreError> {
        self.inner.replace(name, bytes).await
    }

    async fn get(&self, name: &ObjectName) -> Result<Bytes, StoreError> {
        self.check(name)?;
        self.inner.get(name).await
    }

    async fn open(&self, name: &ObjectName) -> Result<Arc<dyn OpenObject>, StoreError> {
        self.check(name)?;
        self.inner.open(name).await
    }

    async fn len(&self, name: &ObjectName) -> Result<Option<u64>, StoreError> {
        self.inner.len(name).await
    }

    fn list(&self, kind: ObjectKind) -> Listing<'_> {
        self.inner.list(kind)
    }

    async fn delete(&self, name: &ObjectName) -> Result<(), StoreError> {
        self.inner.delete(name).await
    }

    async fn probe(&self) -> Result<(), StoreError> {
        if self.is_probed {
            return self.inner.probe().await;
        }
        Err(StoreError::io("write", "probe", std::io::Error::from_raw_os_error(EIO)))
    }
}

pub(super) fn broken() -> std::io::Error {
    std::io::Error::other("injected")
}
