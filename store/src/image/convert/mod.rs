//! From a disk image to a file of another format.
//!
//! The first pass reads what the image's map calls data and finds where bytes are other than zero,
//! and the disk's digest; the second writes. Both run on all threads. The file is a function of
//! the disk and the format: not of the image that it came from, the threads, or the day.
//!
//! A raw file has a place for every byte before anything is known, so it takes one pass.
//!
//! # Invariants
//!
//! 1. Holes stay holes, and blocks of zeros become holes.
//! 2. Memory follows the number of data runs; threads have buffers of at most [`copy::PIECE_LEN`].
//!
//! # After a crash
//!
//! [`NewFile`] has its name only when it is whole. What stays behind is a hidden file beside it.

mod copy;
mod error;
mod new_file;
mod pipe;
mod survey;

use std::fs::File;
use std::io::Write;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use seawall_api::digest::ContentDigest;

use super::DiskImage;
use super::layout::{ExportFormat, lay_out, write_metadata};
use super::stream::{self, Compression, Disk};
use survey::{Survey, survey};

pub use error::ConvertError;
pub use new_file::{NewFile, Overwrite};
pub use survey::content_digest;

/// Where the file goes.
pub enum Output<'a> {
    /// An empty file.
    File(&'a File),
    /// A pipe, which takes bytes in order.
    Pipe(&'a mut (dyn Write + Send)),
}

/// What runs, for those who show how far it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pass {
    /// Reading the disk for its map and its digest.
    Survey,
    /// Writing the file; of a raw one, reading too.
    Write,
}

/// How to convert.
pub struct Convert<'a> {
    /// The disk.
    pub image: &'a dyn DiskImage,
    /// What to write.
    pub format: ExportFormat,
    /// How many threads read, hash and compress.
    pub threads: usize,
    /// Told when a pass begins, with its bytes where they are known.
    pub begin: &'a (dyn Fn(Pass, Option<u64>) + Sync),
    /// Told how many bytes of the disk's data are done, as they are.
    pub advance: &'a (dyn Fn(u64) + Sync),
}

/// What was converted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConvertReport {
    /// Length of the disk in bytes.
    pub disk_len: u64,
    /// The disk's identity; `b3sum` of the raw disk prints it.
    pub content: ContentDigest,
    /// Bytes in blocks that are not all zero.
    pub data_len: u64,
    /// Length of the file that was written, in bytes.
    pub file_len: u64,
}

impl Convert<'_> {
    /// Writes the disk in its new format.
    ///
    /// # Errors
    /// When the image cannot be read, does not fit the format, or the output cannot be written.
    /// The output is garbage then.
    pub fn run(&self, output: Output<'_>) -> Result<ConvertReport, ConvertError> {
        if let (ExportFormat::Raw, Output::File(file)) = (self.format, &output) {
            return self.raw(file);
        }
        self.check_output(&output)?;
        self.write(&self.survey()?, output)
    }

    /// Writes a disk whose digest and map are known, in one pass: `runs` has every byte that is
    /// other than zero, in runs that are sorted and do not overlap.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn run_known(
        &self,
        content: ContentDigest,
        runs: Vec<Range<u64>>,
        output: Output<'_>,
    ) -> Result<ConvertReport, ConvertError> {
        self.check_output(&output)?;
        let data_len = runs.iter().map(|run| run.end - run.start).sum();
        self.write(&Survey { runs, content, data_len }, output)
    }

    fn check_output(&self, output: &Output<'_>) -> Result<(), ConvertError> {
        match (self.format, output) {
            (format @ (ExportFormat::Qcow2Zstd | ExportFormat::Qcow2Zlib), Output::Pipe(_)) => {
                Err(ConvertError::NotForPipes { format })
            }
            _ => Ok(()),
        }
    }

    fn write(&self, survey: &Survey, output: Output<'_>) -> Result<ConvertReport, ConvertError> {
        (self.begin)(Pass::Write, Some(survey.data_len));
        let disk = self.disk(survey);
        let file_len = match (self.format, output) {
            (ExportFormat::Qcow2Zstd, Output::File(file)) => {
                stream::write_qcow2(&disk, Compression::Zstd, file)?
            }
            (ExportFormat::Qcow2Zlib, Output::File(file)) => {
                stream::write_qcow2(&disk, Compression::Deflate, file)?
            }
            (ExportFormat::VmdkStream, Output::File(mut file)) => {
                stream::write_vmdk(&disk, &mut file)?
            }
            (ExportFormat::VmdkStream, Output::Pipe(out)) => stream::write_vmdk(&disk, out)?,
            (_, Output::File(file)) => {
                let layout = self.layout(survey)?;
                write_metadata(&*layout, file).map_err(ConvertError::Write)?;
                copy::copy(self, &*layout, &survey.runs, file)?;
                layout.file_len()
            }
            (_, Output::Pipe(out)) => {
                let layout = self.layout(survey)?;
                pipe::write(self.image, &*layout, out, self.advance)?;
                layout.file_len()
            }
        };
        Ok(self.report(survey, file_len))
    }

    fn survey(&self) -> Result<Survey, ConvertError> {
        (self.begin)(Pass::Survey, None);
        survey(self.image, self.threads, &|_, _| Ok(()), self.advance)
    }

    fn raw(&self, file: &File) -> Result<ConvertReport, ConvertError> {
        (self.begin)(Pass::Write, None);
        let disk_len = self.image.disk_len();
        file.set_len(disk_len).map_err(ConvertError::Write)?;
        let write =
            |offset, bytes: &[u8]| file.write_all_at(bytes, offset).map_err(ConvertError::Write);
        let survey = survey(self.image, self.threads, &write, self.advance)?;
        Ok(self.report(&survey, disk_len))
    }

    fn layout(&self, survey: &Survey) -> Result<Box<dyn super::layout::Layout>, ConvertError> {
        let runs = survey.runs.iter().cloned();
        Ok(lay_out(self.format, self.image.disk_len(), &survey.content, runs)?)
    }

    fn disk<'b>(&'b self, survey: &'b Survey) -> Disk<'b> {
        Disk {
            image: self.image,
            content: &survey.content,
            data_runs: &survey.runs,
            threads: self.threads,
            advance: self.advance,
        }
    }

    fn report(&self, survey: &Survey, file_len: u64) -> ConvertReport {
        ConvertReport {
            disk_len: self.image.disk_len(),
            content: survey.content,
            data_len: survey.data_len,
            file_len,
        }
    }
}
