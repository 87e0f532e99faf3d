//! Errors of a fetch.

use std::sync::Arc;

use seawall_store::read::ReadError;

use crate::error::{ErrorKind, Failure};
use crate::host::HostError;

/// An error of a fetch.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// A chunk could not be read from the registry.
    #[error(transparent)]
    Read(#[from] Arc<ReadError>),
    /// A chunk could not be stored locally.
    #[error(transparent)]
    Host(#[from] HostError),
}

impl Failure for FetchError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Read(error) => error.kind(),
            Self::Host(error) => error.kind(),
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::Read(error) => error.remedy(),
            Self::Host(error) => error.remedy(),
        }
    }
}
