//! The files of a depot in a directory or in a bucket.

use std::ops::Range;

use bytes::Bytes;
use seawall_store::backend::{Files, Listed};
use seawall_store::error::StoreError;

use super::{Medium, Writable};
use crate::depot::DepotError;
use crate::registry::RegistryError;

/// The files of a depot in a backend of the store.
pub struct StoredFiles {
    files: Box<dyn Files>,
    address: String,
}

impl StoredFiles {
    /// Names the backend for messages.
    pub fn new(files: impl Files, address: impl Into<String>) -> Self {
        Self { files: Box::new(files), address: address.into() }
    }

    fn failed(&self, source: StoreError) -> RegistryError {
        let address = self.address.clone();
        match source {
            StoreError::Missing { object } => DepotError::Gone { address, object }.into(),
            StoreError::Damaged { object } => DepotError::Document {
                address,
                document: object,
                why: "it is longer than it may be, or changed while it was read".to_owned(),
            }
            .into(),
            StoreError::Range { object, .. } => {
                let (document, why) = (object, "it is shorter than the depot says".to_owned());
                DepotError::Document { address, document, why }.into()
            }
            source => DepotError::Files { address, source }.into(),
        }
    }
}

#[async_trait::async_trait]
impl Medium for StoredFiles {
    fn address(&self) -> &str {
        &self.address
    }

    async fn read(&self, path: &str, len_max: u64) -> Result<Option<Bytes>, RegistryError> {
        self.files.read(path, len_max).await.map_err(|error| self.failed(error))
    }

    async fn range(&self, path: &str, range: Range<u64>) -> Result<Bytes, RegistryError> {
        self.files.read_range(path, range).await.map_err(|error| self.failed(error))
    }
}

#[async_trait::async_trait]
impl Writable for StoredFiles {
    async fn write(&self, path: &str, bytes: Bytes) -> Result<(), RegistryError> {
        self.files.write(path, bytes).await.map_err(|error| self.failed(error))
    }

    async fn remove(&self, path: &str) -> Result<(), RegistryError> {
        self.files.remove(path).await.map_err(|error| self.failed(error))
    }

    async fn list(&self, folder: &str) -> Result<Vec<Listed>, RegistryError> {
        self.files.list(folder).await.map_err(|error| self.failed(error))
    }
}
