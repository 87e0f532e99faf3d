//! Errors of a conversion.

use std::io;
use std::path::PathBuf;

use super::super::ImageError;
use super::super::layout::{ExportFormat, LayoutError};
use super::super::stream::StreamError;
use crate::error::{ErrorKind, io_remedy};
use crate::new_file::NewFileError;

/// An error of a conversion, after which no file has the output's name.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConvertError {
    /// The disk cannot be read.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The disk does not fit the format.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The bytes cannot be written.
    #[error("cannot write the image")]
    Write(#[source] io::Error),
    /// The output file cannot be created or named.
    #[error("cannot {verb} {}", path.display())]
    Output {
        /// The attempted operation.
        verb: &'static str,
        /// The file's path.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The output's name is taken.
    #[error("{} exists", path.display())]
    Exists {
        /// The output's path.
        path: PathBuf,
    },
    /// The output's name is taken by something other than a regular file, which is never replaced.
    #[error("{} is not a regular file", path.display())]
    NotAFile {
        /// The output's path.
        path: PathBuf,
    },
    /// The block device is refused as output.
    #[error("the block device {} {reason}", path.display())]
    Device {
        /// The device.
        path: PathBuf,
        /// The reason.
        reason: String,
        /// The next step for the operator.
        remedy: String,
    },
    /// The start of the format is known only at the end of the conversion.
    #[error("{format} cannot be written to a pipe: its tables are known only after compression")]
    NotForPipes {
        /// The format.
        format: ExportFormat,
    },
    /// The format ends with a footer, and a device ends elsewhere.
    #[error("{format} cannot be written to a block device: only a file ends where it does")]
    NotForDevices {
        /// The format.
        format: ExportFormat,
    },
    /// Compression failed.
    #[error("cannot compress: {0}")]
    Compress(String),
}

impl From<NewFileError> for ConvertError {
    fn from(error: NewFileError) -> Self {
        match error {
            NewFileError::Exists { path } => Self::Exists { path },
            NewFileError::NotAFile { path } => Self::NotAFile { path },
            NewFileError::Io { verb, path, source } => Self::Output { verb, path, source },
        }
    }
}

impl From<StreamError> for ConvertError {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Image(error) => Self::Image(error),
            StreamError::Layout(error) => Self::Layout(error),
            StreamError::Write(error) => Self::Write(error),
            StreamError::Compress(reason) => Self::Compress(reason),
        }
    }
}

impl ConvertError {
    /// Returns the class of the error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Image(error) => error.kind(),
            Self::Write(source) | Self::Output { source, .. } => ErrorKind::of_io(source),
            Self::Layout(_)
            | Self::NotForPipes { .. }
            | Self::NotForDevices { .. }
            | Self::NotAFile { .. } => ErrorKind::InvalidInput,
            Self::Exists { .. } | Self::Device { .. } => ErrorKind::Conflict,
            Self::Compress(_) => ErrorKind::Unavailable,
        }
    }

    /// Returns whether the reader of a pipe went away.
    #[must_use]
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Write(source) if source.kind() == io::ErrorKind::BrokenPipe)
    }

    /// Returns the operator's next step.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        let text = match self {
            Self::Image(error) if error.kind() == ErrorKind::NotFound => {
                "check the path of the image"
            }
            Self::Image(error) => return error.remedy(),
            Self::Device { remedy, .. } => return Some(remedy.clone()),
            Self::Exists { .. } => {
                "give another name, or --force to replace it once the new file is complete"
            }
            Self::NotAFile { .. } => {
                "give the path of a file; one that is written to a device is \
                                      best a raw one, sent through a pipe"
            }
            Self::NotForPipes { .. } => "write it to a file, or send qcow2, raw or vmdk-stream",
            Self::NotForDevices { .. } => "write raw or qcow2 to the device, or this to a file",
            Self::Layout(LayoutError::NotRounded { .. }) => {
                "leave the rounding out, or write a VHD"
            }
            Self::Layout(_) => "choose a format that holds such a disk: raw or qcow2",
            Self::Write(source) | Self::Output { source, .. } => io_remedy(source)?,
            Self::Compress(_) => return None,
        };
        Some(text.to_owned())
    }
}
