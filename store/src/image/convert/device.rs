//! Block devices as output, written in place.
//!
//! # After a crash
//!
//! A device cannot be replaced as a whole: what was written so far stays, and is not a disk.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, OFlags, fallocate};

use super::ConvertError;
use crate::new_file::Overwrite;
use crate::scan::is_zero;

/// Length of the start and of the end examined for data, in bytes: boot sectors, labels and file
/// systems leave their marks there.
const LOOKED_AT: u64 = 1 << 20;

/// The alignment of requests for zeros, in bytes: the maximum length of a device's blocks.
const BLOCK_LEN: u64 = 4096;

/// A block device open for exclusive writing: the kernel refuses one that is mounted or in use.
#[derive(Debug)]
pub struct Device {
    file: File,
    path: PathBuf,
    /// The length of the device, in bytes.
    len: u64,
    /// Offset of the next byte.
    at: u64,
}

impl Device {
    /// Returns whether `path` is a block device.
    #[must_use]
    pub fn is_at(path: &Path) -> bool {
        std::fs::metadata(path).is_ok_and(|found| found.file_type().is_block_device())
    }

    /// Opens a device for an image of `len` bytes, or of unknown length.
    ///
    /// # Errors
    /// Fails if the device is in use or too small, or holds data that may not be replaced.
    pub fn open(path: &Path, overwrite: Overwrite, len: Option<u64>) -> Result<Self, ConvertError> {
        let failed = |source| ConvertError::Output { verb: "open", path: path.into(), source };
        let refuse = |reason: String, remedy: String| Err(refused(path, reason, remedy));
        let flags = i32::try_from((OFlags::EXCL | OFlags::NOCTTY).bits()).unwrap_or(0);
        let opened = File::options().read(true).write(true).custom_flags(flags).open(path);
        let mut file = match opened {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                return refuse(
                    "is mounted or in use".to_owned(),
                    format!("see `lsblk {}`, and unmount its file systems", path.display()),
                );
            }
            opened => opened.map_err(failed)?,
        };
        let room = file.seek(SeekFrom::End(0)).map_err(failed)?;
        if overwrite == Overwrite::Refuse && has_marks(&file, room).map_err(failed)? {
            return refuse(
                "holds data".to_owned(),
                format!(
                    "if it is not needed, empty it: `wipefs -a {0}` and `blkdiscard -z {0}`; \
                     `convert` takes `--force`",
                    path.display()
                ),
            );
        }
        file.rewind().map_err(failed)?;
        let device = Self { file, path: path.to_owned(), len: room, at: 0 };
        device.check_room(len.unwrap_or(0))?;
        Ok(device)
    }

    /// Fails if an image of `len` bytes does not fit.
    ///
    /// # Errors
    /// Fails if the device is too small.
    pub(super) fn check_room(&self, len: u64) -> Result<(), ConvertError> {
        if len <= self.len {
            return Ok(());
        }
        let reason = format!("has {} bytes, and the image {len}", self.len);
        let remedy = "give a larger device, or another format".to_owned();
        Err(refused(&self.path, reason, remedy))
    }

    /// Writes `len` zeros, so that no old data shows through a hole of the image.
    ///
    /// The device does so itself if it can, which also frees the blocks of a thin device.
    pub(super) fn write_zeros(&mut self, len: u64) -> io::Result<()> {
        let end = self.at + len;
        let first = self.at.next_multiple_of(BLOCK_LEN).min(end);
        let last = (end - end % BLOCK_LEN).max(first);
        self.write_plain_zeros(first - self.at)?;
        if last > first {
            let ways = [
                FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE,
                FallocateFlags::ZERO_RANGE | FallocateFlags::KEEP_SIZE,
            ];
            if ways.iter().any(|way| fallocate(&self.file, *way, first, last - first).is_ok()) {
                self.at = self.file.seek(SeekFrom::Start(last))?;
            } else {
                self.write_plain_zeros(last - first)?;
            }
        }
        self.write_plain_zeros(end - last)
    }

    fn write_plain_zeros(&mut self, mut len: u64) -> io::Result<()> {
        static ZEROS: [u8; 1 << 16] = [0; 1 << 16];
        while len > 0 {
            let step = len.min(ZEROS.len() as u64);
            self.write_all(&ZEROS[..usize::try_from(step).unwrap_or(0)])?;
            len -= step;
        }
        Ok(())
    }
}

fn refused(path: &Path, reason: String, remedy: String) -> ConvertError {
    ConvertError::Device { path: path.to_owned(), reason, remedy }
}

/// Returns whether the start or the end of a device has bytes other than zero: partition tables,
/// RAID, LVM and file systems leave their marks there.
fn has_marks(device: &File, len: u64) -> io::Result<bool> {
    let step = len.min(LOOKED_AT);
    let mut bytes = vec![0; usize::try_from(step).unwrap_or(0)];
    for at in [0, len - step] {
        device.read_exact_at(&mut bytes, at)?;
        if !is_zero(&bytes) {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Write for Device {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let written = self.file.write(buf)?;
        self.at += written as u64;
        Ok(written)
    }

    /// Makes the written bytes durable.
    fn flush(&mut self) -> io::Result<()> {
        self.file.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Returns a file in place of a device, and its initial content.
    fn device(len: usize) -> (tempfile::TempDir, PathBuf, Vec<u8>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("device");
        let old = vec![7; len];
        fs::write(&path, &old).unwrap();
        (dir, path, old)
    }

    #[test]
    fn old_data_of_a_device_does_not_show_through_zeros() {
        for (before, zeros) in [(0, 1 << 20), (512, 3584), (4096, 8192), (1000, 300_000), (9, 1)] {
            let (_dir, path, mut expected) = device(1 << 20);
            let mut device = Device::open(&path, Overwrite::Replace, None).unwrap();
            device.write_all(&vec![1; before]).unwrap();
            device.write_zeros(zeros).unwrap();
            let end = before + usize::try_from(zeros).unwrap();
            let after = (expected.len() - end).min(100);
            device.write_all(&vec![2; after]).unwrap();
            device.flush().unwrap();
            expected[..before].fill(1);
            expected[before..end].fill(0);
            expected[end..end + after].fill(2);
            assert!(fs::read(&path).unwrap() == expected, "{before} bytes, then {zeros} zeros");
        }
    }

    #[test]
    fn a_device_that_holds_anything_at_its_start_or_end_is_not_written_to() {
        let len = 3 << 20;
        for at in [None, Some(0), Some(511), Some(len - 512)] {
            let (_dir, path, _) = device(0);
            let file = File::create(&path).unwrap();
            file.set_len(len).unwrap();
            if let Some(at) = at {
                file.write_all_at(b"LABELONE", at).unwrap();
            }
            let opened = Device::open(&path, Overwrite::Refuse, None);
            assert_eq!(opened.is_err(), at.is_some(), "{at:?}: {opened:?}");
            Device::open(&path, Overwrite::Replace, Some(len)).unwrap();
            let small = Device::open(&path, Overwrite::Replace, Some(len + 1)).unwrap_err();
            assert!(small.to_string().contains("has 3145728 bytes"), "{small}");
        }
    }
}
