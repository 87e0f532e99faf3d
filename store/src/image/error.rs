//! Why an image could not be opened or read, and what the operator can do next.

use std::io;
use std::path::PathBuf;

use super::detect::Wrapping;
use crate::error::{ErrorKind, io_remedy};

/// Why an image could not be opened or read.
///
/// Messages name the file and the structure, and never repeat their source; reporters walk the
/// chain.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// The operating system refused.
    #[error("cannot {verb} {path}")]
    Io {
        /// What was tried, such as `open`.
        verb: &'static str,
        /// The file it was tried on.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The image contradicts its own format.
    #[error("{path} is damaged: {structure} at offset {offset}: {reason}")]
    Damaged {
        /// The image file.
        path: PathBuf,
        /// The structure that is wrong, such as `L2 table`.
        structure: &'static str,
        /// Where in the file the structure lies.
        offset: u64,
        /// What is wrong with it.
        reason: String,
        /// What says more about it, or repairs it.
        repair: &'static str,
    },
    /// The image is sound, as far as can be told, but of a kind that Seawall does not read.
    #[error("{path} uses {feature}, which seawall does not read")]
    Unsupported {
        /// The image file.
        path: PathBuf,
        /// The format or the feature of it.
        feature: String,
        /// The next step for the operator.
        remedy: String,
    },
    /// A backing file is named that will not be used.
    #[error("backing file {backing:?} of {path} is not used: {reason}")]
    Backing {
        /// The image that names the backing file.
        path: PathBuf,
        /// The name, as it stands in the image.
        backing: String,
        /// Why it is not used.
        reason: String,
        /// The next step for the operator.
        remedy: String,
    },
    /// Nothing says that the file is a disk, or two things contradict each other.
    #[error("cannot tell what {path} is: {reason}")]
    Unrecognised {
        /// The file.
        path: PathBuf,
        /// What was looked for, and what was found.
        reason: String,
        /// The next step for the operator.
        remedy: String,
    },
    /// The file is compressed as a whole; the caller may inflate it and open what it holds.
    #[error("{path} is compressed by {wrapping}")]
    Wrapped {
        /// The file.
        path: PathBuf,
        /// What it is compressed by.
        wrapping: Wrapping,
    },
    /// Something that is neither a regular file nor a block device was given as an image.
    #[error("{path} is {found}, not a regular file or a block device")]
    NotADisk {
        /// The path that was given.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// The file lost bytes after it was opened.
    #[error("{path} was {len} bytes long when it was opened, but now ends before byte {offset}")]
    Shrunk {
        /// The image file.
        path: PathBuf,
        /// Its length when it was opened.
        len: u64,
        /// Where bytes were expected and not found.
        offset: u64,
    },
    /// A caller asked for bytes past the end of the disk.
    #[error("bytes {offset}+{len} are outside of the disk in {path}, which has {disk_len} bytes")]
    OutOfRange {
        /// The image file.
        path: PathBuf,
        /// The guest offset asked for.
        offset: u64,
        /// How many bytes were asked for.
        len: usize,
        /// The length of the disk.
        disk_len: u64,
    },
}

impl ImageError {
    /// What the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Io { source, .. } => ErrorKind::of_io(source),
            Self::Shrunk { .. } => ErrorKind::Conflict,
            _ => ErrorKind::InvalidInput,
        }
    }

    /// The operator's next step, printed on a line of its own by the CLI.
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::Unsupported { remedy, .. }
            | Self::Unrecognised { remedy, .. }
            | Self::Backing { remedy, .. } => Some(remedy.clone()),
            Self::Wrapped { .. } => Some("decompress it first, and give what comes out".to_owned()),
            Self::Damaged { repair, .. } => {
                Some(format!("compare the file with its origin, and {repair}"))
            }
            Self::Shrunk { .. } => {
                Some("stop what writes to the image, then start again".to_owned())
            }
            Self::Io { source, .. } => io_remedy(source).map(str::to_owned),
            Self::NotADisk { .. } | Self::OutOfRange { .. } => None,
        }
    }
}

/// Refuses a range that does not lie within the disk.
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
