//! A check for free space before a flow writes.
//!
//! A comparison before the first byte, not a reservation: if another process takes the space, the
//! write fails as usual. The compared size is a lower bound of the written bytes, so that nothing
//! is refused that would have fitted.

use std::io;
use std::path::{Path, PathBuf};

use seawall_api::units::HumanBytes;
use seawall_store::image::{DiskImage, ImageError};
use serde::Serialize;

use crate::error::{ErrorKind, Failure};

/// The magic numbers of file systems with compression: zfs, btrfs, bcachefs.
const COMPRESSING: [u64; 3] = [0x2FC1_2FC1, 0x9123_683E, 0xCA45_1A4E];

/// The space that a flow needs on a file system, and the free space.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Room {
    /// The folder to write to, or its closest existing ancestor.
    #[serde(skip)]
    pub folder: PathBuf,
    /// The minimum of bytes to be written.
    pub needed_bytes: u64,
    /// The number of bytes free for this user. `None` if the file system does not report it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub free_bytes: Option<u64>,
}

/// The file system has too little free space.
#[derive(Debug, thiserror::Error)]
#[error("not enough space in {}: {} is needed, and {} is free", .folder.display(),
    HumanBytes(*.needed_bytes), HumanBytes(*.free_bytes))]
pub struct NoRoom {
    /// The folder to write to.
    pub folder: PathBuf,
    /// The minimum of bytes to be written.
    pub needed_bytes: u64,
    /// The number of bytes free for this user.
    pub free_bytes: u64,
}

impl Failure for NoRoom {
    fn kind(&self) -> ErrorKind {
        ErrorKind::StorageFull
    }

    fn remedy(&self) -> Option<String> {
        let lacking = HumanBytes(self.needed_bytes.saturating_sub(self.free_bytes));
        Some(format!("nothing was changed: free {lacking} there, or write to another file system"))
    }
}

impl Room {
    /// Measures the file system of `folder`, or of its closest existing ancestor.
    #[must_use]
    pub fn of(folder: &Path, needed_bytes: u64) -> Self {
        let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        let there = absolute.ancestors().find(|it| it.is_dir()).unwrap_or(&absolute).to_owned();
        let free_bytes = free_bytes(&there).ok().flatten();
        Self { folder: there, needed_bytes, free_bytes }
    }

    /// Checks the free space.
    ///
    /// # Errors
    /// Fails if less is free than needed. Passes if the free space is unknown.
    pub fn check(&self) -> Result<(), NoRoom> {
        match self.free_bytes {
            Some(free_bytes) if free_bytes < self.needed_bytes => Err(NoRoom {
                folder: self.folder.clone(),
                needed_bytes: self.needed_bytes,
                free_bytes,
            }),
            _ => Ok(()),
        }
    }
}

impl std::fmt::Display for Room {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "needs {}", HumanBytes(self.needed_bytes))?;
        if let Some(free) = self.free_bytes {
            write!(f, ", {} free in {}", HumanBytes(free), self.folder.display())?;
        }
        Ok(())
    }
}

/// Returns the number of bytes that this user may write in a folder. `None` if the file system does
/// not report it, or may compress the data.
fn free_bytes(folder: &Path) -> io::Result<Option<u64>> {
    let kind = u64::try_from(rustix::fs::statfs(folder)?.f_type).unwrap_or(0);
    let found = rustix::fs::statvfs(folder)?;
    if COMPRESSING.contains(&(kind & 0xFFFF_FFFF)) || found.f_blocks == 0 {
        return Ok(None);
    }
    // Some blocks are reserved for root.
    let is_root = rustix::process::geteuid().is_root();
    let blocks = if is_root { found.f_bfree } else { found.f_bavail };
    Ok(Some(blocks.saturating_mul(found.f_frsize)))
}

/// Returns the bytes of data according to an image's map, an upper bound of the nonzero bytes.
///
/// # Errors
/// Fails if the map cannot be read.
pub(crate) fn allocated_bytes(image: &dyn DiskImage) -> Result<u64, ImageError> {
    let (mut bytes, mut at) = (0, 0);
    while let Some(run) = image.next_data(at)? {
        bytes += run.end - run.start;
        at = run.end;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lack_of_space_is_reported_with_both_sums() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("a/b");
        assert_eq!(Room::of(&missing, 0).folder, dir.path());
        let room = Room { folder: "/srv".into(), needed_bytes: 3 << 30, free_bytes: Some(2 << 30) };
        assert_eq!(room.to_string(), "needs 3.0 GiB, 2.0 GiB free in /srv");
        let error = room.check().unwrap_err();
        assert_eq!(
            error.to_string(),
            "not enough space in /srv: 3.0 GiB is needed, and 2.0 GiB is free"
        );
        assert!(error.remedy().unwrap().contains("free 1.0 GiB"));
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        for free_bytes in [None, Some(3 << 30)] {
            Room { free_bytes, ..room.clone() }.check().unwrap();
        }
    }
}
