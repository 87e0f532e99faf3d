//! Where compressed disks are inflated to.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::DiskError;

/// The folder for files that are needed while a command runs; they have no names there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scratch(PathBuf);

impl Default for Scratch {
    /// The folder for large temporary files: `/tmp` is memory on many hosts.
    fn default() -> Self {
        let large = Path::new("/var/tmp");
        Self(if large.is_dir() { large.to_owned() } else { PathBuf::from("/tmp") })
    }
}

impl Scratch {
    /// A folder that the caller chose.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self(folder)
    }

    /// Where it is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// Creates a file without a name, for at least `len` bytes.
    ///
    /// # Errors
    /// When it cannot be created, or the file system has less room than that.
    pub(super) fn file(&self, len: u64) -> Result<File, DiskError> {
        let file = tempfile::tempfile_in(&self.0).map_err(|source| self.failed(source))?;
        let Ok(found) = rustix::fs::fstatvfs(&file) else { return Ok(file) };
        let free = found.f_bavail.saturating_mul(found.f_frsize);
        if free < len {
            return Err(DiskError::NoRoom { folder: self.0.clone(), needed: len, free });
        }
        Ok(file)
    }

    /// The error of a file in it.
    pub(super) fn failed(&self, source: io::Error) -> DiskError {
        DiskError::Scratch { folder: self.0.clone(), source }
    }
}
