//! Verify: reads and hashes everything again, without relying on earlier results.
//!
//! In a directory, the disks are scanned as in a push and must produce the indexes named in the
//! lockfile. For a release in a registry, every chunk of every disk is fetched, decoded and hashed,
//! and the subtree values of leaves are computed again. This proves the values that the registry
//! accepted from a publisher unchecked (docs/adr/0006).
//!
//! A disk of a directory that differs from its release is `modified` if it was written after the
//! pull, which means by a guest. Otherwise it is damaged.
//!
//! Verification continues after damage and lists all of it.

mod directory;
mod release;
mod report;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use seawall_store::read::ReadError;
use seawall_store::scan::ScanError;

pub use directory::verify_dir;
pub use release::{VerifyRelease, verify_release};
pub use report::{Damage, DiskState, VerifiedDisk, VerifyReport};

use crate::directory::LockError;
use crate::error::{ErrorKind, Failure};
use crate::host::HostError;
use crate::registry::RegistryError;

/// An error that prevents a verification.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The directory has no valid lockfile.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The directory cannot be opened.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A patch of the directory was interrupted.
    #[error("{} is between two releases: a patch was interrupted", directory.display())]
    InProgress {
        /// The directory.
        directory: PathBuf,
    },
    /// The registry failed or refused.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// Chunks cannot be read from the registry.
    #[error(transparent)]
    Read(#[from] Arc<ReadError>),
    /// A disk cannot be scanned.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// A thread panicked.
    #[error("the verification stopped unexpectedly; this is a defect of seawall")]
    Defect,
}

/// Returns a failed read as damage of `object`. Fails if the registry is unavailable or denies
/// access: the state of the object is then unknown, and to report it as lost would be false.
fn damage_of<E: Failure + Into<VerifyError> + 'static>(
    object: impl fmt::Display,
    error: E,
) -> Result<Damage, VerifyError> {
    match error.kind() {
        ErrorKind::Unavailable | ErrorKind::Denied => Err(error.into()),
        _ => Ok(Damage::from_error(object, &error)),
    }
}

impl Failure for VerifyError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Lock(error) => error.kind(),
            Self::Host(error) => error.kind(),
            Self::Registry(error) => error.kind(),
            Self::Read(error) => error.kind(),
            Self::InProgress { .. } => ErrorKind::Conflict,
            Self::Scan(error) => error.kind(),
            Self::Defect => ErrorKind::Internal,
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::Lock(error) => error.remedy(),
            Self::Host(error) => error.remedy(),
            Self::Registry(error) => error.remedy(),
            Self::Read(error) => error.remedy(),
            Self::InProgress { .. } => {
                Some("run the same `seawall patch` again: it resumes".to_owned())
            }
            Self::Scan(error) => error.remedy(),
            Self::Defect => None,
        }
    }
}
