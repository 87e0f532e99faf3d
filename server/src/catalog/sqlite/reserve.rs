//! Disk space reserved for deletions: a file of allocated, unused blocks.
//!
//! Freeing space takes some space. A deletion is a transaction, and each connection to the catalog
//! opens with a write-ahead log and its index. On a full disk the reserve is removed first, and its
//! blocks serve the deletion and the collection that follows.
//!
//! # After a crash
//!
//! The file exists or not. The next start makes it again if four times its length is free.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate, statvfs};

/// The name of the file, beside the catalog.
const FILE: &str = "reserve";
/// The maximum length in bytes: as long as SQLite's log grows before a checkpoint.
const LEN_MAX: u64 = 4 << 20;
/// The minimum length in bytes, on the smallest disks: the index of a log, and some pages.
const LEN_MIN: u64 = 512 << 10;
/// The part of a small disk to reserve, as a divisor of its length.
const DISK_PART: u64 = 16;
/// The free space required to make the reserve, in multiples of its length.
const ROOM_FACTOR: u64 = 4;
/// The file's mode: owner only.
const PRIVATE: u32 = 0o600;

/// The reserve of one directory.
#[derive(Debug)]
pub(super) struct Reserve {
    path: PathBuf,
}

/// Length and free space of a disk, in bytes.
struct Disk {
    len: u64,
    free: u64,
}

impl Reserve {
    /// Returns the reserve in the directory of `catalog`.
    pub(super) fn beside(catalog: &Path) -> Self {
        Self { path: catalog.with_file_name(FILE) }
    }

    fn disk(&self) -> io::Result<Disk> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let found = statvfs(folder.unwrap_or(Path::new(".")))?;
        let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        Ok(Disk { len: bytes(found.f_blocks), free: bytes(found.f_bavail) })
    }

    /// Returns whether the disk has less free space than a deletion may take.
    pub(super) fn is_needed(&self) -> bool {
        self.disk().is_ok_and(|disk| disk.free < len_on(&disk))
    }

    /// Releases the space. Returns false if nothing was reserved.
    pub(super) fn release(&self) -> bool {
        let is_released = fs::remove_file(&self.path).is_ok();
        if is_released {
            let path = self.path.display();
            tracing::warn!(%path, "the disk is full: released the reserved space");
        }
        is_released
    }

    /// Makes the reserve if there is enough room. A failure is only logged.
    pub(super) fn keep(&self) {
        if let Err(error) = self.try_keep() {
            tracing::debug!(%error, "cannot reserve space for deletions");
        }
    }

    fn try_keep(&self) -> io::Result<()> {
        let disk = self.disk()?;
        let len = len_on(&disk);
        if self.path.exists() || disk.free < len.saturating_mul(ROOM_FACTOR) {
            return Ok(());
        }
        let file =
            OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(&self.path)?;
        if let Err(error) = fill(&file, len) {
            drop(file);
            fs::remove_file(&self.path)?;
            return Err(error);
        }
        Ok(())
    }
}

fn len_on(disk: &Disk) -> u64 {
    (disk.len / DISK_PART).clamp(LEN_MIN, LEN_MAX)
}

/// Allocates the file's blocks. Fails, so that nothing is reserved, on a file system that cannot
/// allocate.
fn fill(file: &File, len: u64) -> io::Result<()> {
    fallocate(file, FallocateFlags::empty(), 0, len)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserve_is_a_part_of_a_small_disk_and_a_few_megabytes_of_a_large_one() {
        let on = |len| len_on(&Disk { len, free: 0 });
        assert_eq!(on(1 << 20), LEN_MIN);
        assert_eq!(on(32 << 20), 2 << 20);
        assert_eq!(on(1 << 40), LEN_MAX);
    }

    #[test]
    fn the_reserve_is_made_once_and_released_once() {
        let dir = tempfile::tempdir().unwrap();
        let reserve = Reserve::beside(&dir.path().join("catalog.sqlite"));
        reserve.keep();
        reserve.keep();
        let len = fs::metadata(dir.path().join(FILE)).map_or(0, |meta| meta.len());
        assert!(len >= LEN_MIN, "{len} bytes are kept where there is room");
        assert!(reserve.release());
        assert!(!reserve.release());
    }
}
