//! Raw images: the file is the disk.
//!
//! Holes come from the file system (`SEEK_DATA`, `SEEK_HOLE`). Where it does not tell, as on block
//! devices, all is data; that is slower to push and gives the same index.
//!
//! # Invariants
//!
//! 1. The disk keeps the length it had when opened. Bytes that go away are an error, not a hole.

use std::ops::Range;
use std::path::PathBuf;

use super::error::check_range;
use super::source::{DiskFile, Seek, Source, read_error};
use super::{DiskImage, ImageError, RUN_LEN_MAX};

/// A raw image: a regular file, sparse or not, or a block device.
#[derive(Debug)]
pub struct RawImage {
    file: DiskFile,
    files: Vec<PathBuf>,
}

impl RawImage {
    pub(super) fn new(file: DiskFile) -> Self {
        let files = vec![file.path().to_owned()];
        Self { file, files }
    }
}

impl DiskImage for RawImage {
    fn disk_len(&self) -> u64 {
        self.file.source_len()
    }

    fn next_data(&self, from: u64) -> Result<Option<Range<u64>>, ImageError> {
        let disk_len = self.disk_len();
        if from >= disk_len {
            return Ok(None);
        }
        let start = match self.file.seek_data(from)? {
            Seek::At(start) if start < disk_len => start,
            // The file grew; what was added is not part of the disk that was opened.
            Seek::At(_) => return Ok(None),
            Seek::PastEnd => return self.file.check_len().map(|()| None),
            Seek::Unknown => from,
        };
        let end = match self.file.seek_hole(start)? {
            // A file that shrinks or is punched right now can say that data ends where it starts.
            Seek::At(end) => end.max(start.saturating_add(1)),
            Seek::PastEnd => return self.file.check_len().map(|()| None),
            Seek::Unknown => disk_len,
        };
        Ok(Some(start..end.min(disk_len).min(start.saturating_add(RUN_LEN_MAX))))
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), ImageError> {
        check_range(self.file.path(), self.disk_len(), offset, buf.len())?;
        self.file
            .read_exact_at(offset, buf)
            .map_err(|source| read_error(self.file.path(), self.disk_len(), offset, source))
    }

    fn files(&self) -> &[PathBuf] {
        &self.files
    }
}

#[cfg(test)]
mod tests;
