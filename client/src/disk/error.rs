//! The errors of opening disks.

use std::io;
use std::path::PathBuf;

use seawall_api::units::HumanBytes;
use seawall_store::image::{ImageError, Wrapping};

use crate::error::{ErrorKind, Failure};
use crate::host::ImageLockError;

/// The reason a disk was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiskError {
    /// The image cannot be read.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// Another process may write to the disk.
    #[error(transparent)]
    InUse(ImageLockError),
    /// The compressed data is truncated, damaged or unreadable.
    #[error("cannot inflate {}, which is compressed by {wrapping}", path.display())]
    Inflate {
        /// The compressed file.
        path: PathBuf,
        /// The compression.
        wrapping: Wrapping,
        /// The cause.
        source: io::Error,
    },
    /// The inflated data would be longer than any disk.
    #[error("{} inflates to more than {limit} bytes", path.display())]
    TooLong {
        /// The compressed file.
        path: PathBuf,
        /// The limit in bytes.
        limit: u64,
    },
    /// The inflated data cannot be written.
    #[error("cannot write to the scratch folder {}", folder.display())]
    Scratch {
        /// The folder.
        folder: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The scratch folder has less free space than the length of the compressed file.
    #[error(
        "the scratch folder {} has {} of free space; inflating the disk needs more than {}",
        folder.display(), HumanBytes(*free), HumanBytes(*needed)
    )]
    NoRoom {
        /// The folder.
        folder: PathBuf,
        /// The minimum of needed bytes.
        needed: u64,
        /// The number of free bytes.
        free: u64,
    },
}

/// Returns the kind of an I/O error. Invalid data counts as invalid input.
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
                "check the path; a path in an application.toml is relative to its folder"
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
