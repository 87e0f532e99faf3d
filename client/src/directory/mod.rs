//! A directory that holds a pulled release.
//!
//! ```text
//! DIR/web/root.raw         a disk: <machine>/<disk>.<format>
//! DIR/release.json         the release document, its canonical bytes
//! DIR/seawall.lock         the lockfile: names, digests and files of the pulled disks
//! DIR/libvirt/…            descriptors for a host, if requested
//! DIR/libvirt/state/…      guests' overlays on the disks, a folder for each release
//! DIR/.seawall/origin.json the registry and the followed channel, known only to this host
//! DIR/.seawall/times.json  modification times of the disks after the pull, to detect later writes
//! DIR/.seawall/indexes/    indexes and leaves of the disks, by digest; a cache, verified on use
//! DIR/.seawall/patch/      a patch's staging area; with a `journal`, a committed patch
//! DIR/.seawall/pulling     the pull in progress; only in a staging directory
//! ```
//!
//! # Invariants
//!
//! 1. A directory with a lockfile holds a complete release: a pull stages the directory beside its
//!    place, syncs it, and renames it into place.
//! 2. The types of machine and disk names cannot express a path out of the directory. Every other
//!    path in a file of the directory is a [`FolderPath`].
//! 3. The directory may belong to another user. Everything below it is opened by [`Folder`], which
//!    follows no symbolic links.

mod descriptors;
mod indexes;
mod lock;
mod origin;
mod overlays;
mod rename;
mod times;

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{FlockOperation, Mode, OFlags, flock, openat};
use seawall_api::names::{DiskName, MachineName};
use seawall_api::release::Release;
use seawall_store::image::layout::ExportFormat;
use seawall_store::image::{self, DiskImage, ImageError};

pub use descriptors::Described;
pub use indexes::{DiskLayout, IndexCache};
pub use lock::{LockError, LockedDisk, Lockfile};
pub use origin::Origin;
pub use times::DiskTimes;

pub(crate) use descriptors::{describe, remove_stale};
pub(crate) use overlays::{aside, set_aside};
pub(crate) use rename::commit;

use crate::folder::{Folder, FolderPath, mode};
use crate::host::HostError;

/// The lockfile's name.
pub const LOCKFILE: &str = "seawall.lock";
/// The release document's name.
pub const RELEASE_FILE: &str = "release.json";
/// The folder of Seawall's own files.
pub const OWN_FOLDER: &str = ".seawall";
/// The staging folder of a patch.
pub(crate) const PATCH_FOLDER: &str = ".seawall/patch";
/// The journal of a committed patch.
pub(crate) const JOURNAL: &str = ".seawall/patch/journal";
/// The folder of indexes and leaves.
const INDEXES_FOLDER: &str = ".seawall/indexes";

/// Returns true if a patch of the directory was committed but not finished.
///
/// The disks are then of neither release. The next patch finishes the committed one.
#[must_use]
pub fn is_between_releases(root: &Path) -> bool {
    Folder::open(root).is_ok_and(|folder| has_journal(&folder))
}

fn has_journal(folder: &Folder) -> bool {
    folder.has(&FolderPath::composed(JOURNAL))
}

/// Returns true if the directory has a lockfile, i.e. a pulled release.
#[must_use]
pub fn has_lockfile(root: &Path) -> bool {
    Folder::open(root).is_ok_and(|folder| folder.has(&FolderPath::composed(LOCKFILE)))
}

/// Returns the path of a disk's file, relative to the directory.
#[must_use]
pub fn disk_file(machine: &MachineName, disk: &DiskName, format: ExportFormat) -> FolderPath {
    // A machine's name cannot end in `_`, so no other machine has this folder.
    let suffix = if machine.is_file_of_folder() { "_" } else { "" };
    FolderPath::composed(format!("{machine}{suffix}/{disk}.{}", format.container()))
}

/// A directory of a pulled release or of a pull, locked against other commands.
#[derive(Debug)]
pub struct Directory {
    folder: Folder,
    /// The descriptor that holds the lock. Never read.
    _lock: OwnedFd,
}

impl Directory {
    /// Opens a directory and locks it.
    ///
    /// # Errors
    /// Fails if the directory does not exist, or if another command holds the lock.
    pub fn open(root: &Path) -> Result<Self, HostError> {
        let failed = |source| HostError::new("open", root, source);
        let folder = Folder::open(root)?;
        Self::of(folder.named(fs::canonicalize(root).map_err(failed)?))
    }

    /// Locks an open folder.
    ///
    /// # Errors
    /// Fails if another command holds the lock.
    pub(crate) fn of(folder: Folder) -> Result<Self, HostError> {
        let failed = |errno: rustix::io::Errno| {
            let source = match errno {
                rustix::io::Errno::WOULDBLOCK => io::Error::new(
                    io::ErrorKind::AlreadyExists,
                    "another seawall command works on it",
                ),
                errno => errno.into(),
            };
            HostError::new("lock", folder.path(), source)
        };
        // A separate handle, because clones of the folder's handle may outlive the lock.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let lock = openat(folder.handle(), ".", flags, Mode::empty()).map_err(failed)?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(failed)?;
        Ok(Self { folder, _lock: lock })
    }

    /// Returns the directory's canonical path.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the directory's handle, by which everything below it is opened.
    #[must_use]
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Returns the cache of indexes in the directory.
    #[must_use]
    pub fn indexes(&self) -> IndexCache {
        IndexCache::below(&self.folder)
    }

    /// Opens the image of a disk. The image must not refer to other files.
    ///
    /// # Errors
    /// Fails if the disk's file is missing, damaged, a symbolic link, or based on other files.
    pub(crate) fn image(&self, disk: &LockedDisk) -> Result<Box<dyn DiskImage>, ImageError> {
        open_image(&self.folder, &disk.file, disk.container())
    }

    /// Writes the descriptors, the release document and the lockfile, and syncs the folders.
    ///
    /// `place` is the directory's path, now or after the rename.
    ///
    /// # Errors
    /// Fails if a file cannot be written.
    pub fn describe(
        &self,
        place: &Path,
        release: &Release,
        lock: &Lockfile,
    ) -> Result<(), HostError> {
        for description in descriptors::describe(place, release, lock)? {
            descriptors::write(&self.folder, &description)?;
        }
        self.folder.replace(
            &FolderPath::composed(RELEASE_FILE),
            release.bytes(),
            mode::DOCUMENT,
        )?;
        for disk in &lock.disks {
            self.folder.sync_folder_of(&disk.file)?;
        }
        lock.write(&self.folder)
    }
}

/// Opens a disk image below a folder that others may write to.
///
/// # Errors
/// As [`Directory::image`].
pub(crate) fn open_image(
    folder: &Folder,
    file: &FolderPath,
    format: Option<image::Format>,
) -> Result<Box<dyn DiskImage>, ImageError> {
    let path = folder.path_of(file);
    let opened = folder.file(file).map_err(|error| {
        let (verb, path) = (error.verb, error.path);
        ImageError::Io { verb, path, source: error.source }
    })?;
    image::open_file(&path, opened, vec![path.clone()], format, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_machines_folder_is_a_file_of_the_directory() {
        for (machine, folder) in [
            ("web", "web"),
            ("pulling", "pulling"),
            ("libvirt", "libvirt"),
            ("seawall.lock", "seawall.lock_"),
            ("release.json", "release.json_"),
        ] {
            let disk = "root".parse().unwrap();
            let file = disk_file(&machine.parse().unwrap(), &disk, ExportFormat::Raw);
            assert_eq!(file.to_string(), format!("{folder}/root.raw"));
        }
    }
}
