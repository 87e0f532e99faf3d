//! A block device that is written in place.
//!
//! # After a crash
//!
//! A device has no other name to be whole under: what was written stays, and is no disk.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::ConvertError;
use crate::new_file::Overwrite;
use crate::scan::is_zero;

/// Bytes at the start in which boot sectors, labels and file systems leave their marks.
const LOOKED_AT: usize = 1 << 20;

/// A block device open for writing, alone: the kernel refuses one that is mounted or in use.
#[derive(Debug)]
pub struct Device {
    file: File,
}

impl Device {
    /// Whether a path is that of a block device.
    #[must_use]
    pub fn is_at(path: &Path) -> bool {
        std::fs::metadata(path).is_ok_and(|found| found.file_type().is_block_device())
    }

    /// Opens a device for an image of `len` bytes, where that is known.
    ///
    /// # Errors
    /// When the device is in use or too small, or holds data that may not be replaced.
    pub fn open(path: &Path, overwrite: Overwrite, len: Option<u64>) -> Result<Self, ConvertError> {
        let failed = |source| ConvertError::Output { verb: "open", path: path.into(), source };
        let refuse = |reason: String, remedy: String| {
            Err(ConvertError::Device { path: PathBuf::from(path), reason, remedy })
        };
        let flags = i32::try_from((OFlags::EXCL | OFlags::NOCTTY).bits()).unwrap_or(0);
        let opened = File::options().read(true).write(true).custom_flags(flags).open(path);
        let mut file = match opened {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                return refuse(
                    "is mounted or in use".to_owned(),
                    format!("see `lsblk {}`, and unmount what is on it", path.display()),
                );
            }
            opened => opened.map_err(failed)?,
        };
        let room = file.seek(SeekFrom::End(0)).map_err(failed)?;
        if let Some(len) = len.filter(|len| *len > room) {
            return refuse(
                format!("has {room} bytes, and the image {len}"),
                "give a larger device, or another format".to_owned(),
            );
        }
        file.rewind().map_err(failed)?;
        if overwrite == Overwrite::Refuse {
            let mut start = Vec::with_capacity(LOOKED_AT);
            let looked_at = Read::take(&mut file, LOOKED_AT as u64).read_to_end(&mut start);
            looked_at.map_err(failed)?;
            if !is_zero(&start) {
                return refuse(
                    "holds data".to_owned(),
                    format!(
                        "if nobody needs it, empty it: `wipefs -a {0}` and `blkdiscard -z {0}`; \
                         `convert` takes `--force`",
                        path.display()
                    ),
                );
            }
            file.rewind().map_err(failed)?;
        }
        Ok(Self { file })
    }
}

impl Write for Device {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.file.write(buf)
    }

    /// Makes what was written durable.
    fn flush(&mut self) -> io::Result<()> {
        self.file.sync_all()
    }
}
