//! Describe: writes descriptors for a host into a pulled directory, without touching its disks.

use std::path::{Path, PathBuf};

use crate::deploy::DescriptorTarget;
use crate::directory::{self, Described, Directory, LockError, Lockfile};
use crate::error::{ErrorKind, Failure};
use crate::host::HostError;
use crate::patch;

/// An error of describing a directory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DescribeError {
    /// The directory has no valid lockfile.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A file cannot be written, or the path cannot be expressed in a descriptor.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The directory holds an unfinished patch.
    #[error("{} is between two releases: a patch was interrupted", directory.display())]
    InProgress {
        /// The directory.
        directory: PathBuf,
    },
}

impl Failure for DescribeError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Lock(error) => error.kind(),
            Self::Host(error) => error.kind(),
            Self::InProgress { .. } => ErrorKind::Conflict,
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::Lock(error) => error.remedy(),
            Self::Host(error) => error.remedy(),
            Self::InProgress { .. } => Some("run `seawall patch` again to complete it".to_owned()),
        }
    }
}

/// Writes descriptors for these hosts, and rewrites the existing ones.
///
/// # Errors
/// Fails if the directory holds no release or an unfinished patch, or a file cannot be written.
pub fn describe(
    root: &Path,
    targets: &[DescriptorTarget],
) -> Result<Vec<Described>, DescribeError> {
    if !root.is_dir() {
        return Err(LockError::missing(root).into());
    }
    let directory = Directory::open(root)?;
    if patch::is_interrupted(&directory) {
        return Err(DescribeError::InProgress { directory: root.to_owned() });
    }
    let (lock, release) = Lockfile::of_folder(directory.folder())?;
    let lock = lock.described_for(targets);
    let described = directory::describe(directory.root(), &release, &lock)?;
    directory.describe(directory.root(), &release, &lock)?;
    Ok(Described::of(directory.root(), described))
}
