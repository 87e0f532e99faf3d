//! Errors of a resolution.

use std::path::PathBuf;

use crate::directory::LockError;
use crate::error::{ErrorKind, Failure};
use crate::host::HostError;
use crate::registry::RegistryError;

/// An error of a resolution.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// The registry failed or refused.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// An index or a leaf cannot be stored on this host.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A lockfile cannot be used.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The requested lockfile does not exist.
    #[error("there is no lockfile {}", path.display())]
    NoLockfile {
        /// The path of the lockfile.
        path: PathBuf,
    },
    /// The lockfile names another application or version.
    #[error("{} locks {locked}", path.display())]
    LockedElsewhere {
        /// The lockfile.
        path: PathBuf,
        /// The application and version in the lockfile.
        locked: String,
    },
    /// An index does not describe the disk named by the release.
    #[error("the index of {disk} describes other bytes than the release does")]
    WrongIndex {
        /// Machine and disk.
        disk: String,
    },
}

impl Failure for ResolveError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Registry(error) => error.kind(),
            Self::Host(error) => error.kind(),
            Self::Lock(error) => error.kind(),
            Self::NoLockfile { .. } => ErrorKind::NotFound,
            Self::LockedElsewhere { .. } => ErrorKind::Conflict,
            Self::WrongIndex { .. } => ErrorKind::Damaged,
        }
    }

    fn remedy(&self) -> Option<String> {
        let text = match self {
            Self::Registry(error) => return error.remedy(),
            Self::Host(error) => return error.remedy(),
            Self::Lock(error) => return error.remedy(),
            Self::NoLockfile { .. } => {
                "name the lockfile with --lockfile FILE, or pull without --locked"
            }
            Self::LockedElsewhere { .. } => {
                "pull without --locked to use the current release of the reference"
            }
            Self::WrongIndex { .. } => return None,
        };
        Some(text.to_owned())
    }
}
