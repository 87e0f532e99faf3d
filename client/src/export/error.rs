//! The errors of exports.

use std::io;
use std::sync::Arc;

use seawall_store::image::convert::ConvertError;
use seawall_store::new_file::NewFileError;
use seawall_store::read::ReadError;

use crate::error::{ErrorKind, Failure};
use crate::host::HostError;
use crate::registry::RegistryError;
use crate::resolve::ResolveError;
use crate::room::NoRoom;

/// The reason an export failed. A failed export leaves no new file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The registry failed or refused.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The release cannot be resolved.
    #[error(transparent)]
    Resolve(ResolveError),
    /// Chunks could not be fetched during a read of a disk.
    #[error("cannot read a disk of the release")]
    Read(#[source] Arc<ReadError>),
    /// A file of this host cannot be used.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A disk or its file cannot be written.
    #[error(transparent)]
    Convert(#[from] ConvertError),
    /// The file system has too little free space for the output.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// The release has no such machine or disk.
    #[error("{release} has no {what}; it has {known}")]
    NoSuch {
        /// The release.
        release: String,
        /// The requested machine or disk.
        what: String,
        /// The names of the existing machines or disks.
        known: String,
    },
    /// The registry's index describes another disk.
    #[error("the registry's index of {disk} describes another disk")]
    WrongIndex {
        /// The disk.
        disk: String,
    },
    /// The name is not allowed in a package.
    #[error("a package cannot hold a file of that name")]
    Name(#[source] io::Error),
    /// A thread of the export ended unexpectedly.
    #[error("the export stopped unexpectedly; this is a defect of seawall")]
    Defect,
}

impl From<ResolveError> for ExportError {
    fn from(error: ResolveError) -> Self {
        match error {
            ResolveError::WrongIndex { disk } => Self::WrongIndex { disk },
            error => Self::Resolve(error),
        }
    }
}

impl From<NewFileError> for ExportError {
    fn from(error: NewFileError) -> Self {
        Self::Convert(error.into())
    }
}

impl Failure for ExportError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Registry(error) => error.kind(),
            Self::Resolve(error) => error.kind(),
            Self::Read(error) => error.kind(),
            Self::Host(error) => error.kind(),
            Self::NoRoom(error) => error.kind(),
            Self::NoSuch { .. } => ErrorKind::NotFound,
            Self::WrongIndex { .. } => ErrorKind::Damaged,
            Self::Convert(error) => error.kind(),
            Self::Name(source) => ErrorKind::of_io(source),
            Self::Defect => ErrorKind::Internal,
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::Registry(error) => error.remedy(),
            Self::Resolve(error) => error.remedy(),
            Self::Read(error) => error.remedy(),
            Self::Host(error) => error.remedy(),
            Self::Convert(ConvertError::Exists { .. }) => {
                Some("move it away, or give another place".to_owned())
            }
            Self::Convert(ConvertError::NotForPipes { .. }) => {
                Some("write it to a file: `-o FILE`".to_owned())
            }
            Self::Convert(error) => crate::convert::remedy_of(error),
            Self::NoRoom(error) => error.remedy(),
            Self::WrongIndex { .. } => Some("run `seawall verify` on the release".to_owned()),
            _ => None,
        }
    }
}
