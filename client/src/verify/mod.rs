//! Verify: everything is read and hashed again; nothing that was believed before is believed now.
//!
//! Of a directory, the disks are scanned as a push scans them and must give the very index that
//! the lockfile names. Of a release in a registry, every chunk of every disk is fetched, decoded
//! and hashed, and the leaves' subtree values are computed anew: what the registry took on a
//! publisher's word (docs/adr/0006) is proven here.
//!
//! A disk of a directory that differs and was written to since it was pulled is `modified`: a guest
//! did that. One that differs and was not is damaged.
//!
//! Damage does not stop it: all of it is listed.

mod directory;
mod release;
mod report;

use std::fmt;
use std::path::PathBuf;

use seawall_store::scan::ScanError;

pub use directory::verify_dir;
pub use release::{VerifyRelease, verify_release};
pub use report::{Damage, DiskState, VerifiedDisk, VerifyReport};

use crate::directory::LockError;
use crate::error::{ErrorKind, Failure};
use crate::host::HostError;
use crate::registry::RegistryError;

/// Why something could not be verified at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The directory does not say what it holds.
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
    /// A disk cannot be scanned.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// A thread ended without a word.
    #[error("the verification stopped for a reason it cannot name; this is a defect of seawall")]
    Defect,
}

/// What a failed read says: damage of `object`, unless the registry cannot or will not answer now.
/// Then nothing is known of the rest, and to list it as lost would be false.
fn damage_of(object: impl fmt::Display, error: RegistryError) -> Result<Damage, VerifyError> {
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
            Self::InProgress { .. } => {
                Some("run the same `seawall patch` again: it goes on where it ended".to_owned())
            }
            Self::Scan(error) => error.remedy(),
            Self::Defect => None,
        }
    }
}
