//! Writers of compressed formats, whose layout is known only after compression.
//!
//! Threads read and compress spans of the disk; one thread writes the results in guest order, so
//! the file does not depend on the number of threads.
//!
//! # Invariants
//!
//! 1. At most [`pipeline::SPANS_AHEAD`] spans per thread wait to be written.
//! 2. The same disk and format give the same bytes on any number of threads, for one version of the
//!    compressors.

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

/// An error of writing a stream.
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
    /// A compressor failed, which happens only for lack of memory.
    #[error("cannot compress: {0}")]
    Compress(String),
}

/// The disk to be written, and the resources to do so.
#[derive(Clone, Copy)]
pub struct Disk<'a> {
    /// The disk.
    pub image: &'a dyn DiskImage,
    /// The disk's digest, from which identifiers are derived.
    pub content: &'a ContentDigest,
    /// The disk's runs of data, sorted and without overlaps.
    pub data_runs: &'a [Range<u64>],
    /// The number of threads that read and compress.
    pub threads: usize,
    /// A callback for progress, with the number of further guest bytes written.
    pub advance: &'a (dyn Fn(u64) + Sync),
}

/// Writes a VMDK of the kind `streamOptimized`, and returns the file's length in bytes.
///
/// # Errors
/// Fails if the disk cannot be read or the stream cannot be written.
pub fn write_vmdk(disk: &Disk<'_>, out: &mut dyn Write) -> Result<u64, StreamError> {
    vmdk::write(disk, out)
}

/// Writes a qcow2 image of compressed clusters into an empty file, and returns the file's length in
/// bytes.
///
/// # Errors
/// Fails if the disk cannot be read or the file cannot be written.
pub fn write_qcow2(
    disk: &Disk<'_>,
    compression: Compression,
    file: &File,
) -> Result<u64, StreamError> {
    qcow2::write(disk, compression, file)
}
