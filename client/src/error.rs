//! What the caller of any flow or port can do about a failure.

pub use seawall_store::error::ErrorKind;

use crate::host::HostError;
use crate::registry::RegistryError;

/// What every flow's error can say of itself.
pub trait Failure: std::error::Error {
    /// What the caller can do about it.
    fn kind(&self) -> ErrorKind;
    /// The next step, printed on a line of its own.
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
