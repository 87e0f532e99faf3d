//! Guest-visible bytes behind disk image files.
//!
//! Seawall cuts, hashes and stores what a guest would read, never the container file. This module
//! turns a container file into that: a length, runs of data, and reads at guest offsets. It also
//! lays out files for export ([`layout`]).
//!
//! It does not write into images, repair them, or read their internal snapshots.
//!
//! # Invariants
//!
//! 1. A reader never panics and never allocates more than its named limits, whatever the file
//!    holds.
//! 2. A reader never opens a file for writing.
//! 3. Bytes outside the runs that [`DiskImage::next_data`] reports read as zeros.
//! 4. A file is raw because something says so, never for want of a signature ([`detect`]).
//! 5. Which other files an image may name is for its opener to say, not for the image ([`trust`]).
//!
//! # At the same time
//!
//! A [`DiskImage`] is shared between threads freely; no lock is held during I/O or inflation. A
//! file that is *written* while it is read gives bytes of no single moment, and where the reader
//! can tell (the file shrank, a table is broken) an error.

mod ahead;
mod bitmap;
mod blocks;
mod cache;
pub mod convert;
mod crc32c;
mod detect;
mod error;
mod fields;
mod format;
pub mod layout;
mod open;
mod parent;
pub mod partitions;
mod qcow2;
mod raw;
mod slices;
mod source;
pub mod stream;
mod trust;
mod vdi;
mod vhd;
mod vhdx;
mod vmdk;
mod walk;

use std::ops::Range;
use std::path::PathBuf;

pub use detect::Wrapping;
pub use error::ImageError;
pub use format::{Format, UnknownFormat};
pub use open::{OpenOptions, open, open_source};
pub use qcow2::Qcow2Image;
pub use raw::RawImage;
pub use slices::{FileSlice, SlicedFile, empty, open_file, open_inflated, open_slices};
pub use source::Source;
pub use vmdk::VmdkImage;

/// The longest run that [`DiskImage::next_data`] reports.
pub const RUN_LEN_MAX: u64 = 256 << 20;

/// A format, and what of it a file uses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Variant {
    /// The format.
    pub format: Format,
    /// Such as `streamOptimized`; empty where there is nothing to tell apart.
    pub detail: String,
    /// Length of the disk's logical sectors in bytes, where the file says it.
    pub sector_len: Option<u64>,
}

/// A disk image opened for reading; safe to share between threads.
pub trait DiskImage: Send + Sync {
    /// Length of the disk the guest sees, in bytes.
    fn disk_len(&self) -> u64;

    /// The first run that may hold data at or after `from`, clipped to the disk.
    ///
    /// Everything from `from` to the run's start is a hole. `None` when only a hole remains. Runs
    /// are as long as is cheap to know (at most [`RUN_LEN_MAX`]), never empty, and adjoining runs
    /// are allowed.
    fn next_data(&self, from: u64) -> Result<Option<Range<u64>>, ImageError>;

    /// Fills `buf` with the guest's bytes from `offset`; zeros past what is allocated.
    ///
    /// The range must lie within the disk. After an error the content of `buf` is undefined.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), ImageError>;

    /// Whether the bytes at `offset`, which is on the disk, are inflated by each read: who needs
    /// them twice does well to keep them.
    fn is_packed(&self, offset: u64) -> Result<bool, ImageError>;

    /// What the file is, for people.
    fn variant(&self) -> Variant;

    /// Every file this image is made of, backing files last: the identity a stat cache watches.
    fn files(&self) -> &[PathBuf];
}
