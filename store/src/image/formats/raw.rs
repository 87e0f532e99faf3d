//! Raw images: the file is the disk.
//!
//! Holes come from the file system (`SEEK_DATA`, `SEEK_HOLE`). Where these are not supported, as on
//! block devices, everything is data: slower to push, with the same index.
//!
//! # Invariants
//!
//! 1. The disk keeps its length as of opening. Bytes missing later are an error, not a hole.

use std::io;
use std::ops::Range;
use std::path::PathBuf;

use crate::image::error::check_range;
use crate::image::source::{DiskFile, Source, read_error};
use crate::image::{DiskImage, Format, ImageError, RUN_LEN_MAX, Variant};

/// A raw image: a regular file, sparse or not, or a block device.
#[derive(Debug)]
pub struct RawImage {
    file: DiskFile,
    files: Vec<PathBuf>,
}

impl RawImage {
    pub(in crate::image) fn new(file: DiskFile) -> Self {
        let files = vec![file.path().to_owned()];
        Self { file, files }
    }

    fn read_error(&self, offset: u64, source: io::Error) -> ImageError {
        read_error(self.file.path(), self.file.source_len(), offset, source)
    }
}

impl DiskImage for RawImage {
    fn disk_len(&self) -> u64 {
        self.file.source_len()
    }

    fn next_data(&self, from: u64) -> Result<Option<Range<u64>>, ImageError> {
        let run = self.file.next_run(from).map_err(|source| self.read_error(from, source))?;
        Ok(run.map(|run| run.start..run.end.min(run.start.saturating_add(RUN_LEN_MAX))))
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), ImageError> {
        check_range(self.file.path(), self.disk_len(), offset, buf.len())?;
        self.file.read_exact_at(offset, buf).map_err(|source| self.read_error(offset, source))
    }

    fn is_packed(&self, _offset: u64) -> Result<bool, ImageError> {
        Ok(false)
    }

    fn variant(&self) -> Variant {
        Variant { format: Format::Raw, detail: String::new(), sector_len: None }
    }

    fn files(&self) -> &[PathBuf] {
        &self.files
    }
}

#[cfg(test)]
mod tests;
