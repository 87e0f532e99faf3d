//! Layouts of disk image files written by an export.
//!
//! A file is laid out before its first byte is written, from the disk's length and its runs of data
//! alone. Threads then write guest bytes at the offsets given by the layout, in any order, or one
//! writer sends the file's [`Part`]s down a pipe; both produce the same file.
//!
//! Compressed formats are in `stream`, as their layout is known only after compression.
//!
//! # Invariants
//!
//! 1. A layout is a function of the disk's length, identity and data runs.
//! 2. The lengths of the parts add up to [`Layout::file_len`]; guest bytes are in guest order.
//! 3. Memory grows with the number of runs and tables, not with the length of the disk.
//!
//! # After a crash
//!
//! An unfinished file is garbage, without any mark to say so.

mod clusters;
mod export;
mod identity;
mod qcow2;
mod raw;
mod vhd;
mod vhdx;
pub(super) mod vmdk;

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

pub(super) use clusters::Clusters;
pub use export::{ExportFormat, UnknownExportFormat, lay_out};
pub use qcow2::Qcow2Layout;
pub use raw::RawLayout;
pub use vhd::{Round, VhdKind, VhdLayout};
pub use vhdx::{VhdxKind, VhdxLayout, VhdxSectors};
pub use vmdk::VmdkLayout;

/// An error of laying out a disk.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// The disk is longer than the format, or Seawall, permits.
    #[error("a disk of {disk_len} bytes is too long for {format}, which holds {disk_len_max}")]
    DiskTooLong {
        /// The length of the disk, in bytes.
        disk_len: u64,
        /// The format.
        format: &'static str,
        /// The maximum length of a disk, in bytes.
        disk_len_max: u64,
    },
    /// A run overlaps the one before, or does not lie in the disk.
    #[error("data run {start}..{end} is out of order or outside of the disk")]
    RunOutOfPlace {
        /// The start of the run, in bytes.
        start: u64,
        /// The end of the run, exclusive.
        end: u64,
    },
    /// The disk does not end with a sector of the format.
    #[error(
        "a disk of {disk_len} bytes does not consist of whole {format} sectors of {sector_len} \
         bytes"
    )]
    NotSectors {
        /// The length of the disk, in bytes.
        disk_len: u64,
        /// The format.
        format: &'static str,
        /// The length of the format's sectors, in bytes.
        sector_len: u64,
    },
    /// Rounding was requested of a format that keeps the disk's length.
    #[error("{format} keeps the length of a disk: only vhd and vhd-fixed are padded to whole MiB")]
    NotRounded {
        /// The format.
        format: ExportFormat,
    },
    /// The layout of the format is known only after compression.
    #[error("{format} has no layout before its data is compressed")]
    NotLaidOut {
        /// The format.
        format: ExportFormat,
    },
}

/// The place of guest bytes in the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HostRun {
    /// The offset in the file, in bytes.
    pub offset: u64,
    /// The number of guest bytes placed contiguously there.
    pub len: u64,
}

/// The next part of a file, in file order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Part {
    /// Metadata of the format.
    Bytes(Vec<u8>),
    /// Zeros, of this length in bytes.
    Zeros(u64),
    /// Guest bytes, of this range of the disk.
    Guest(Range<u64>),
}

impl Part {
    /// Returns the length of the part in the file, in bytes.
    pub fn part_len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            Self::Zeros(len) => *len,
            Self::Guest(range) => range.end - range.start,
        }
    }
}

/// The rule that places data in a file, by disk order alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Placement {
    /// The start of the data in the file, in bytes.
    pub start: u64,
    /// The units that are placed as a whole; `None` if every byte of the disk has its place.
    pub units: Option<Units>,
}

/// The units of a disk. Each unit with data has a place in the file, in guest order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Units {
    /// The length of a unit, as a power of two: at least 16.
    pub bits: u32,
    /// The distance between the starts of two successive units in the file, in bytes.
    pub stride: u64,
}

/// The plan of a file, shared by writers on many threads.
pub trait Layout: Send + Sync {
    /// Returns the length of the file, in bytes.
    fn file_len(&self) -> u64;

    /// Returns the place of the guest's bytes from `guest_offset`; `None` in a hole, which is not
    /// written.
    fn host_offset(&self, guest_offset: u64) -> Option<HostRun>;

    /// Returns the rule behind [`Self::host_offset`].
    fn placement(&self) -> Placement;

    /// Returns all parts of the file, in order.
    fn parts(&self) -> Box<dyn Iterator<Item = Part> + Send + '_>;
}

/// Writes the metadata into an empty file, and gives the file its full length.
///
/// The rest is sparse, and reads as zeros until guest bytes are written.
pub fn write_metadata(layout: &dyn Layout, file: &File) -> io::Result<()> {
    if file.metadata()?.len() != 0 {
        let reason = "an image is written into an empty file only";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
    }
    add_metadata(layout, file)
}

/// Writes the metadata into a file, which may have its guest bytes already, and gives the file its
/// full length.
pub(super) fn add_metadata(layout: &dyn Layout, file: &File) -> io::Result<()> {
    file.set_len(layout.file_len())?;
    let mut offset = 0;
    for part in layout.parts() {
        if let Part::Bytes(bytes) = &part {
            file.write_all_at(bytes, offset)?;
        }
        offset += part.part_len();
    }
    Ok(())
}
