//! Readers of disk image files, and layouts for export.
//!
//! Seawall chunks, hashes and stores the bytes that a guest reads, never the container file. A
//! reader presents an image as a length, runs of data, and reads at guest offsets. [`layout`] plans
//! the files written by an export.
//!
//! Images are never modified or repaired, and their internal snapshots are not read.
//!
//! # Invariants
//!
//! 1. A reader never panics and never allocates more than its named limits, whatever the file
//!    holds.
//! 2. A reader never opens a file for writing.
//! 3. Bytes outside the runs that [`DiskImage::next_data`] reports read as zeros.
//! 4. A file is taken for raw only on evidence, not for lack of a signature ([`detect`]).
//! 5. The opener of an image, not the image, decides which other files the image may name
//!    ([`open::trust`]).
//!
//! # At the same time
//!
//! A [`DiskImage`] can be shared between threads; no lock is held during I/O or decompression. If
//! the file is *written* meanwhile, reads return bytes of no single moment. The reader returns an
//! error where it notices (the file shrank, a table is broken).

pub mod convert;
mod detect;
mod error;
mod format;
mod formats;
pub mod layout;
mod open;
pub mod partitions;
mod source;
pub mod stream;

use std::ops::Range;
use std::path::PathBuf;

pub use detect::Wrapping;
pub use error::ImageError;
pub use format::{Format, UnknownFormat};
pub use formats::{Qcow2Image, RawImage, VmdkImage};
pub use open::{FileSlice, OpenOptions, SlicedFile};
pub use open::{empty, open, open_file, open_inflated, open_slices, open_source};
pub use source::Source;

/// Maximum length of a run reported by [`DiskImage::next_data`], in bytes.
pub const RUN_LEN_MAX: u64 = 256 << 20;

/// A format, and the variant of it that a file has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Variant {
    /// The format.
    pub format: Format,
    /// The variant, such as `streamOptimized`; empty if the format has only one.
    pub detail: String,
    /// Length of the disk's logical sectors in bytes, if the file states it.
    pub sector_len: Option<u64>,
}

/// A disk image opened for reading; safe to share between threads.
pub trait DiskImage: Send + Sync {
    /// Returns the length of the guest's disk, in bytes.
    fn disk_len(&self) -> u64;

    /// Returns the first run at or after `from` that may hold data, clipped to the disk.
    ///
    /// Everything from `from` to the run's start is a hole. `None` means that only a hole remains.
    /// Runs are as long as is cheap to determine (at most [`RUN_LEN_MAX`]) and never empty;
    /// adjoining runs are allowed.
    fn next_data(&self, from: u64) -> Result<Option<Range<u64>>, ImageError>;

    /// Fills `buf` with the guest's bytes from `offset`. Unallocated bytes are zeros.
    ///
    /// The range must lie within the disk. After an error the content of `buf` is undefined.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), ImageError>;

    /// Returns whether each read of the bytes at `offset` decompresses them, so that a caller that
    /// needs them twice should keep them. `offset` must lie in the disk.
    fn is_packed(&self, offset: u64) -> Result<bool, ImageError>;

    /// Returns the file's format and variant, for display.
    fn variant(&self) -> Variant;

    /// Returns all files of the image, backing files last. A stat cache watches these.
    fn files(&self) -> &[PathBuf];
}
