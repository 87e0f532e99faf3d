//! Why the content engine failed, and what its caller can do.

use std::io;
use std::path::PathBuf;

use seawall_api::digest::ChunkDigest;

use crate::image::ImageError;
use crate::pack::PackError;

/// What the caller can do about an error: the one thing that edges branch on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ErrorKind {
    /// The object does not exist.
    NotFound,
    /// Something else holds the name, or it moved since it was read.
    Conflict,
    /// What the caller sent is malformed.
    InvalidInput,
    /// Bytes at rest are not what their name says.
    Damaged,
    /// A machine, disk or network cannot serve now; trying again may help.
    Unavailable,
    /// There is no room.
    StorageFull,
    /// The caller may not do this.
    Denied,
    /// A defect of ours.
    Internal,
}

/// Why a store operation failed.
///
/// Messages name the object and never repeat their source; reporters walk the chain.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The object is not in the store.
    #[error("{object} is not in the store")]
    Missing {
        /// The object's path.
        object: String,
    },
    /// A range lies outside its object.
    #[error("bytes {start}..{end} lie outside {object}")]
    Range {
        /// The object's path.
        object: String,
        /// First byte asked for.
        start: u64,
        /// One past the last.
        end: u64,
    },
    /// An object at rest is not what its name says.
    #[error("{object} is damaged")]
    Damaged {
        /// The object's path.
        object: String,
    },
    /// A chunk's bytes hash to another digest.
    #[error("the bytes of chunk {expected} hash to {actual}")]
    DigestMismatch {
        /// The name they came under.
        expected: ChunkDigest,
        /// The name they have.
        actual: ChunkDigest,
    },
    /// A pack is malformed.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// A disk image cannot be read.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A file cannot be used.
    #[error("cannot {verb} {}", path.display())]
    Io {
        /// What was tried.
        verb: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The object store behind the port failed.
    #[error("the store cannot {verb} {object}")]
    Backend {
        /// What was tried.
        verb: &'static str,
        /// On which object.
        object: String,
        /// Why it failed.
        source: object_store::Error,
    },
}

/// Whether an I/O error lies in the chain below `error` that says there is no room.
fn is_storage_full(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
            return full.contains(&io.kind());
        }
        next = error.source();
    }
    false
}

impl StoreError {
    /// An I/O error on a file.
    pub fn io(verb: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io { verb, path: path.into(), source }
    }

    /// What the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Missing { .. } => ErrorKind::NotFound,
            Self::Damaged { .. } => ErrorKind::Damaged,
            Self::Range { .. } | Self::DigestMismatch { .. } | Self::Pack(_) | Self::Image(_) => {
                ErrorKind::InvalidInput
            }
            Self::Io { source, .. } if is_storage_full(source) => ErrorKind::StorageFull,
            Self::Backend { source, .. } if is_storage_full(source) => ErrorKind::StorageFull,
            Self::Io { .. } | Self::Backend { .. } => ErrorKind::Unavailable,
        }
    }

    /// The operator's next step, printed on a line of its own by the command line.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        match (self, self.kind()) {
            (_, ErrorKind::StorageFull) => {
                Some("free some space and try again: what was written so far is kept".to_owned())
            }
            (Self::Damaged { object }, _) => Some(format!(
                "restore {object} from a copy of the registry, or push the release again"
            )),
            _ => None,
        }
    }
}
