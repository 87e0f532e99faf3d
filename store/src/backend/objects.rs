//! Objects behind any `object_store`: a local directory today.
//!
//! # Invariants
//!
//! 1. An object under its path is complete: the directory writes elsewhere, syncs, and links in.
//! 2. No object is ever opened for writing after it has its path, so readers take no lock.
//!
//! # At the same time
//!
//! | running ↓ / starting → | `get` | `put` | `delete` |
//! |---|---|---|---|
//! | `get` | free | free | an open file stays readable |
//! | `put` | free | one links, the other finds it present | last one decides; callers hold a lease |
//! | `delete` | sees it or `Missing` | as above | one removes, the other finds nothing |
//!
//! # After a crash
//!
//! Staged files whose name ends in `#` and a number are garbage; listings never show them.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::{Error, ObjectStore as Backend, ObjectStoreExt, PutMode, path};

use crate::error::StoreError;
use crate::port::{ObjectKind, ObjectName, ObjectStore, Put};

/// An [`ObjectStore`] over a backend of the `object_store` crate.
#[derive(Debug, Clone)]
pub struct Objects {
    backend: Arc<dyn Backend>,
}

/// Opens the directory at `root`, which must exist, as a store.
///
/// # Errors
/// When it is not a readable directory.
pub fn directory(root: &Path) -> Result<Objects, StoreError> {
    let backend = LocalFileSystem::new_with_prefix(root)
        .map_err(|source| failed("open", root.display().to_string(), source))?
        // Off by default. Without it a push that was answered can lose packs when the power goes.
        .with_fsync(true);
    Ok(Objects { backend: Arc::new(backend) })
}

/// A store in memory, for tests.
#[must_use]
pub fn memory() -> Objects {
    Objects { backend: Arc::new(InMemory::new()) }
}

fn failed(verb: &'static str, object: String, source: Error) -> StoreError {
    match source {
        Error::NotFound { .. } => StoreError::Missing { object },
        source => StoreError::Backend { verb, object, source },
    }
}

#[async_trait::async_trait]
impl ObjectStore for Objects {
    async fn put(&self, name: &ObjectName, bytes: Bytes) -> Result<Put, StoreError> {
        let path = name.path();
        match self.backend.put_opts(&location(&path), bytes.into(), PutMode::Create.into()).await {
            Ok(_) => Ok(Put::Created),
            Err(Error::AlreadyExists { .. }) => Ok(Put::AlreadyPresent),
            Err(source) => Err(failed("write", path, source)),
        }
    }

    async fn get(&self, name: &ObjectName) -> Result<Bytes, StoreError> {
        let path = name.path();
        let answer = match self.backend.get(&location(&path)).await {
            Ok(answer) => answer.bytes().await,
            Err(source) => Err(source),
        };
        answer.map_err(|source| failed("read", path, source))
    }

    async fn get_range(&self, name: &ObjectName, range: Range<u64>) -> Result<Bytes, StoreError> {
        let path = name.path();
        let outside = |object| StoreError::Range { object, start: range.start, end: range.end };
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        match self.backend.get_range(&location(&path), range.clone()).await {
            Ok(bytes) if bytes.len() as u64 == range.end - range.start => Ok(bytes),
            // Backends clip a range that begins inside; ours never answers with less than asked.
            Ok(_) => Err(outside(path)),
            // Backends word it differently, so the object itself is asked whether that was it.
            Err(source) => match self.len(name).await {
                Ok(Some(len)) if len < range.end => Err(outside(path)),
                _ => Err(failed("read", path, source)),
            },
        }
    }

    async fn len(&self, name: &ObjectName) -> Result<Option<u64>, StoreError> {
        let path = name.path();
        match self.backend.head(&location(&path)).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(failed("inspect", path, source)),
        }
    }

    async fn list(&self, kind: ObjectKind) -> Result<Vec<ObjectName>, StoreError> {
        let folder = path::Path::from(kind.folder());
        let mut objects = self.backend.list(Some(&folder));
        let mut names = Vec::new();
        while let Some(next) = std::future::poll_fn(|cx| objects.as_mut().poll_next(cx)).await {
            let meta = next.map_err(|source| failed("list", kind.folder().to_owned(), source))?;
            names.extend(ObjectName::from_path(kind, meta.location.as_ref()));
        }
        Ok(names)
    }

    async fn delete(&self, name: &ObjectName) -> Result<(), StoreError> {
        let path = name.path();
        match self.backend.delete(&location(&path)).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(failed("delete", path, source)),
        }
    }

    async fn probe(&self) -> Result<(), StoreError> {
        let object = "a probe of the store".to_owned();
        let place = path::Path::from("probe");
        let write = self.backend.put(&place, Bytes::from_static(b"seawall").into()).await;
        write.map(|_| ()).map_err(|source| failed("write", object, source))
    }
}

/// A path we made: its parts are names and hexadecimal digits, so nothing in it is escaped.
fn location(path: &str) -> path::Path {
    path::Path::from(path)
}
