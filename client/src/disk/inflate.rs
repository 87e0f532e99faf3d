//! Inflates a compressed disk into a scratch file. Zeros become holes.
//!
//! # Invariants
//!
//! 1. Memory is bounded by windows of at most [`WINDOW_LEN_MAX`].
//! 2. The file has at most [`LEN_MAX`] bytes, and blocks of zeros take up no space.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use flate2::bufread::GzDecoder;
use seawall_api::units::DISK_LEN_MAX;
use seawall_store::image::{ImageError, Wrapping};
use seawall_store::scan::is_zero;

use super::{DiskError, Scratch};
use crate::progress::{Progress, Stage};

/// The maximum length of an inflated file in bytes: the longest disk and its format's overhead.
const LEN_MAX: u64 = DISK_LEN_MAX + DISK_LEN_MAX / 1024;
/// The maximum window or dictionary of a compressor, in bytes. `zstd --long` needs 128 MiB.
const WINDOW_LEN_MAX: u32 = 128 << 20;
const WINDOW_LOG_MAX: u32 = WINDOW_LEN_MAX.ilog2();
/// The length of a block in bytes. A block of zeros becomes a hole.
const BLOCK_LEN: usize = 64 << 10;
const INPUT_LEN: usize = 256 << 10;

/// Inflates the file at `path`.
pub(super) fn to_scratch(
    path: &Path,
    wrapping: Wrapping,
    scratch: &Scratch,
    progress: &dyn Progress,
) -> Result<File, DiskError> {
    let failed = |verb| {
        move |source| DiskError::Image(ImageError::Io { verb, path: path.to_owned(), source })
    };
    let input = File::open(path).map_err(failed("open"))?;
    let len = input.metadata().map_err(failed("inspect"))?.len();
    let output = scratch.file(len)?;
    progress.begin(Stage::Unpack, Some(len));
    let input = BufReader::with_capacity(INPUT_LEN, Counted { input, progress });
    let mut inflated = reader(input, wrapping);
    let mut block = vec![0; BLOCK_LEN];
    let mut at: u64 = 0;
    loop {
        let count = fill(&mut *inflated, &mut block).map_err(|source| DiskError::Inflate {
            path: path.to_owned(),
            wrapping,
            source,
        })?;
        let bytes = &block[..count];
        if !is_zero(bytes) {
            output.write_all_at(bytes, at).map_err(|source| scratch.failed(source))?;
        }
        at += bytes.len() as u64;
        if at > LEN_MAX {
            return Err(DiskError::TooLong { path: path.to_owned(), limit: LEN_MAX });
        }
        if count < BLOCK_LEN {
            break;
        }
    }
    output.set_len(at).map_err(|source| scratch.failed(source))?;
    Ok(output)
}

/// Fills the block as far as the stream goes, and returns the number of bytes.
fn fill(from: &mut dyn Read, block: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < block.len() {
        match from.read(&mut block[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Returns the bytes that `input` inflates to.
pub(crate) fn reader<'a>(
    input: impl BufRead + Send + 'a,
    wrapping: Wrapping,
) -> Box<dyn Read + Send + 'a> {
    match wrapping {
        Wrapping::Gzip => Box::new(Gzip(Some(GzDecoder::new(input)))),
        Wrapping::Xz => {
            Box::new(lzma_rust2::XzReader::new_mem_limit(input, true, WINDOW_LEN_MAX >> 9))
        }
        Wrapping::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(input)),
        Wrapping::Zstd => Box::new(Zstd { input, context: None, is_between: true }),
    }
}

/// A reader that reports the number of compressed bytes as progress.
struct Counted<'a> {
    input: File,
    progress: &'a dyn Progress,
}

impl Read for Counted<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buf)?;
        self.progress.advance(count as u64);
        Ok(count)
    }
}

/// A stream of gzip members. `None` after the last member.
struct Gzip<R>(Option<GzDecoder<R>>);

impl<R: BufRead> Read for Gzip<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while let Some(mut member) = self.0.take() {
            let count = member.read(buf)?;
            if count > 0 || buf.is_empty() {
                self.0 = Some(member);
                return Ok(count);
            }
            self.0 = next_member(member.into_inner())?;
        }
        Ok(0)
    }
}

/// Goes to the next member, if there is one. Zeros may follow the last member, as padding to whole
/// blocks.
fn next_member<R: BufRead>(mut input: R) -> io::Result<Option<GzDecoder<R>>> {
    let mut has_zeros = false;
    loop {
        let available = input.fill_buf()?;
        let (len, zeros) = (available.len(), available.iter().take_while(|it| **it == 0).count());
        if len == 0 {
            return Ok(None);
        }
        has_zeros |= zeros > 0;
        input.consume(zeros);
        if zeros < len {
            break;
        }
    }
    if has_zeros {
        let why = "bytes follow the zeros at the end of the gzip stream";
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    Ok(Some(GzDecoder::new(input)))
}

/// A stream of zstd frames.
struct Zstd<R> {
    input: R,
    context: Option<zstd_safe::DCtx<'static>>,
    /// True if the last frame is complete.
    is_between: bool,
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let failed = |code| {
            io::Error::new(io::ErrorKind::InvalidData, zstd_safe::get_error_name(code).to_owned())
        };
        let context = match &mut self.context {
            Some(context) => context,
            none => {
                let mut context = zstd_safe::DCtx::create();
                let limit = zstd_safe::DParameter::WindowLogMax(WINDOW_LOG_MAX);
                context.set_parameter(limit).map_err(failed)?;
                none.insert(context)
            }
        };
        while !buf.is_empty() {
            let available = self.input.fill_buf()?;
            if available.is_empty() && self.is_between {
                return Ok(0);
            }
            let is_end = available.is_empty();
            let mut from = zstd_safe::InBuffer::around(available);
            let mut to = zstd_safe::OutBuffer::around(&mut *buf);
            let hint = context.decompress_stream(&mut to, &mut from).map_err(failed)?;
            let (read, written) = (from.pos(), to.pos());
            self.is_between = hint == 0;
            self.input.consume(read);
            if written > 0 {
                return Ok(written);
            }
            if is_end {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(0)
    }
}
