//! Errors of bundles.

use std::io;
use std::path::{Path, PathBuf};

use crate::error::{ErrorKind, Failure};

/// An error of a bundle. Messages name the file of the part.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// A file cannot be read or written.
    #[error("cannot {verb} {}", path.display())]
    Io {
        /// The operation.
        verb: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file is something else.
    #[error("{} is no bundle: its magic number differs", path.display())]
    Magic {
        /// The file.
        path: PathBuf,
    },
    /// A later version of Seawall wrote the file.
    #[error("{} has format epoch {epoch}, which is unknown to this version", path.display())]
    Epoch {
        /// The file.
        path: PathBuf,
        /// The epoch.
        epoch: u32,
    },
    /// The file ends too early.
    #[error("{} is cut: it ends within {within}", path.display())]
    Cut {
        /// The file.
        path: PathBuf,
        /// The part of the format.
        within: &'static str,
    },
    /// The file contradicts itself.
    #[error("{} is damaged: {why}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The defect.
        why: String,
    },
    /// Parts of several bundles were named together.
    #[error("{} and {} are parts of two bundles", one.display(), other.display())]
    Mixed {
        /// A file.
        one: PathBuf,
        /// A file of another bundle.
        other: PathBuf,
    },
    /// A part was named twice.
    #[error("{} and {} are the same part of a bundle", one.display(), other.display())]
    Twice {
        /// A file.
        one: PathBuf,
        /// The other file.
        other: PathBuf,
    },
    /// A part was not named.
    #[error("part {number} of the bundle is missing")]
    Missing {
        /// The number of the part, from 1.
        number: u64,
    },
    /// The list of what a site holds is malformed.
    #[error("{} is no list of `seawall bundle have`: {why}", path.display())]
    Have {
        /// The file.
        path: PathBuf,
        /// The defect.
        why: String,
    },
}

impl BundleError {
    pub(super) fn io(verb: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { verb, path: path.to_owned(), source }
    }
}

impl Failure for BundleError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Io { source, .. } => ErrorKind::of_io(source),
            Self::Cut { .. } | Self::Damaged { .. } => ErrorKind::Damaged,
            Self::Missing { .. } => ErrorKind::NotFound,
            Self::Magic { .. }
            | Self::Epoch { .. }
            | Self::Mixed { .. }
            | Self::Twice { .. }
            | Self::Have { .. } => ErrorKind::InvalidInput,
        }
    }

    fn remedy(&self) -> Option<String> {
        let text = match self {
            Self::Io { source, .. } => {
                return seawall_store::error::io_remedy(source).map(str::to_owned);
            }
            Self::Magic { .. } => "name the files that `seawall bundle create` wrote",
            Self::Epoch { .. } => "use the version of seawall that wrote it, or a later one",
            Self::Cut { .. } | Self::Damaged { .. } => {
                "copy this file again from where it was made; the other parts need no new copy"
            }
            Self::Mixed { .. } => "name the parts of one bundle at a time",
            Self::Twice { .. } => "name each part once",
            Self::Missing { .. } => "name all parts together, in any order",
            Self::Have { .. } => "make one at the site: `seawall bundle have > site.have`",
        };
        Some(text.to_owned())
    }
}
