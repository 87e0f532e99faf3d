//! Why a repair could not be done at all.

use crate::directory::LockError;
use crate::error::{ErrorKind, Failure};
use crate::host::HostError;
use crate::registry::RegistryError;

/// Why a repair could not be done at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepairError {
    /// The damaged registry failed or refused.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A directory that was to be a source does not say what it holds.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// It cannot be opened.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A thread ended without a word.
    #[error("the repair stopped for a reason it cannot name; this is a defect of seawall")]
    Defect,
}

impl Failure for RepairError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Registry(error) => error.kind(),
            Self::Lock(error) => error.kind(),
            Self::Host(error) => error.kind(),
            Self::Defect => ErrorKind::Internal,
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::Registry(error) => error.remedy(),
            Self::Lock(error) => error.remedy(),
            Self::Host(error) => error.remedy(),
            Self::Defect => None,
        }
    }
}
