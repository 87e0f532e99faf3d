//! The files of a depot behind any web server, to read.

use std::ops::Range;

use bytes::Bytes;

use super::Medium;
use crate::depot::DepotError;
use crate::error::ErrorKind;
use crate::registry::{HttpRegistry, RegistryError};

/// The files of a depot behind a web server.
pub struct Web {
    server: HttpRegistry,
}

impl From<HttpRegistry> for Web {
    /// Uses the connections, the token and the retries of `server`.
    fn from(server: HttpRegistry) -> Self {
        Self { server }
    }
}

#[async_trait::async_trait]
impl Medium for Web {
    fn address(&self) -> &str {
        self.server.url()
    }

    async fn read(&self, path: &str, len_max: u64) -> Result<Option<Bytes>, RegistryError> {
        match self.server.file(path, len_max).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn range(&self, path: &str, range: Range<u64>) -> Result<Bytes, RegistryError> {
        let address = || self.address().to_owned();
        match self.server.file_range(path, range).await {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => Err(DepotError::NoRanges { address: address() }.into()),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Err(DepotError::Gone { address: address(), object: path.to_owned() }.into())
            }
            Err(error) => Err(error),
        }
    }
}
