//! Errors of the content engine, and the caller's remedy for each.

use std::io;
use std::path::PathBuf;

use seawall_api::problem::Code;

mod fault;

pub use fault::Fault;

/// The class of an error, by the caller's remedy. API handlers and the command line branch on
/// nothing else.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ErrorKind {
    /// The object does not exist.
    NotFound,
    /// The name is taken, or the object changed since the caller's read.
    Conflict,
    /// The caller's input is malformed.
    InvalidInput,
    /// Bytes at rest do not match their name.
    Damaged,
    /// A machine, disk or network cannot serve at present; a retry may succeed.
    Unavailable,
    /// No space is left.
    StorageFull,
    /// The caller lacks permission.
    Denied,
    /// A defect of Seawall.
    Internal,
}

impl ErrorKind {
    /// Classifies an operating system error on a file of the caller's. Every flow uses this
    /// mapping, so that the same error is never classified in two ways.
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
            // A limit of the file system. Without a code of the operating system, the limit is
            // Seawall's.
            Io::FileTooLarge if error.raw_os_error().is_some() => Self::StorageFull,
            Io::InvalidFilename
            | Io::NotADirectory
            | Io::IsADirectory
            | Io::FileTooLarge
            // From a parser: no operating system answers a sound request with these.
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

impl From<Code> for ErrorKind {
    /// Classifies the code of a problem document.
    fn from(code: Code) -> Self {
        match code {
            Code::InvalidInput | Code::TooLarge => Self::InvalidInput,
            Code::Unauthenticated | Code::Denied => Self::Denied,
            Code::NotFound | Code::Gone => Self::NotFound,
            Code::VersionTaken
            | Code::NameTaken
            | Code::Incomplete
            | Code::LeaseEnded
            | Code::Held
            | Code::CheckRuns
            | Code::LimitReached
            | Code::PreconditionFailed
            | Code::PreconditionRequired => Self::Conflict,
            Code::DigestMismatch | Code::Damaged => Self::Damaged,
            Code::Unavailable | Code::RateLimited => Self::Unavailable,
            // Freeing space mends both: exit code 8 tells a script to do so.
            Code::StorageFull | Code::QuotaExceeded => Self::StorageFull,
            Code::MethodNotAllowed | Code::RangeNotSatisfiable | Code::Internal => Self::Internal,
        }
    }
}

/// An error of a store operation.
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
        /// Start of the requested range, in bytes.
        start: u64,
        /// End of the requested range, exclusive.
        end: u64,
    },
    /// An object at rest does not match its name.
    #[error("{object} is damaged")]
    Damaged {
        /// The object's path.
        object: String,
    },
    /// A file cannot be used.
    #[error("cannot {verb} {}", path.display())]
    Io {
        /// The attempted operation.
        verb: &'static str,
        /// The file's path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The object store behind the port failed.
    #[error("the store cannot {verb} {object}")]
    Backend {
        /// The attempted operation.
        verb: &'static str,
        /// The object's path.
        object: String,
        /// The cause.
        source: object_store::Error,
    },
    /// The service of a bucket failed, after every retry.
    #[error("the store cannot {verb} {object}: {why}")]
    Bucket {
        /// The attempted operation.
        verb: &'static str,
        /// The object's path.
        object: String,
        /// The fault.
        fault: Fault,
        /// The answer of the service, shortened.
        why: String,
    },
}

/// `EIO`: the medium cannot read or write these bytes.
const EIO: i32 = 5;
/// `ENFILE` and `EMFILE`: the limit of open files of the machine or of this process is reached.
const FILES_EXHAUSTED: [i32; 2] = [23, 24];

/// Returns the first I/O error in the chain of sources that begins with `error`.
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

/// Returns the operator's next step after an I/O error, if there is one.
#[must_use]
pub fn io_remedy(error: &io::Error) -> Option<&'static str> {
    match (error.raw_os_error(), error.kind()) {
        _ if is_full(error) => Some("free some space, then run the same command again"),
        (Some(_), io::ErrorKind::FileTooLarge) => {
            Some("write to another file system: this one does not support files of this size")
        }
        (Some(EIO), _) => {
            Some("the disk is failing: check the kernel log, and restore the data from a copy")
        }
        (Some(code), _) if FILES_EXHAUSTED.contains(&code) => {
            Some("raise the limit of open files (`ulimit -n`) and start again")
        }
        (_, io::ErrorKind::PermissionDenied) => {
            Some("check that the current user may read and write there")
        }
        (_, io::ErrorKind::ReadOnlyFilesystem) => Some(
            "remount the file system for writing: the kernel makes it read-only if its disk fails",
        ),
        _ => None,
    }
}

/// Classifies an I/O error on a file of the store's. Apart from a full or forbidden file system,
/// the machine is at fault, not the caller: the names of these files are Seawall's own.
fn of_store_io(error: &io::Error) -> ErrorKind {
    match ErrorKind::of_io(error) {
        ErrorKind::Denied => ErrorKind::Denied,
        _ if is_full(error) => ErrorKind::StorageFull,
        _ => ErrorKind::Unavailable,
    }
}

