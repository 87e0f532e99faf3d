//! Errors of opening or reading an image, with the operator's next step.

use std::io;
use std::path::PathBuf;

use super::detect::Wrapping;
use crate::error::{ErrorKind, io_remedy};

/// An error of opening or reading an image.
///
/// Messages name the file and the structure, and never repeat their source; reporters walk the
/// chain.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// The operating system refused.
    #[error("cannot {verb} {path}")]
    Io {
        /// The attempted operation, such as `open`.
        verb: &'static str,
        /// The file's path.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The image contradicts its own format.
    #[error("{path} is damaged: {structure} at offset {offset}: {reason}")]
    Damaged {
        /// The image file.
        path: PathBuf,
        /// The damaged structure, such as `L2 table`.
        structure: &'static str,
        /// The offset of the structure in the file, in bytes.
        offset: u64,
        /// The defect.
        reason: String,
        /// A step that diagnoses or repairs the file.
        repair: &'static str,
    },
    /// The image appears sound, but Seawall does not read its kind.
    #[error("{path} uses {feature}, which seawall does not read")]
    Unsupported {
        /// The image file.
        path: PathBuf,
        /// The unsupported format or feature.
        feature: String,
        /// The next step for the operator.
        remedy: String,
    },
    /// The image names a backing file that is not permitted or not usable.
    #[error("backing file {backing:?} of {path} is not used: {reason}")]
    Backing {
        /// The image that names the backing file.
        path: PathBuf,
        /// The backing file's name, as written in the image.
        backing: String,
        /// The reason for the refusal.
        reason: String,
        /// The next step for the operator.
        remedy: String,
    },
    /// The file has no sign of being a disk, or its name and content contradict each other.
    #[error("cannot tell what {path} is: {reason}")]
    Unrecognised {
        /// The file.
        path: PathBuf,
        /// The evidence looked for and found.
        reason: String,
        /// The next step for the operator.
        remedy: String,
    },
    /// The file is compressed as a whole. The caller may decompress it and open the content.
    #[error("{path} is compressed by {wrapping}")]
    Wrapped {
        /// The file.
        path: PathBuf,
        /// The compression.
        wrapping: Wrapping,
    },
    /// The path is neither a regular file nor a block device.
    #[error("{path} is {found}, not a regular file or a block device")]
    NotADisk {
        /// The path.
        path: PathBuf,
        /// The kind of file found.
        found: &'static str,
    },
    /// The file shrank after opening.
    #[error("{path} was {len} bytes long when it was opened, but now ends before byte {offset}")]
    Shrunk {
        /// The image file.
        path: PathBuf,
        /// The file's length in bytes at the time of opening.
        len: u64,
        /// The offset of the missing bytes.
        offset: u64,
    },
    /// A caller requested bytes past the end of the disk.
    #[error("bytes {offset}+{len} are outside of the disk in {path}, which has {disk_len} bytes")]
    OutOfRange {
        /// The image file.
        path: PathBuf,
        /// The requested guest offset.
        offset: u64,
        /// The number of bytes requested.
        len: usize,
        /// The length of the disk, in bytes.
        disk_len: u64,
    },
}

impl ImageError {
    /// Returns the class of the error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Io { source, .. } => ErrorKind::of_io(source),
            Self::Shrunk { .. } => ErrorKind::Conflict,
            _ => ErrorKind::InvalidInput,
        }
    }

    /// Returns the operator's next step, which the command line prints on a line of its own.
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::Unsupported { remedy, .. }
            | Self::Unrecognised { remedy, .. }
            | Self::Backing { remedy, .. } => Some(remedy.clone()),
            Self::Wrapped { .. } => Some("decompress it first and use the result".to_owned()),
            Self::Damaged { repair, .. } => {
                Some(format!("compare the file with its origin, and {repair}"))
            }
            Self::Shrunk { .. } => {
                Some("stop the program that writes to the image, then start again".to_owned())
            }
            Self::Io { source, .. } => io_remedy(source).map(str::to_owned),
            Self::NotADisk { .. } | Self::OutOfRange { .. } => None,
        }
    }
}

/// Fails if a range does not lie within the disk.
pub(super) fn check_range(
    path: &std::path::Path,
    disk_len: u64,
    offset: u64,
    len: usize,
) -> Result<(), ImageError> {
    let end = u64::try_from(len).ok().and_then(|len| offset.checked_add(len));
    if end.is_some_and(|end| end <= disk_len) {
        return Ok(());
    }
    Err(ImageError::OutOfRange { path: path.to_owned(), offset, len, disk_len })
}
