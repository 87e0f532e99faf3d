//! A backend as a tree of files by path, for places that hold more than a store's objects.
//!
//! A store never replaces an object. A depot (docs/FORMAT.md) keeps small documents beside the
//! objects, and replaces them.

use std::ops::Range;
use std::time::SystemTime;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::{ObjectMeta, ObjectStoreExt};

use super::bucket::is_beyond_the_end;
use super::calls::{self, failed, location, outside, within};
use super::{Bucket, Directory};
use crate::error::StoreError;

/// A file found by a listing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    /// The path from the root.
    pub path: String,
    /// The length in bytes.
    pub len: u64,
    /// The time of the last write, by the clock of the backend.
    pub modified: SystemTime,
}

/// A tree of files.
///
/// # Contract
///
/// 1. When `write` returns, the file survives loss of power; before, its old bytes or its new ones
///    are there, whole.
/// 2. A path is made of names joined by `/`, of letters, digits, `-`, `_`, `.` and `@`.
#[async_trait::async_trait]
pub trait Files: Send + Sync + 'static {
    /// Returns a file's bytes, `None` if there is no such file. Fails with
    /// [`StoreError::Damaged`] if the file has more than `len_max` bytes.
    async fn read(&self, path: &str, len_max: u64) -> Result<Option<Bytes>, StoreError>;
    /// Returns exactly a range of a file. Fails with [`StoreError::Range`] if the range lies
    /// outside.
    async fn read_range(&self, path: &str, range: Range<u64>) -> Result<Bytes, StoreError>;
    /// Writes a file, over an earlier one if there is one.
    async fn write(&self, path: &str, bytes: Bytes) -> Result<(), StoreError>;
    /// Removes a file. A missing file is not an error.
    async fn remove(&self, path: &str) -> Result<(), StoreError>;
    /// Lists all files below a folder, in no particular order.
    async fn list(&self, folder: &str) -> Result<Vec<Listed>, StoreError>;
}

fn too_long(path: &str) -> StoreError {
    StoreError::Damaged { object: path.to_owned() }
}

fn listed(meta: ObjectMeta) -> Listed {
    let ObjectMeta { location, size, last_modified, .. } = meta;
    Listed { path: location.to_string(), len: size, modified: last_modified.into() }
}

#[async_trait::async_trait]
impl Files for Directory {
    async fn read(&self, path: &str, len_max: u64) -> Result<Option<Bytes>, StoreError> {
        match calls::len(self.backend(), path).await? {
            None => return Ok(None),
            Some(len) if len > len_max => return Err(too_long(path)),
            Some(_) => {}
        }
        match calls::get(self.backend(), path).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(StoreError::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn read_range(&self, path: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        let Some(len) = calls::len(self.backend(), path).await? else {
            return Err(StoreError::Missing { object: path.to_owned() });
        };
        within(&range, len, path)?;
        let read = self.backend().get_range(&location(path), range.clone()).await;
        let bytes = read.map_err(|source| failed("read", path.to_owned(), source))?;
        exactly(bytes, &range, path)
    }

    async fn write(&self, path: &str, bytes: Bytes) -> Result<(), StoreError> {
        calls::write(self.backend(), "write", path, bytes).await
    }

    async fn remove(&self, path: &str) -> Result<(), StoreError> {
        calls::delete(self.backend(), path).await
    }

    async fn list(&self, folder: &str) -> Result<Vec<Listed>, StoreError> {
        let found: Result<Vec<_>, _> =
            self.backend().list(Some(&location(folder))).map_ok(listed).try_collect().await;
        found.map_err(|source| failed("list", folder.to_owned(), source))
    }
}

#[async_trait::async_trait]
impl Files for Bucket {
    async fn read(&self, path: &str, len_max: u64) -> Result<Option<Bytes>, StoreError> {
        let bytes = match self.read_whole(path, len_max).await {
            Ok(bytes) => bytes,
            Err(source) => match failed("read", path.to_owned(), source) {
                StoreError::Missing { .. } => return Ok(None),
                error => return Err(error),
            },
        };
        // Replaced meanwhile, or too long.
        bytes.map(Some).ok_or_else(|| too_long(path))
    }

    async fn read_range(&self, path: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        match self.part(path, range.clone()).await {
            Ok(part) => exactly(part.bytes, &range, path),
            Err(error) if is_beyond_the_end(&error) => Err(outside(&range, path)),
            Err(source) => Err(failed("read", path.to_owned(), source)),
        }
    }

    async fn write(&self, path: &str, bytes: Bytes) -> Result<(), StoreError> {
        calls::write(self.backend(), "write", path, bytes).await
    }

    async fn remove(&self, path: &str) -> Result<(), StoreError> {
        calls::delete(self.backend(), path).await
    }

    async fn list(&self, folder: &str) -> Result<Vec<Listed>, StoreError> {
        let found: Result<Vec<_>, _> =
            self.pages(location(folder), None).map_ok(listed).try_collect().await;
        found.map_err(|source| failed("list", folder.to_owned(), source))
    }
}

/// Fails if a backend returned another number of bytes than was asked for.
fn exactly(bytes: Bytes, range: &Range<u64>, path: &str) -> Result<Bytes, StoreError> {
    if bytes.len() as u64 == range.end.saturating_sub(range.start) {
        Ok(bytes)
    } else {
        Err(outside(range, path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(files: &dyn Files) {
        assert_eq!(files.read("a/@x", 9).await.unwrap(), None);
        for text in ["one", "longer"] {
            files.write("a/@x", Bytes::from_static(text.as_bytes())).await.unwrap();
            assert_eq!(files.read("a/@x", 6).await.unwrap().unwrap(), text);
        }
        let error = files.read("a/@x", 5).await.unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
        assert_eq!(files.read_range("a/@x", 2..6).await.unwrap(), "nger");
        for range in [2..7, 6..8, 20..30] {
            let error = files.read_range("a/@x", range).await.unwrap_err();
            assert!(matches!(error, StoreError::Range { .. }), "{error:?}");
        }
        let error = files.read_range("a/y", 0..1).await.unwrap_err();
        assert!(matches!(error, StoreError::Missing { .. }), "{error:?}");
        files.write("a/b/c", Bytes::from_static(b"x")).await.unwrap();
        files.write("ab", Bytes::from_static(b"x")).await.unwrap();
        let mut found = files.list("a").await.unwrap();
        found.sort_by(|x, y| x.path.cmp(&y.path));
        let found: Vec<_> = found.iter().map(|it| (it.path.as_str(), it.len)).collect();
        assert_eq!(found, [("a/@x", 6), ("a/b/c", 1)]);
        for _ in 0..2 {
            files.remove("a/@x").await.unwrap();
        }
        assert_eq!(files.read("a/@x", 9).await.unwrap(), None);
    }

    #[tokio::test]
    async fn files_are_read_written_listed_and_removed() {
        let root = tempfile::tempdir().unwrap();
        check(&Directory::open(root.path()).unwrap()).await;
        check(&Bucket::in_memory()).await;
    }
}
