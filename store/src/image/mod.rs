//! Guest-visible bytes behind disk image files.
//!
//! Seawall cuts, hashes and stores what a guest would read, never the container file. This module
//! turns a container file into that: a length, runs of data, and reads at guest offsets.
//!
//! # Invariants
//!
//! 1. A reader never panics and never allocates more than its named limits, whatever the file holds.
//! 2. A reader never opens a file for writing.
//! 3. Bytes outside the runs that [`DiskImage::next_data`] reports read as zeros.

use std::path::PathBuf;

/// A disk image opened for reading; safe to share between threads.
pub trait DiskImage: Send + Sync {
    /// Length of the disk the guest sees, in bytes.
    fn disk_len(&self) -> u64;

    /// The first run that may hold data at or after `from`, clipped to the disk.
    ///
    /// Everything before the run's start is a hole. `None` when only a hole remains. Runs are as
    /// long as is cheap to know (at most 256 MiB each), and adjoining runs are allowed.
    fn next_data(&self, from: u64) -> Result<Option<std::ops::Range<u64>>, ImageError>;

    /// Fills `buf` with the guest's bytes from `offset`; zeros past what is allocated.
    ///
    /// The range must lie within the disk.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), ImageError>;

    /// Every file this image is made of, backing files last: the identity a stat cache watches.
    fn files(&self) -> &[PathBuf];
}

/// Why an image could not be read.
#[derive(Debug, thiserror::Error)]
#[error("placeholder")]
pub struct ImageError;
