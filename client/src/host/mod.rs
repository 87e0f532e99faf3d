//! State kept on this host between commands: scanned disks and pulled releases.
//!
//! The state is a cache. Every file may be deleted at any time, and every record is verified on use
//! or trusted only as far as the file system's timestamps prove it.
//!
//! # Invariants
//!
//! 1. Files are replaced by rename, so a reader sees the old or the new content.
//! 2. A damaged or foreign file is treated as missing.
//! 3. Below the state's folder, no link is followed and no pipe is opened ([`Folder`]).

mod holdings;
mod image_lock;
mod memo;
mod stat;
mod write_behind;

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

pub use holdings::{HeldDisk, Holding};
pub use image_lock::{ImageLockError, ReadLocks};
pub(crate) use image_lock::{ImageLocks, is_in_use};
pub use memo::ScanMemo;
pub use stat::FileIdentity;
pub(crate) use write_behind::WriteBehind;

use seawall_store::error::io_remedy;

use crate::error::ErrorKind;
use crate::folder::{Folder, FolderPath, Untouchable, mode};

/// An error of access to a local file.
#[derive(Debug, thiserror::Error)]
#[error("cannot {verb} {}", path.display())]
pub struct HostError {
    /// The failed operation.
    pub verb: &'static str,
    /// The file.
    pub path: PathBuf,
    /// The cause.
    pub source: io::Error,
}

impl HostError {
    pub(crate) fn new(verb: &'static str, path: &Path, source: io::Error) -> Self {
        Self { verb, path: path.to_owned(), source }
    }

    /// Returns the kind of the error, which decides the exit code.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        if Untouchable::of(&self.source).is_some() {
            return ErrorKind::Conflict;
        }
        ErrorKind::of_io(&self.source)
    }

    /// Returns the next step, if one is known.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        if let Some(untouchable) = Untouchable::of(&self.source) {
            return Some(untouchable.remedy(&self.path));
        }
        match self.kind() {
            ErrorKind::StorageFull if self.source.kind() != io::ErrorKind::FileTooLarge => {
                Some("free some space and run the same command again: it resumes".to_owned())
            }
            ErrorKind::InvalidInput => Some(match self.source.kind() {
                io::ErrorKind::NotADirectory => "a folder of this path is a file".to_owned(),
                io::ErrorKind::IsADirectory => "name a file: this is a directory".to_owned(),
                io::ErrorKind::InvalidData => "name another file".to_owned(),
                _ => "use a directory of another name".to_owned(),
            }),
            ErrorKind::NotFound if self.verb == "create" => make_folder_of(&self.path),
            ErrorKind::Denied if self.source.kind() == io::ErrorKind::PermissionDenied => {
                Some("check the owner and mode of the path".to_owned())
            }
            _ => io_remedy(&self.source).map(str::to_owned),
        }
    }
}

/// Returns the next step if a file cannot be created because its folder is missing.
pub(crate) fn make_folder_of(file: &Path) -> Option<String> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty())?;
    Some(format!("make the folder {} first, or name another", folder.display()))
}

/// The directory of this host's state, and its clock.
#[derive(Clone, Debug)]
pub struct HostState {
    root: PathBuf,
    now: fn() -> SystemTime,
}

impl HostState {
    /// Returns the state under `root`, which is created on first use.
    #[must_use]
    pub fn new(root: PathBuf, now: fn() -> SystemTime) -> Self {
        Self { root, now }
    }

    /// Returns the current time by the clock of file timestamps.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        (self.now)()
    }

    /// Returns the path of a directory for the temporary files of one process.
    pub(crate) fn scratch_path(&self) -> PathBuf {
        self.root.join(scratch_name())
    }

    /// Creates the folder at [`Self::scratch_path`] and opens it.
    ///
    /// # Errors
    /// Fails if the folder cannot be created, or is a link.
    pub(crate) fn make_scratch(&self) -> Result<Folder, HostError> {
        let name = scratch_name();
        make_own_folder(&self.root)?;
        let root = Folder::open(&self.root)?;
        root.make_folder(&name, mode::OWN_FOLDER)?;
        root.folder(&name)
    }

    /// Returns the folder and the path of the journal of a volume at a provider. The path's folder
    /// exists.
    ///
    /// # Errors
    /// Fails if the folder cannot be made.
    pub(crate) fn volume_journal(&self, volume: &str) -> Result<(Folder, FolderPath), HostError> {
        make_own_folder(&self.root)?;
        let root = Folder::open(&self.root)?;
        let path = file_of("volumes", Path::new(volume));
        root.make_folder_of(&path, mode::OWN_FOLDER)?;
        Ok((root, path))
    }

    /// Reads a record. Returns `None` if the record is missing or unreadable.
    fn read(&self, file: &FolderPath, len_max: u64) -> Option<Vec<u8>> {
        Folder::open(&self.root).and_then(|root| root.read(file, len_max)).ok()
    }

    /// Replaces a record atomically: a crash leaves the old or the new bytes. Only the user can
    /// read it, regardless of the umask.
    ///
    /// # Errors
    /// Fails if the folder or the file cannot be written.
    fn replace(&self, file: &FolderPath, bytes: &[u8]) -> Result<(), HostError> {
        make_own_folder(&self.root)?;
        let root = Folder::open(&self.root)?;
        root.make_folder_of(file, mode::OWN_FOLDER)?;
        root.replace(file, bytes, mode::FILE)
    }
}

fn scratch_name() -> FolderPath {
    FolderPath::composed(format!("scratch/{}", std::process::id()))
}

/// Returns the path of a record, relative to the state's folder.
fn file_of(folder: &str, key: &Path) -> FolderPath {
    let name = blake3::hash(key.as_os_str().as_encoded_bytes()).to_hex();
    FolderPath::composed(format!("{folder}/{}", &name.as_str()[..32]))
}

/// Creates the folder of the host's state and its parents, accessible only to the user.
///
/// # Errors
/// Fails if the folder cannot be created.
fn make_own_folder(folder: &Path) -> Result<(), HostError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(mode::OWN_FOLDER.bits());
    builder.create(folder).map_err(|source| HostError::new("create", folder, source))
}

#[cfg(test)]
mod tests;
