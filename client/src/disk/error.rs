//! Why a disk was not opened.

use std::io;
use std::path::PathBuf;

use seawall_api::units::HumanBytes;
use seawall_store::image::{ImageError, Wrapping};

use crate::error::{ErrorKind, Failure};
use crate::host::ImageLockError;

/// Why a disk was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiskError {
    /// The image cannot be read.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// Another process may write to it.
    #[error(transparent)]
    InUse(ImageLockError),
    /// The compressed bytes are broken off or damaged, or cannot be read.
    #[error("cannot inflate {}, which is compressed by {wrapping}", path.display())]
    Inflate {
        /// The compressed file.
        path: PathBuf,
        /// What it is compressed by.
        wrapping: Wrapping,
        /// Why.
        source: io::Error,
    },
    /// The compressed bytes are more than any disk has.
    #[error("{} inflates to more than {limit} bytes", path.display())]
    TooLong {
        /// The compressed file.
        path: PathBuf,
        /// The longest that is read.
        limit: u64,
    },
    /// What is inflated cannot be written.
    #[error("cannot write to the scratch folder {}", folder.display())]
    Scratch {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is less room than the compressed file has bytes.
    #[error(
        "the scratch folder {} has {} of free space; to inflate the disk takes more than {}",
        folder.display(), HumanBytes(*free), HumanBytes(*needed)
    )]
    NoRoom {
        /// The folder.
        folder: PathBuf,
        /// What is needed at least, in bytes.
        needed: u64,
        /// What is free, in bytes.
        free: u64,
    },
}

/// What the kind of an input or output error is for a caller.
fn kind_of(error: &io::Error) -> ErrorKind {
    match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof => {
            ErrorKind::InvalidInput
        }
        _ => ErrorKind::of_io(error),
    }
}

impl Failure for DiskError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Image(error) => error.kind(),
            Self::Inflate { source, .. } => kind_of(source),
            Self::Scratch { source, .. } => ErrorKind::of_io(source),
            Self::TooLong { .. } => ErrorKind::InvalidInput,
            Self::InUse(ImageLockError::Host(error)) => error.kind(),
            Self::InUse(_) => ErrorKind::Conflict,
            Self::NoRoom { .. } => ErrorKind::StorageFull,
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::Image(error) if error.kind() == ErrorKind::NotFound => Some(
                "check the path: one in an application.toml is relative to the folder of that \
                     file"
                    .to_owned(),
            ),
            Self::Image(error) => error.remedy(),
            Self::InUse(ImageLockError::InUse { .. }) => Some(
                "stop the machine, or make a snapshot and give its backing file; `--allow-in-use` \
                 reads the disk as it is, as after a power failure"
                    .to_owned(),
            ),
            Self::InUse(ImageLockError::Host(error)) => error.remedy(),
            Self::Inflate { source, .. } if kind_of(source) == ErrorKind::InvalidInput => {
                Some("download the file again, and compare its checksum".to_owned())
            }
            Self::TooLong { .. } => Some("do not trust this file".to_owned()),
            Self::Scratch { .. } | Self::NoRoom { .. } if self.kind() == ErrorKind::StorageFull => {
                Some("free some space, or name another folder with `--scratch DIR`".to_owned())
            }
            Self::Scratch { .. } => {
                Some("name a folder that you may write to with `--scratch DIR`".to_owned())
            }
            Self::Inflate { .. } | Self::NoRoom { .. } => None,
        }
    }
}
