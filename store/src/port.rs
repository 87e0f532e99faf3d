//! The traits through which the engine reaches bytes at rest, and their values.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::BoxStream;

use crate::error::StoreError;
pub use crate::kind::{ObjectKind, ObjectName};

/// The outcome of a `put`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Put {
    /// The object is new.
    Created,
    /// An object of this name existed; its bytes were left as they are.
    AlreadyPresent,
}

/// The behaviour of a backend for a write on the condition that the object is absent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Conditions {
    /// The backend refuses the write if the object is there.
    Honoured,
    /// The backend replaces the object.
    Ignored,
}

impl Conditions {
    /// Returns the word for logs and reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Honoured => "honoured",
            Self::Ignored => "ignored",
        }
    }
}

/// The known behaviour of a bucket's service.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BucketState {
    /// The behaviour for conditional writes; `None` if it was not tried.
    pub conditions: Option<Conditions>,
    /// The retries of failed requests.
    pub retries: RetryTally,
}

/// The number of requests that failed in a way that a retry may mend.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RetryTally {
    /// Requests sent again.
    pub sent: u64,
    /// Requests not sent again, because the budget of retries was spent.
    pub refused: u64,
    /// Answers that told to send fewer requests.
    pub throttled: u64,
}

/// An object opened for reading.
#[async_trait::async_trait]
// No `is_empty`: no object is empty.
#[allow(clippy::len_without_is_empty)]
pub trait OpenObject: Send + Sync {
    /// Returns the object's length in bytes at the time of opening.
    fn len(&self) -> u64;
    /// Returns the length of the reads that suit the backend, in bytes, for callers that read a
    /// long range in pieces.
    fn piece_len(&self) -> u64;
    /// Returns an address from which the holder may read the object for a while without
    /// credentials; `None` if readers are not sent there.
    async fn link(&self) -> Result<Option<String>, StoreError>;
    /// Reads a range of bytes. Fails with [`StoreError::Range`] if the range lies outside the
    /// object, or does by now because the object was cut.
    async fn read(&self, range: Range<u64>) -> Result<Bytes, StoreError>;
}

/// The names of the objects of a kind, in no particular order, as the backend finds them.
pub type Listing<'a> = BoxStream<'a, Result<ObjectName, StoreError>>;

/// A store of immutable objects, by name.
///
/// # Contract (`testing::conformance` checks every backend and layer)
///
/// 1. When `put` returns, the object survives loss of power; before, it is absent or whole.
/// 2. `put` never replaces: the first bytes under a name stay. `replace` does, atomically.
/// 3. Reads return the bytes as they were put, or fail. Checking bytes against their digest is the
///    caller's task.
/// 4. A listing names every object that was there before the listing began and is not deleted
///    before the listing ends, once. An object that is put meanwhile may be named or not.
#[async_trait::async_trait]
pub trait ObjectStore: Send + Sync + 'static {
    /// Stores `bytes` under `name`, unless the name is taken.
    async fn put(&self, name: &ObjectName, bytes: Bytes) -> Result<Put, StoreError>;
    /// Stores `bytes` under `name`, over a damaged object if there is one.
    async fn replace(&self, name: &ObjectName, bytes: Bytes) -> Result<(), StoreError>;
    /// Returns an object's bytes. Fails with [`StoreError::Missing`] if there is no such object.
    async fn get(&self, name: &ObjectName) -> Result<Bytes, StoreError>;
    /// Opens an object for reads of ranges. Fails with [`StoreError::Missing`] if there is no such
    /// object.
    async fn open(&self, name: &ObjectName) -> Result<Arc<dyn OpenObject>, StoreError>;
    /// Returns an object's length in bytes, `None` if there is no such object.
    async fn len(&self, name: &ObjectName) -> Result<Option<u64>, StoreError>;
    /// Lists the objects of a kind.
    fn list(&self, kind: ObjectKind) -> Listing<'_>;
    /// Removes an object. A missing object is not an error.
    async fn delete(&self, name: &ObjectName) -> Result<(), StoreError>;
    /// Checks that the store can be read and written, for readiness checks.
    async fn probe(&self) -> Result<(), StoreError>;
}
