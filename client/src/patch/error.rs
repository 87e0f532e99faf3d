//! Errors of a patch.

use std::path::{Path, PathBuf};

use seawall_api::digest::{ChunkDigest, ContentDigest, ReleaseDigest};
use seawall_api::names::{ApplicationName, MachineName};
use seawall_store::image::ImageError;
use seawall_store::image::layout::ExportFormat;
use seawall_store::scan::ScanError;

use crate::directory::LockError;
use crate::error::{ErrorKind, Failure};
use crate::fetch::FetchError;
use crate::host::{HostError, ImageLockError};
use crate::registry::RegistryError;
use crate::resolve::ResolveError;
use crate::room::NoRoom;

/// An error of a patch. The disks are the old release, or the next patch completes the new one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PatchError {
    /// The registry failed or refused.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The release cannot be resolved.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// Chunks could not be fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// A local file cannot be used.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The directory has no valid lockfile.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A disk's file cannot be read.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A disk cannot be scanned.
    #[error("cannot scan {}", path.display())]
    Scan {
        /// The disk's file.
        path: PathBuf,
        /// The cause.
        source: ScanError,
    },
    /// A disk was modified after the pull.
    #[error("{} was changed since it was pulled, so it is modified: it holds {actual}, not {expected}", path.display())]
    Changed {
        /// The disk's file.
        path: PathBuf,
        /// The commands to keep or to discard the guest's changes ([`keep_or_discard`]).
        remedy: Box<str>,
        /// The digest of the expected content.
        expected: ContentDigest,
        /// The digest of the actual content.
        actual: ContentDigest,
    },
    /// A disk is in use.
    #[error(transparent)]
    InUse(#[from] ImageLockError),
    /// A disk was written to between the survey and the commit.
    #[error("{} was written to during the patch", path.display())]
    Written {
        /// The disk's file.
        path: PathBuf,
    },
    /// A disk was modified after the survey, which found the chunk on the disk.
    #[error("a disk in {} changed during the patch: chunk {chunk} is gone", directory.display())]
    Changing {
        /// The directory.
        directory: PathBuf,
        /// The chunk that disappeared.
        chunk: ChunkDigest,
    },
    /// A disk was written after a patch was interrupted, and a chunk to copy is gone.
    #[error("{} was written to while it was between two releases", path.display())]
    WrittenBetween {
        /// The disk's file.
        path: PathBuf,
    },
    /// The directory holds a committed journal.
    #[error("{} is between two releases: a patch was interrupted", directory.display())]
    InProgress {
        /// The directory.
        directory: PathBuf,
    },
    /// The journal cannot be read back.
    #[error("the journal {} is damaged at byte {offset}", path.display())]
    Journal {
        /// The journal's file.
        path: PathBuf,
        /// The offset of the damaged record in bytes.
        offset: u64,
    },
    /// Another version of this program committed the journal.
    #[error("the journal {} was written by another version of seawall", path.display())]
    OtherJournal {
        /// The journal's file.
        path: PathBuf,
    },
    /// A foreign file occupies the place of a new disk.
    #[error("{} is in the way: the release has a disk of that name", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The release lacks a machine of a directory that was pulled in part.
    #[error("{release} has no machine `{machine}`, which the directory holds alone")]
    NoSuchMachine {
        /// The release.
        release: String,
        /// The machine.
        machine: MachineName,
    },
    /// The format cannot hold a disk of that length.
    #[error("{format} cannot hold {disk}: its {disk_len} bytes are not whole sectors")]
    OddLength {
        /// Machine and disk.
        disk: String,
        /// The length of the disk in bytes.
        disk_len: u64,
        /// The format.
        format: ExportFormat,
    },
    /// The file system has too little free space for the journal.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// A thread of the patch panicked.
    #[error("the patch stopped unexpectedly; this is a defect of seawall")]
    Defect,
}

impl Failure for PatchError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Registry(error) => error.kind(),
            Self::Resolve(error) => error.kind(),
            Self::Fetch(error) => error.kind(),
            Self::Host(error) => error.kind(),
            Self::Lock(error) => error.kind(),
            Self::InUse(ImageLockError::Host(error)) => error.kind(),
            Self::Image(error) | Self::Scan { source: ScanError::Image(error), .. } => {
                of_pulled(error)
            }
            Self::Scan { .. } | Self::Journal { .. } => ErrorKind::Damaged,
            Self::Changed { .. }
            | Self::Changing { .. }
            | Self::Written { .. }
            | Self::WrittenBetween { .. }
            | Self::OtherJournal { .. }
            | Self::InUse(ImageLockError::InUse { .. })
            | Self::Foreign { .. }
            | Self::InProgress { .. } => ErrorKind::Conflict,
            Self::NoSuchMachine { .. } => ErrorKind::NotFound,
            Self::OddLength { .. } => ErrorKind::InvalidInput,
            Self::NoRoom(error) => error.kind(),
            Self::Defect => ErrorKind::Internal,
        }
    }

    fn remedy(&self) -> Option<String> {
        let text = match self {
            Self::Registry(error) => return error.remedy(),
            Self::Resolve(error) => return error.remedy(),
            Self::Fetch(error) => return error.remedy(),
            Self::Host(error) => return error.remedy(),
            Self::Lock(error) => return error.remedy(),
            Self::Image(error) => return error.remedy(),
            Self::NoRoom(error) => return error.remedy(),
            Self::Scan { source, .. } => return source.remedy(),
            Self::Changed { remedy, .. } => remedy,
            Self::InUse(ImageLockError::Host(error)) => return error.remedy(),
            Self::InUse(_) => {
                "stop the machine or other process that has it open, then patch again"
            }
            Self::Changing { .. } | Self::Written { .. } => {
                "nothing was changed: stop the machine that writes to it"
            }
            Self::InProgress { .. } => "run `seawall patch` without --dry-run to complete it",
            Self::WrittenBetween { .. } => {
                "this patch cannot be completed: pull the release into another one, and start \
                 no machine between a patch that was interrupted and the next"
            }
            Self::OtherJournal { .. } => {
                "run `seawall patch` of that version to complete it, or pull the release into \
                 another directory"
            }
            Self::Journal { .. } => "pull the release into another directory",
            Self::Foreign { .. } => "nothing was changed: move the file away",
            Self::NoSuchMachine { .. } => "pull the machines you need into another directory",
            Self::OddLength { .. } => "pull the release with --format raw into another directory",
            Self::Defect => return None,
        };
        Some(text.to_owned())
    }
}

/// Returns the kind of an error on a pulled disk. A contradiction means damage: the disk was valid.
pub(crate) fn of_pulled(error: &ImageError) -> ErrorKind {
    match error {
        ImageError::Io { .. } => error.kind(),
        _ => ErrorKind::Damaged,
    }
}

/// Returns the commands for a directory whose disks a guest modified.
#[must_use]
pub fn keep_or_discard(
    directory: &Path,
    application: &ApplicationName,
    release: ReleaseDigest,
) -> String {
    let dir = directory.display();
    format!(
        "nothing was changed. To keep the guest's data, copy the directory: `cp -a {dir} {dir}.kept`, \
         or push it as a release of its own. To discard it, pull again: `mv {dir} {dir}.old && \
         seawall pull {application}@{release} --into {dir}`, then patch. Guests that run on \
         overlays, as the scripts of `--as` start them, leave the disks unmodified"
    )
}
