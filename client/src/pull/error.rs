//! Errors of a pull.

use std::path::PathBuf;

use seawall_api::names::MachineName;
use seawall_store::image::layout::ExportFormat;

use crate::directory::LockError;
use crate::error::{ErrorKind, Failure};
use crate::fetch::FetchError;
use crate::host::HostError;
use crate::registry::RegistryError;
use crate::resolve::ResolveError;
use crate::room::NoRoom;
use crate::verify::VerifyError;

/// An error of a pull. The directory does not exist, or is unchanged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PullError {
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
    /// A lockfile cannot be used.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The existing directory cannot be verified.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// The directory holds other files.
    #[error("{} is not empty and holds no pulled release", directory.display())]
    NotEmpty {
        /// The directory.
        directory: PathBuf,
    },
    /// The directory holds another release.
    #[error("{} holds {present}", directory.display())]
    OtherRelease {
        /// The directory.
        directory: PathBuf,
        /// The release in the directory.
        present: String,
    },
    /// The directory holds other machines of this release, or its disks in another format.
    #[error(
        "{} holds {present} already, with other machines or in another format", directory.display()
    )]
    OtherDisks {
        /// The directory.
        directory: PathBuf,
        /// The release in the directory.
        present: String,
    },
    /// The directory holds this release, but a guest modified a disk.
    #[error("{} holds the release, but {disk} is modified", directory.display())]
    PresentModified {
        /// The directory.
        directory: PathBuf,
        /// The disk.
        disk: String,
        /// The commands to keep or to discard the guest's changes.
        remedy: Box<str>,
    },
    /// The directory holds this release, but a disk is damaged.
    #[error("{} holds the release, but {disk} is damaged", directory.display())]
    PresentDamaged {
        /// The directory.
        directory: PathBuf,
        /// The disk.
        disk: String,
    },
    /// The directory's path exists and is not a directory.
    #[error("{} is in the way: it is not a directory", path.display())]
    InTheWay {
        /// The path.
        path: PathBuf,
    },
    /// The file system has too little free space for the disks.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// The path has no last component to name a directory.
    #[error("`{}` cannot be the name of a directory to make", into.display())]
    NoName {
        /// The path.
        into: PathBuf,
    },
    /// The release has no such machine.
    #[error("{release} has no machine `{machine}`; it has {}", machines.join(", "))]
    NoSuchMachine {
        /// The release.
        release: String,
        /// The requested machine.
        machine: MachineName,
        /// The machines of the release.
        machines: Vec<String>,
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
    /// A thread of the pull panicked.
    #[error("the pull stopped unexpectedly; this is a defect of seawall")]
    Defect,
}

impl Failure for PullError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Registry(error) => error.kind(),
            Self::Resolve(error) => error.kind(),
            Self::Fetch(error) => error.kind(),
            Self::Host(error) => error.kind(),
            Self::Lock(error) => error.kind(),
            Self::Verify(error) => error.kind(),
            Self::NoRoom(error) => error.kind(),
            Self::NotEmpty { .. }
            | Self::InTheWay { .. }
            | Self::OtherRelease { .. }
            | Self::OtherDisks { .. }
            | Self::PresentModified { .. } => ErrorKind::Conflict,
            Self::NoName { .. } | Self::OddLength { .. } => ErrorKind::InvalidInput,
            Self::NoSuchMachine { .. } => ErrorKind::NotFound,
            Self::PresentDamaged { .. } => ErrorKind::Damaged,
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
            Self::Verify(error) => return error.remedy(),
            Self::NoRoom(error) => return error.remedy(),
            Self::NotEmpty { .. } | Self::InTheWay { .. } => {
                "name another directory with --into".to_owned()
            }
            Self::OtherRelease { directory, .. } => format!(
                "move it with `seawall patch {} --to …`, or pull into another directory",
                directory.display()
            ),
            Self::OtherDisks { directory, .. } => format!(
                "describe it as it is with `seawall describe {} --as …`, or pull into another \
                 directory",
                directory.display()
            ),
            Self::PresentModified { remedy, .. } => remedy.to_string(),
            Self::PresentDamaged { .. } => {
                "pull into another directory, or remove this one first".to_owned()
            }
            Self::NoName { .. } => "name a directory with --into".to_owned(),
            Self::OddLength { .. } => "pull it with --format raw".to_owned(),
            Self::NoSuchMachine { .. } | Self::Defect => return None,
        };
        Some(text)
    }
}
