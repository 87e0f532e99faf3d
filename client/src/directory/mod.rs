//! A directory that holds a pulled release.
//!
//! ```text
//! DIR/web/root.raw         a disk: <machine>/<disk>.<format>
//! DIR/release.json         the release document, its canonical bytes
//! DIR/seawall.lock         what was pulled: names, digests, files
//! DIR/libvirt/…            descriptors for a host, where they were asked for
//! DIR/libvirt/state/…      what guests wrote above the disks, a folder for each release
//! DIR/.seawall/origin.json the registry, and the channel it follows; the host's own memory
//! DIR/.seawall/times.json  when its disks were put in place, to know whether one was written to
//! DIR/.seawall/indexes/    indexes and leaves of the disks, by digest; a cache, verified on use
//! DIR/.seawall/patch/       what a patch stages; a `journal` in it: between two releases
//! ```
//!
//! # Invariants
//!
//! 1. A directory with a lockfile holds a whole release: it is staged beside its place, synced,
//!    and renamed in.
//! 2. Names of machines and disks cannot leave the directory: their types forbid it.

mod descriptors;
mod indexes;
mod lock;
mod origin;
mod overlays;
mod times;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FlockOperation, RenameFlags, flock, renameat_with};
use seawall_api::names::{DiskName, MachineName};
use seawall_api::release::Release;
use seawall_store::image::layout::ExportFormat;

pub use descriptors::Described;
pub use indexes::{DiskLayout, IndexCache};
pub use lock::{LockError, LockedDisk, Lockfile};
pub use origin::Origin;
pub use times::DiskTimes;

pub(crate) use descriptors::{describe, remove_stale};
pub(crate) use overlays::{aside, set_aside};

use crate::host::{HostError, replace_file};

/// The lockfile's name.
pub const LOCKFILE: &str = "seawall.lock";
/// The release document's name.
pub const RELEASE_FILE: &str = "release.json";
/// The folder of what Seawall keeps for itself.
pub const OWN_FOLDER: &str = ".seawall";

/// The folder of a patch's own, below a directory.
pub(crate) fn patch_folder(root: &Path) -> PathBuf {
    root.join(OWN_FOLDER).join("patch")
}

/// Whether a patch of a directory was committed and is not done: its disks are neither release,
/// and the next patch makes them the new one.
#[must_use]
pub fn is_between_releases(root: &Path) -> bool {
    patch_folder(root).join("journal").exists()
}

/// Where a disk's file lies, from the directory.
#[must_use]
pub fn disk_file(machine: &MachineName, disk: &DiskName, format: ExportFormat) -> PathBuf {
    Path::new(machine.as_str()).join(format!("{disk}.{}", format.container()))
}

/// A directory, pulled or being pulled; locked against other commands while this exists.
#[derive(Debug)]
pub struct Directory {
    root: PathBuf,
    /// Holds the lock; never read.
    _lock: File,
}

impl Directory {
    /// Opens a directory for this command alone.
    ///
    /// # Errors
    /// When it does not exist, or another command works on it.
    pub fn open(root: &Path) -> Result<Self, HostError> {
        let failed = |source| HostError::new("open", root, source);
        let root = fs::canonicalize(root).map_err(failed)?;
        let file = File::open(&root).map_err(failed)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|errno| {
            let source = match errno {
                rustix::io::Errno::WOULDBLOCK => io::Error::new(
                    io::ErrorKind::AlreadyExists,
                    "another seawall command works on it",
                ),
                errno => errno.into(),
            };
            HostError::new("lock", &root, source)
        })?;
        Ok(Self { root, _lock: file })
    }

    /// Opens a directory, which is made if it does not exist.
    ///
    /// # Errors
    /// When it cannot be made, or another command works on it.
    pub fn open_or_create(root: &Path) -> Result<Self, HostError> {
        fs::create_dir_all(root).map_err(|source| HostError::new("create", root, source))?;
        Self::open(root)
    }

    /// The directory's canonical path.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A path below the directory; its folder is made.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn place(&self, file: &Path) -> Result<PathBuf, HostError> {
        let path = self.root.join(file);
        let folder = path.parent().unwrap_or(&self.root);
        fs::create_dir_all(folder).map_err(|source| HostError::new("create", folder, source))?;
        Ok(path)
    }

    /// The indexes kept in it.
    #[must_use]
    pub fn indexes(&self) -> IndexCache {
        IndexCache::new(self.root.join(OWN_FOLDER).join("indexes"))
    }

    /// Writes the descriptors, the release document and the lockfile, and makes every name below
    /// durable. `place` is where the directory is or will be.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn describe(
        &self,
        place: &Path,
        release: &Release,
        lock: &Lockfile,
    ) -> Result<(), HostError> {
        for description in descriptors::describe(place, release, lock)? {
            descriptors::write(&self.root, &description)?;
        }
        replace_file(&self.root.join(RELEASE_FILE), release.bytes())?;
        for disk in &lock.disks {
            if let Some(folder) = self.root.join(&disk.file).parent() {
                sync_folder(folder)?;
            }
        }
        lock.write(&self.root.join(LOCKFILE))
    }

    /// Gives a staged directory its final place, at once. A lockfile that lies there alone is
    /// replaced: the staged directory has one of its own.
    ///
    /// # Errors
    /// When anything else lies there that is not an empty directory.
    pub fn rename_to(self, place: &Path) -> Result<PathBuf, HostError> {
        let failed = |source| HostError::new("create", place, source);
        let lockfile = place.join(LOCKFILE);
        let is_bare = lockfile.exists() && fs::read_dir(place).is_ok_and(|dir| dir.count() == 1);
        if !is_bare {
            fs::rename(&self.root, place).map_err(failed)?;
        } else if renameat_with(CWD, &self.root, CWD, place, RenameFlags::EXCHANGE).is_ok() {
            let _ = fs::remove_dir_all(&self.root);
        } else {
            // A file system that cannot exchange: a crash in between leaves the lockfile staged.
            fs::remove_file(&lockfile).map_err(failed)?;
            fs::rename(&self.root, place).map_err(failed)?;
        }
        if let Some(parent) = place.parent() {
            sync_folder(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })?;
        }
        fs::canonicalize(place).map_err(|e| HostError::new("open", place, e))
    }
}

/// Makes the names in a folder survive loss of power.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), HostError> {
    let sync = || File::open(folder)?.sync_all();
    sync().map_err(|source| HostError::new("sync", folder, source))
}
