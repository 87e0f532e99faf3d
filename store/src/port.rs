//! The traits through which the engine reaches bytes at rest, nothing else.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use seawall_api::digest::{DescriptorDigest, IndexDigest, LeafDigest, PackDigest, ReleaseDigest};

use crate::error::StoreError;

/// The name of an object at rest. Its path is a function of the name alone ([`ObjectName::path`]).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum ObjectName {
    /// An immutable set of compressed chunks.
    Pack(PackDigest),
    /// The list of a disk index.
    Index(IndexDigest),
    /// A leaf of a disk index.
    Leaf(LeafDigest),
    /// A release document.
    Release(ReleaseDigest),
    /// An original descriptor.
    Descriptor(DescriptorDigest),
    /// What the catalog's owner keeps beside the bytes so that they alone rebuild it: a path of
    /// names joined by `/`, each proven by its type.
    Name(String),
}

/// The kinds of objects, to list them by.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)] // as in `ObjectName`
pub enum ObjectKind {
    Pack,
    Index,
    Leaf,
    Release,
    Descriptor,
    Name,
}

/// What a `put` did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Put {
    /// The object is new.
    Created,
    /// An object of that name was there; its bytes were left as they are.
    AlreadyPresent,
}

/// An object that is open for reading.
#[async_trait::async_trait]
// Not `is_empty`: no object is, and nobody asks.
#[allow(clippy::len_without_is_empty)]
pub trait OpenObject: Send + Sync {
    /// Its length in bytes when it was opened.
    fn len(&self) -> u64;
    /// Some of its bytes; [`StoreError::Range`] when they do not lie in it, or no longer do.
    async fn read(&self, range: Range<u64>) -> Result<Bytes, StoreError>;
}

/// Keeps immutable objects by name.
///
/// # Contract (`testing::conformance` holds every backend and layer to it)
///
/// 1. When `put` returns, the object survives loss of power; before that it is absent or whole.
/// 2. `put` never replaces: the first bytes of a name stay. `replace` does, in one step.
/// 3. Bytes come back as they were put, or the call fails; whether they match their digest is for
///    the caller to prove.
#[async_trait::async_trait]
pub trait ObjectStore: Send + Sync + 'static {
    /// Keeps `bytes` under `name`.
    async fn put(&self, name: &ObjectName, bytes: Bytes) -> Result<Put, StoreError>;
    /// Keeps `bytes` under `name` in place of what may be there, which was found to be damaged.
    async fn replace(&self, name: &ObjectName, bytes: Bytes) -> Result<(), StoreError>;
    /// All bytes of an object; [`StoreError::Missing`] where there is none.
    async fn get(&self, name: &ObjectName) -> Result<Bytes, StoreError>;
    /// Opens an object, to read parts of it; [`StoreError::Missing`] where there is none.
    async fn open(&self, name: &ObjectName) -> Result<Arc<dyn OpenObject>, StoreError>;
    /// Length of an object in bytes, `None` where there is none.
    async fn len(&self, name: &ObjectName) -> Result<Option<u64>, StoreError>;
    /// Every object of a kind, in no particular order.
    async fn list(&self, kind: ObjectKind) -> Result<Vec<ObjectName>, StoreError>;
    /// Removes an object; removing what is not there is not an error.
    async fn delete(&self, name: &ObjectName) -> Result<(), StoreError>;
    /// Proves that the store can be read and written; for readiness checks.
    async fn probe(&self) -> Result<(), StoreError>;
}
