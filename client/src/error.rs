//! The common interface of all flows' errors.

pub use seawall_store::error::ErrorKind;

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
