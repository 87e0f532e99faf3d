//! The common interface of all flows' errors.

use std::sync::Arc;

pub use seawall_store::error::ErrorKind;
use seawall_store::read::ReadError;

use crate::host::HostError;
use crate::registry::RegistryError;

/// The interface of every flow's error.
pub trait Failure: std::error::Error {
    /// Returns the kind of the error.
    fn kind(&self) -> ErrorKind;
    /// Returns the next step for the user, printed on a line of its own.
    fn remedy(&self) -> Option<String>;
}

impl Failure for RegistryError {
    fn kind(&self) -> ErrorKind {
        self.kind()
    }

    fn remedy(&self) -> Option<String> {
        self.remedy()
    }
}

impl<F: Failure> Failure for Arc<F> {
    fn kind(&self) -> ErrorKind {
        self.as_ref().kind()
    }

    fn remedy(&self) -> Option<String> {
        self.as_ref().remedy()
    }
}

impl Failure for ReadError {
    fn kind(&self) -> ErrorKind {
        self.kind()
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::Source(error) => error.cause().and_then(RegistryError::remedy),
            _ if self.kind() == ErrorKind::Damaged => Some(
                "the registry's store is damaged: run `seawall verify` on the release, then \
                 restore the pack or pull from another registry"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

impl Failure for HostError {
    fn kind(&self) -> ErrorKind {
        self.kind()
    }

    fn remedy(&self) -> Option<String> {
        self.remedy()
    }
}

#[cfg(test)]
mod tests;