/// Classifies an error of a backend of the `object_store` crate.
fn of_backend(error: &object_store::Error) -> ErrorKind {
    use object_store::Error as Backend;
    match error {
        Backend::NotFound { .. } => ErrorKind::NotFound,
        Backend::AlreadyExists { .. }
        | Backend::Precondition { .. }
        | Backend::NotModified { .. } => ErrorKind::Conflict,
        Backend::PermissionDenied { .. } | Backend::Unauthenticated { .. } => ErrorKind::Denied,
        Backend::InvalidPath { .. }
        | Backend::NotSupported { .. }
        | Backend::NotImplemented { .. }
        | Backend::UnknownConfigurationKey { .. } => ErrorKind::Internal,
        // A directory's I/O error; or throttled, timed out or unreachable after every retry.
        _ => io_error(error).map_or(ErrorKind::Unavailable, of_store_io),
    }
}

impl StoreError {
    /// Makes an I/O error on a file.
    pub fn io(verb: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io { verb, path: path.into(), source }
    }

    /// Returns the class of the error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Missing { .. } => ErrorKind::NotFound,
            Self::Damaged { .. } => ErrorKind::Damaged,
            Self::Range { .. } => ErrorKind::InvalidInput,
            Self::Io { source, .. } => of_store_io(source),
            Self::Backend { source, .. } => of_backend(source),
            Self::Bucket { fault, .. } => fault.kind(),
        }
    }

    /// Returns the operator's next step, which the command line prints on a line of its own.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        match (self, self.kind()) {
            (Self::Bucket { fault, .. }, _) => Some(fault.remedy().to_owned()),
            (_, ErrorKind::StorageFull) => {
                Some("free some space and try again: what was written so far is kept".to_owned())
            }
            (Self::Damaged { object }, _) => Some(format!(
                "restore {object} from a copy of the registry, or push the release again"
            )),
            _ => self.io_error().and_then(io_remedy).map(str::to_owned),
        }
    }

    /// Returns whether the service of a bucket told to send fewer requests.
    #[must_use]
    pub fn is_throttled(&self) -> bool {
        matches!(self, Self::Bucket { fault: Fault::Throttled, .. })
    }

    /// Returns whether the medium could not read or write the bytes: a bad sector, or a dead disk.
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

    /// At any depth in a backend's chain of sources.
    #[test]
    fn an_io_error_says_what_to_do() {
        let cases = [
            (io::Error::from_raw_os_error(13), ErrorKind::Denied, "user"),
            (io::Error::from_raw_os_error(5), ErrorKind::Unavailable, "kernel log"),
            (io::Error::from_raw_os_error(24), ErrorKind::Unavailable, "ulimit"),
            (io::Error::from_raw_os_error(30), ErrorKind::Denied, "mount"),
            (io::Error::from_raw_os_error(28), ErrorKind::StorageFull, "space"),
        ];
        for (error, kind, remedy) in cases {
            let text = error.to_string();
            let is_eio = error.raw_os_error() == Some(EIO);
            let own = StoreError::io("read", "x", copy(&error));
            let source = object_store::Error::Generic { store: "x", source: Box::new(error) };
            for error in [own, StoreError::Backend { verb: "read", object: "x".to_owned(), source }]
            {
                assert_eq!((error.kind(), error.is_media_failure()), (kind, is_eio), "{text}");
                assert!(error.remedy().unwrap().contains(remedy), "{text}");
            }
        }
    }

    fn copy(error: &io::Error) -> io::Error {
        io::Error::from_raw_os_error(error.raw_os_error().unwrap())
    }

    #[test]
    fn backend_errors_map_to_kinds() {
        use object_store::Error as Backend;
        let (path, source) = (|| "x".to_owned(), || "403".into());
        let timed_out = io::Error::from(io::ErrorKind::TimedOut);
        let cases = [
            (Backend::NotFound { path: path(), source: source() }, ErrorKind::NotFound),
            (Backend::AlreadyExists { path: path(), source: source() }, ErrorKind::Conflict),
            (Backend::Precondition { path: path(), source: source() }, ErrorKind::Conflict),
            (Backend::PermissionDenied { path: path(), source: source() }, ErrorKind::Denied),
            (Backend::Unauthenticated { path: path(), source: source() }, ErrorKind::Denied),
            (Backend::NotSupported { source: source() }, ErrorKind::Internal),
            (
                Backend::Generic { store: "S3", source: "503 SlowDown".into() },
                ErrorKind::Unavailable,
            ),
            (Backend::Generic { store: "S3", source: timed_out.into() }, ErrorKind::Unavailable),
        ];
        for (source, kind) in cases {
            let text = source.to_string();
            let error = StoreError::Backend { verb: "read", object: path(), source };
            assert_eq!(error.kind(), kind, "{text}");
        }
    }
}
