//! The scratch folder, which receives inflated disks.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::DiskError;

/// The folder for a command's temporary files, which have no names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scratch(PathBuf);

impl Default for Scratch {
    /// Returns the folder for large temporary files: on many hosts, `/tmp` is in memory.
    fn default() -> Self {
        let large = Path::new("/var/tmp");
        Self(if large.is_dir() { large.to_owned() } else { PathBuf::from("/tmp") })
    }
}

impl Scratch {
    /// Returns a scratch folder at a path chosen by the caller.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self(folder)
    }

    /// Returns the folder's path.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// Creates an unnamed file for at least `len` bytes.
    ///
    /// # Errors
    /// Fails if the file cannot be created, or if the file system has less than `len` bytes free.
    pub(super) fn file(&self, len: u64) -> Result<File, DiskError> {
        let file = tempfile::tempfile_in(&self.0).map_err(|source| self.failed(source))?;
        let Ok(found) = rustix::fs::fstatvfs(&file) else { return Ok(file) };
        let free = found.f_bavail.saturating_mul(found.f_frsize);
        if free < len {
            return Err(DiskError::NoRoom { folder: self.0.clone(), needed: len, free });
        }
        Ok(file)
    }

    /// Returns the error of an operation on a scratch file.
    pub(super) fn failed(&self, source: io::Error) -> DiskError {
        DiskError::Scratch { folder: self.0.clone(), source }
    }
}
