//! A file's identity by its metadata, without reading its content.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

/// The longest delay of the kernel's clock for timestamps.
const TICK: Duration = Duration::from_millis(20);
/// The resolution of timestamps on file systems without fractions of a second (FAT).
const COARSE_TICK: Duration = Duration::from_secs(2);

/// The metadata that change whenever a file's bytes are changed through its file system.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FileIdentity {
    path: PathBuf,
    device: u64,
    inode: u64,
    len: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl FileIdentity {
    /// Returns the identity of the file at `path`.
    ///
    /// # Errors
    /// Fails if the file cannot be inspected, or is not a regular file: writes to a block device do
    /// not change its times.
    pub fn of(path: &Path) -> io::Result<Self> {
        let path = fs::canonicalize(path)?;
        let meta = fs::metadata(&path)?;
        Self::from_metadata(path, &meta)
    }

    /// Returns the identity of an open file, named `path`.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub(crate) fn of_open(path: PathBuf, file: &fs::File) -> io::Result<Self> {
        Self::from_metadata(path, &file.metadata()?)
    }

    fn from_metadata(path: PathBuf, meta: &fs::Metadata) -> io::Result<Self> {
        if !meta.is_file() {
            return Err(io::Error::other("only the times of a regular file change with its bytes"));
        }
        Ok(Self {
            path,
            device: meta.dev(),
            inode: meta.ino(),
            len: meta.len(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        })
    }

    /// Returns the canonical path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns whether a write after `moment` would change the identity: git's rule for racy
    /// timestamps.
    ///
    /// A file written before and after a read within one tick has the same timestamp for both
    /// writes.
    #[must_use]
    pub fn is_settled_at(&self, moment: SystemTime) -> bool {
        [self.modified, self.changed].into_iter().all(|(secs, nanos)| {
            let tick = if nanos == 0 { COARSE_TICK } else { TICK };
            let (Ok(secs), Ok(nanos)) = (u64::try_from(secs), u32::try_from(nanos)) else {
                return false;
            };
            SystemTime::UNIX_EPOCH
                .checked_add(Duration::new(secs, nanos) + tick)
                .is_some_and(|settled| settled < moment)
        })
    }
}
