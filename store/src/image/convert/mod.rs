//! From a disk image to a file of another format.
//!
//! A file that is laid out takes one pass: places follow from the order of the data, and the tables
//! come last. Where the tables before the data turn out longer or shorter than the image's map had
//! them, the file is written again by what the pass found.
//!
//! For compressed formats, and for pipes, the first pass reads what the image's map calls data and
//! finds where bytes are other than zero, and the disk's digest; the second writes. All run on all
//! threads. The file is a function of the disk and the format: not of the image that it came from,
//! the threads, or the day.
//!
//! # Invariants
//!
//! 1. Holes stay holes, and blocks of zeros become holes.
//! 2. Memory follows the number of data runs and pieces; threads have buffers of at most
//!    [`copy::PIECE_LEN`].
//!
//! # After a crash
//!
//! [`NewFile`](crate::new_file::NewFile) has its name only when it is whole.

mod copy;
mod device;
mod error;
mod one_pass;
mod pipe;
mod survey;

use std::fs::File;
use std::io::Write;
use std::ops::Range;

use seawall_api::digest::ContentDigest;

use super::DiskImage;
use super::layout::{ExportFormat, Layout, Round, add_metadata, lay_out, write_metadata};
use super::stream::{self, Compression, Disk};
use pipe::Pipe;
use survey::{Survey, survey};

pub use device::Device;
pub use error::ConvertError;
pub use survey::content_digest;

/// Where the file goes.
pub enum Output<'a> {
    /// An empty file.
    File(&'a File),
    /// A pipe, which takes bytes in order.
    Pipe(&'a mut (dyn Write + Send)),
    /// A block device, which takes bytes in order, too.
    Device(&'a mut Device),
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
    /// What the length of the disk is made to be, by zeros past its end.
    pub round: Round,
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
        self.format.check_round(self.round)?;
        if let (true, Output::File(file)) = (self.format.is_laid_out(), &output) {
            return self.write_once(file);
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
        self.format.check_round(self.round)?;
        self.check_output(&output)?;
        let data_len = runs.iter().map(|run| run.end - run.start).sum();
        self.write(&Survey { runs, content, data_len }, output)
    }

    fn check_output(&self, output: &Output<'_>) -> Result<(), ConvertError> {
        match (self.format, output) {
            (format @ (ExportFormat::Qcow2Zstd | ExportFormat::Qcow2Zlib), Output::Pipe(_)) => {
                Err(ConvertError::NotForPipes { format })
            }
            (format, Output::Device(_)) if !format.is_for_devices() => {
                Err(ConvertError::NotForDevices { format })
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
                pipe::write(self.image, &*layout, &mut Pipe(out), self.advance)?;
                layout.file_len()
            }
            (_, Output::Device(device)) => {
                let layout = self.layout(survey)?;
                device.check_room(layout.file_len())?;
                pipe::write(self.image, &*layout, device, self.advance)?;
                layout.file_len()
            }
        };
        Ok(self.report(survey, file_len))
    }

    fn survey(&self) -> Result<Survey, ConvertError> {
        (self.begin)(Pass::Survey, None);
        survey(self.image, self.threads, self.advance)
    }

    /// Writes a file of a format that is laid out, in one pass if the image's map is as good as it
    /// has to be.
    fn write_once(&self, file: &File) -> Result<ConvertReport, ConvertError> {
        (self.begin)(Pass::Write, None);
        let guess = self.guess()?;
        file.set_len(guess.file_len()).map_err(ConvertError::Write)?;
        let placement = guess.placement();
        drop(guess);
        let survey = one_pass::run(self, placement, file)?;
        let layout = self.layout(&survey)?;
        if layout.placement() != placement {
            file.set_len(0).map_err(ConvertError::Write)?;
            return self.write(&survey, Output::File(file));
        }
        add_metadata(&*layout, file).map_err(ConvertError::Write)?;
        Ok(self.report(&survey, layout.file_len()))
    }

    /// The layout that the file has if all that the image's map calls data is other than zero.
    fn guess(&self) -> Result<Box<dyn Layout>, ConvertError> {
        let mut runs = Vec::new();
        // Of the other formats, data begins at the same place whatever there is of it.
        if self.format == ExportFormat::Qcow2 {
            let mut at = 0;
            while let Some(run) = self.image.next_data(at)? {
                at = run.end;
                survey::push(&mut runs, run, survey::GAP_MAX);
            }
        }
        // Identifiers have a place, and this guess is not written.
        let content = ContentDigest::from_bytes([0; 32]);
        Ok(lay_out(self.format, self.round, self.image.disk_len(), &content, runs)?)
    }

    fn layout(&self, survey: &Survey) -> Result<Box<dyn Layout>, ConvertError> {
        let runs = survey.runs.iter().cloned();
        let disk_len = self.image.disk_len();
        Ok(lay_out(self.format, self.round, disk_len, &survey.content, runs)?)
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
