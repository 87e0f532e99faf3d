//! The ways to the files of a depot.

mod files;
mod web;

use std::ops::Range;

use bytes::Bytes;
use seawall_store::backend::Listed;

pub use files::StoredFiles;
pub use web::Web;

use crate::registry::RegistryError;

/// The files of a depot, to read.
#[async_trait::async_trait]
pub trait Medium: Send + Sync {
    /// Returns the address of the depot, for messages.
    fn address(&self) -> &str;
    /// Returns a file's bytes, `None` if there is no such file. Fails past `len_max` bytes.
    async fn read(&self, path: &str, len_max: u64) -> Result<Option<Bytes>, RegistryError>;
    /// Returns exactly a range of a file.
    async fn range(&self, path: &str, range: Range<u64>) -> Result<Bytes, RegistryError>;
}

/// The files of a depot, to read and write.
#[async_trait::async_trait]
pub trait Writable: Medium {
    /// Writes a file, over an earlier one if there is one. The file is complete or not there.
    async fn write(&self, path: &str, bytes: Bytes) -> Result<(), RegistryError>;
    /// Removes a file. A missing file is not an error.
    async fn remove(&self, path: &str) -> Result<(), RegistryError>;
    /// Lists all files below a folder.
    async fn list(&self, folder: &str) -> Result<Vec<Listed>, RegistryError>;
}
