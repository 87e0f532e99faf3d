//! Small objects beside those of the store, each under a path of its own.
//!
//! A listing never shows them, so no collection and no check takes them for content.

use bytes::Bytes;
use object_store::{Error, ObjectStore as Backend};

use super::calls::{self, failed};
use super::{Bucket, Directory};
use crate::error::StoreError;

impl Bucket {
    /// Returns the bytes of a marker, `None` if there is none.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub async fn marker(&self, path: &str) -> Result<Option<Bytes>, StoreError> {
        get(self.backend(), path).await
    }

    /// Writes a marker unless it is there. Two writers at once may both write: a caller reads back
    /// which one won.
    ///
    /// # Errors
    /// Fails if the store cannot be written.
    pub async fn put_marker(&self, path: &str, bytes: Bytes) -> Result<(), StoreError> {
        put(self.backend(), path, bytes).await
    }

    /// Removes a marker. A missing one is not an error.
    ///
    /// # Errors
    /// Fails if the store cannot be written.
    pub async fn remove_marker(&self, path: &str) -> Result<(), StoreError> {
        calls::delete(self.backend(), path).await
    }
}

impl Directory {
    /// Returns the bytes of a marker, `None` if there is none.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub async fn marker(&self, path: &str) -> Result<Option<Bytes>, StoreError> {
        get(self.backend(), path).await
    }

    /// Writes a marker unless it is there.
    ///
    /// # Errors
    /// Fails if the store cannot be written.
    pub async fn put_marker(&self, path: &str, bytes: Bytes) -> Result<(), StoreError> {
        put(self.backend(), path, bytes).await
    }

    /// Removes a marker. A missing one is not an error.
    ///
    /// # Errors
    /// Fails if the store cannot be written.
    pub async fn remove_marker(&self, path: &str) -> Result<(), StoreError> {
        calls::delete(self.backend(), path).await
    }
}

async fn get(backend: &dyn Backend, path: &str) -> Result<Option<Bytes>, StoreError> {
    match calls::get(backend, path).await {
        Ok(bytes) => Ok(Some(bytes)),
        Err(StoreError::Missing { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn put(backend: &dyn Backend, path: &str, bytes: Bytes) -> Result<(), StoreError> {
    match calls::create(backend, path, bytes.clone()).await {
        Ok(_) => Ok(()),
        // Taken at its word, a service that is wrong here would lose the marker.
        Err(Error::AlreadyExists { .. }) if get(backend, path).await?.is_none() => {
            calls::write(backend, "write", path, bytes).await
        }
        Err(Error::AlreadyExists { .. }) => Ok(()),
        Err(source) => Err(failed("write", path.to_owned(), source)),
    }
}
