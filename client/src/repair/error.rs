//! Errors of a repair.

use crate::directory::LockError;
use crate::error::{ErrorKind, Failure};
use crate::host::HostError;
use crate::registry::RegistryError;

/// An error of a repair as a whole.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepairError {
    /// The damaged registry failed or refused.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A source directory has no valid lockfile.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A source directory cannot be opened.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A thread panicked.
    #[error("the repair stopped unexpectedly; this is a defect of seawall")]
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
