//! Where everything goes in a disk image file that is written for export.
//!
//! A file is laid out before its first byte is written, from the disk's length and the runs of its
//! data alone. Threads then write guest bytes at the offsets that the layout names, in any order,
//! or one writer sends the file's [`Part`]s down a pipe; both give the same file.
//!
//! Not here: formats whose length is known only once their data is compressed.
//!
//! # Invariants
//!
//! 1. A layout is a function of the disk's length, identity and data runs.
//! 2. The lengths of the parts sum up to [`Layout::file_len`]; guest bytes are in guest order.
//! 3. Memory follows the number of runs and of tables, not the length of the disk.
//!
//! # After a crash
//!
//! A file whose writer did not finish is garbage; nothing in it says so.

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

/// Why a disk cannot be laid out.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// The disk is longer than the format holds, or than Seawall writes.
    #[error("a disk of {disk_len} bytes is too long for {format}, which holds {disk_len_max}")]
    DiskTooLong {
        /// The length of the disk.
        disk_len: u64,
        /// The format.
        format: &'static str,
        /// The longest disk it is written for.
        disk_len_max: u64,
    },
    /// A run overlaps the one before it, or does not lie in the disk.
    #[error("data run {start}..{end} is out of order or outside of the disk")]
    RunOutOfPlace {
        /// Where the run starts.
        start: u64,
        /// Where the run ends.
        end: u64,
    },
    /// The disk does not end with a sector of the format.
    #[error(
        "a disk of {disk_len} bytes is not in sectors of {sector_len} bytes, as {format} has them"
    )]
    NotSectors {
        /// The length of the disk.
        disk_len: u64,
        /// The format.
        format: &'static str,
        /// The length of its sectors.
        sector_len: u64,
    },
    /// The format keeps the length of a disk.
    #[error(
        "{format} keeps the length of a disk: only vhd and vhd-fixed are filled up to whole MiB"
    )]
    NotRounded {
        /// The format.
        format: ExportFormat,
    },
    /// The format's parts have their places only once its data is compressed.
    #[error("{format} has no layout before its data is compressed")]
    NotLaidOut {
        /// The format.
        format: ExportFormat,
    },
}

/// Where guest bytes go in the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HostRun {
    /// The offset in the file.
    pub offset: u64,
    /// How many bytes go there side by side.
    pub len: u64,
}

/// What stands next in the file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Part {
    /// Bytes of the format's own.
    Bytes(Vec<u8>),
    /// That many zeros.
    Zeros(u64),
    /// The guest's bytes of a range of the disk.
    Guest(Range<u64>),
}

impl Part {
    /// Its length in the file, in bytes.
    pub fn part_len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            Self::Zeros(len) => *len,
            Self::Guest(range) => range.end - range.start,
        }
    }
}

/// Where data goes in a file, by the order of it alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Placement {
    /// Where data begins in the file.
    pub start: u64,
    /// What a place is given to as a whole; `None` where every byte of the disk has its place.
    pub units: Option<Units>,
}

/// Units of the guest that have a place in the file if they have data, in guest order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Units {
    /// The logarithm of a unit's length: 16 at least.
    pub bits: u32,
    /// From one unit to the next in the file.
    pub stride: u64,
}

/// The plan of a file; writers on many threads share it.
pub trait Layout: Send + Sync {
    /// The length of the whole file in bytes.
    fn file_len(&self) -> u64;

    /// Where the guest's bytes from `guest_offset` go; `None` in a hole, which is not written.
    fn host_offset(&self, guest_offset: u64) -> Option<HostRun>;

    /// The rule behind [`Self::host_offset`].
    fn placement(&self) -> Placement;

    /// The file from its first byte to its last.
    fn parts(&self) -> Box<dyn Iterator<Item = Part> + Send + '_>;
}

/// Writes all but the guest's bytes into an empty file, and gives the file its full length.
///
/// What is not written later reads as zeros, as the file is sparse there.
pub fn write_metadata(layout: &dyn Layout, file: &File) -> io::Result<()> {
    if file.metadata()?.len() != 0 {
        let reason = "an image is written into an empty file only";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
    }
    add_metadata(layout, file)
}

/// Writes all but the guest's bytes into a file in which those are, or will be, and gives it its
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
