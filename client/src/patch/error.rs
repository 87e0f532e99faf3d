//! Why a patch failed.

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
use crate::room::NoRoom;

/// Why a patch failed. The disks are the old release, or the next patch makes them the new one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PatchError {
    /// The registry failed or refused.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// Chunks could not be brought.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// A file of this host cannot be used.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The directory does not say what it holds.
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
        /// Why.
        source: ScanError,
    },
    /// A disk is not what it was when it was pulled.
    #[error("{} was changed since it was pulled, so it is modified: it holds {actual}, not {expected}", path.display())]
    Changed {
        /// The disk's file.
        path: PathBuf,
        /// The commands to keep or to discard what was written ([`keep_or_discard`]).
        remedy: Box<str>,
        /// What it should hold.
        expected: ContentDigest,
        /// What it holds.
        actual: ContentDigest,
    },
    /// A disk is in use.
    #[error(transparent)]
    InUse(#[from] ImageLockError),
    /// A disk was written to between the survey and the commit.
    #[error("{} was written to while it was patched", path.display())]
    Written {
        /// The disk's file.
        path: PathBuf,
    },
    /// A disk changed between the survey and now.
    #[error("a disk in {} changes while it is patched: chunk {chunk} is gone", directory.display())]
    Changing {
        /// The directory.
        directory: PathBuf,
        /// The chunk that was there a moment ago.
        chunk: ChunkDigest,
    },
    /// A disk was written to after a patch was interrupted, and what has to be copied is gone.
    #[error("{} was written to while it was between two releases", path.display())]
    WrittenBetween {
        /// The disk's file.
        path: PathBuf,
    },
    /// A journal waits to be applied.
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
        /// Where.
        offset: u64,
    },
    /// Another version of this program committed the journal.
    #[error("the journal {} was written by another version of seawall", path.display())]
    OtherJournal {
        /// The journal's file.
        path: PathBuf,
    },
    /// The index that the release names is of another disk than the release says.
    #[error("the index of {disk} describes other bytes than the release does")]
    WrongIndex {
        /// Machine and disk.
        disk: String,
    },
    /// A new disk's place is taken by a file that no release put there.
    #[error("{} is in the way: the release has a disk of that name", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The directory holds machines that the release does not have.
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
        /// Its length in bytes.
        disk_len: u64,
        /// The format.
        format: ExportFormat,
    },
    /// The journal does not fit into the directory.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// A thread of the patch ended without a word.
    #[error("the patch stopped for a reason it cannot name; this is a defect of seawall")]
    Defect,
}

impl Failure for PatchError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Registry(error) => error.kind(),
            Self::Fetch(error) => error.kind(),
            Self::Host(error) => error.kind(),
            Self::Lock(error) => error.kind(),
            Self::InUse(ImageLockError::Host(error)) => error.kind(),
            Self::Image(error) | Self::Scan { source: ScanError::Image(error), .. } => {
                of_pulled(error)
            }
            Self::Scan { .. } | Self::Journal { .. } | Self::WrongIndex { .. } => {
                ErrorKind::Damaged
            }
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
            Self::Fetch(error) => return error.remedy(),
            Self::Host(error) => return error.remedy(),
            Self::Lock(error) => return error.remedy(),
            Self::Image(error) => return error.remedy(),
            Self::NoRoom(error) => return error.remedy(),
            Self::Scan { source, .. } => return source.remedy(),
            Self::Changed { remedy, .. } => remedy,
            Self::InUse(ImageLockError::Host(error)) => return error.remedy(),
            Self::InUse(_) => {
                "stop the machine that runs on it, or whatever else has it open, then patch again"
            }
            Self::Changing { .. } | Self::Written { .. } => {
                "nothing was touched: stop the machine that writes to it"
            }
            Self::InProgress { .. } => "run `seawall patch` without --dry-run to finish it",
            Self::WrittenBetween { .. } => {
                "this directory cannot be finished: pull the release into another one, and start \
                 no machine between a patch that was interrupted and the next"
            }
            Self::OtherJournal { .. } => {
                "run `seawall patch` of that version to finish it, or pull the release into \
                 another directory"
            }
            Self::Journal { .. } => "pull the release into another directory",
            Self::Foreign { .. } => "nothing was touched: move the file away",
            Self::NoSuchMachine { .. } => "pull the machines you need into another directory",
            Self::OddLength { .. } => "pull the release with --format raw into another directory",
            Self::WrongIndex { .. } | Self::Defect => return None,
        };
        Some(text.to_owned())
    }
}

/// The kind of an error on a disk that was pulled: what contradicts itself there was sound once.
pub(crate) fn of_pulled(error: &ImageError) -> ErrorKind {
    match error {
        ImageError::Io { .. } => error.kind(),
        _ => ErrorKind::Damaged,
    }
}

/// Returns the commands for a directory whose disks a guest changed.
#[must_use]
pub fn keep_or_discard(
    directory: &Path,
    application: &ApplicationName,
    release: ReleaseDigest,
) -> String {
    let dir = directory.display();
    format!(
        "nothing was touched. To keep what the guest wrote, copy it away: `cp -a {dir} {dir}.kept`, \
         or push it as a release of its own. To discard it, pull afresh: `mv {dir} {dir}.old && \
         seawall pull {application}@{release} --into {dir}`, then patch. Guests that run on \
         overlays, as the scripts of `--as` start them, leave the disks unmodified"
    )
}
