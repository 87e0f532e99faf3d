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

impl ErrorKind {
    /// What the caller can do when the operating system refuses a file of the caller's: the only
    /// place that decides so, whichever flow met the error.
    #[must_use]
    pub fn of_io(error: &io::Error) -> Self {
        use io::ErrorKind as Io;
        match error.kind() {
            Io::NotFound => Self::NotFound,
            Io::PermissionDenied | Io::ReadOnlyFilesystem => Self::Denied,
            Io::AlreadyExists
            | Io::DirectoryNotEmpty
            | Io::ResourceBusy
            | Io::ExecutableFileBusy => Self::Conflict,
            Io::StorageFull | Io::QuotaExceeded => Self::StorageFull,
            // A file system with a limit of its own, unless it is a limit of ours.
            Io::FileTooLarge if error.raw_os_error().is_some() => Self::StorageFull,
            Io::InvalidFilename
            | Io::NotADirectory
            | Io::IsADirectory
            | Io::FileTooLarge
            // Not what an operating system says of a sound request, but what a parser does.
            | Io::InvalidInput
            | Io::InvalidData
            | Io::UnexpectedEof => Self::InvalidInput,
            _ if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
                Self::InvalidInput
            }
            _ => Self::Unavailable,
        }
    }
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

/// `EIO`: the medium cannot give or take these bytes.
const EIO: i32 = 5;
/// `ENFILE` and `EMFILE`: the machine or this process has no more files to open.
const FILES_EXHAUSTED: [i32; 2] = [23, 24];

/// The I/O error in the chain that begins with `error`.
#[must_use]
pub fn io_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a io::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return Some(io);
        }
        next = error.source();
    }
    None
}

fn is_full(error: &io::Error) -> bool {
    [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded].contains(&error.kind())
}

/// What an operator can do about an I/O error.
#[must_use]
pub fn io_remedy(error: &io::Error) -> Option<&'static str> {
    match (error.raw_os_error(), error.kind()) {
        _ if is_full(error) => Some("free some space, then run the same command again"),
        (Some(_), io::ErrorKind::FileTooLarge) => {
            Some("write to another file system: this one has no room for a file as long as that")
        }
        (Some(EIO), _) => {
            Some("a disk fails there: see the kernel's log, and restore what it held from a copy")
        }
        (Some(code), _) if FILES_EXHAUSTED.contains(&code) => {
            Some("raise the limit of open files (`ulimit -n`) and start again")
        }
        (_, io::ErrorKind::PermissionDenied) => {
            Some("see that the user this runs as may read and write there")
        }
        (_, io::ErrorKind::ReadOnlyFilesystem) => Some(
            "mount the file system for writing: the kernel makes it read-only when its disk fails",
        ),
        _ => None,
    }
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
            Self::Image(error) => error.kind(),
            Self::Range { .. } | Self::DigestMismatch { .. } | Self::Pack(_) => {
                ErrorKind::InvalidInput
            }
            Self::Io { .. } | Self::Backend { .. } if self.io_error().is_some_and(is_full) => {
                ErrorKind::StorageFull
            }
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
            _ => self.io_error().and_then(io_remedy).map(str::to_owned),
        }
    }

    /// Whether the medium could not give or take the bytes: a bad sector, or a disk that died.
    #[must_use]
    pub fn is_media_failure(&self) -> bool {
        self.io_error().is_some_and(|error| error.raw_os_error() == Some(EIO))
    }

    fn io_error(&self) -> Option<&io::Error> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Backend { source, .. } => io_error(source),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However deep a backend buries it.
    #[test]
    fn an_io_error_says_what_to_do() {
        let cases = [
            (io::Error::from_raw_os_error(13), ErrorKind::Unavailable, "user"),
            (io::Error::from_raw_os_error(5), ErrorKind::Unavailable, "kernel's log"),
            (io::Error::from_raw_os_error(24), ErrorKind::Unavailable, "ulimit"),
            (io::Error::from_raw_os_error(30), ErrorKind::Unavailable, "mount"),
            (io::Error::from_raw_os_error(28), ErrorKind::StorageFull, "space"),
        ];
        for (error, kind, remedy) in cases {
            let text = error.to_string();
            let is_eio = error.raw_os_error() == Some(EIO);
            let source = object_store::Error::Generic { store: "x", source: Box::new(error) };
            let error = StoreError::Backend { verb: "read", object: "x".to_owned(), source };
            assert_eq!((error.kind(), error.is_media_failure()), (kind, is_eio), "{text}");
            assert!(error.remedy().unwrap().contains(remedy), "{text}");
        }
    }
}
