//! Files whose length is known only once their data is compressed.
//!
//! Threads read and compress spans of the disk; one thread writes what they made, in guest order,
//! so the file does not depend on how many they are.
//!
//! # Invariants
//!
//! 1. At most [`SPANS_AHEAD`] spans a thread are in memory.
//! 2. The same disk and format give the same bytes, on any number of threads, by one release of
//!    the compressors.

mod pipeline;
mod qcow2;
mod vmdk;

use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;

use seawall_api::digest::ContentDigest;

use super::layout::LayoutError;
use super::{DiskImage, ImageError};

pub use qcow2::Compression;

/// Why a stream was not written to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// The disk cannot be read.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The disk does not fit the format.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The file cannot be written.
    #[error("cannot write the image")]
    Write(#[source] io::Error),
    /// A compressor failed; they fail for want of memory only.
    #[error("cannot compress: {0}")]
    Compress(String),
}

/// What is written.
#[derive(Clone, Copy)]
pub struct Disk<'a> {
    /// The disk.
    pub image: &'a dyn DiskImage,
    /// Its digest, which identifiers are made from.
    pub content: &'a ContentDigest,
    /// Where it has data: sorted, and none overlaps the next.
    pub data_runs: &'a [Range<u64>],
    /// How many threads read and compress.
    pub threads: usize,
    /// Told how many bytes of the guest were written, as they are.
    pub advance: &'a (dyn Fn(u64) + Sync),
}

/// Writes a VMDK of the kind `streamOptimized`; gives the file's length.
///
/// # Errors
/// When the disk cannot be read or the stream not be written.
pub fn write_vmdk(disk: &Disk<'_>, out: &mut dyn Write) -> Result<u64, StreamError> {
    vmdk::write(disk, out)
}

/// Writes a qcow2 image of compressed clusters into an empty file; gives the file's length.
///
/// # Errors
/// When the disk cannot be read or the file not be written.
pub fn write_qcow2(
    disk: &Disk<'_>,
    compression: Compression,
    file: &File,
) -> Result<u64, StreamError> {
    qcow2::write(disk, compression, file)
}
