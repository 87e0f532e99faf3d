//! Conversion of a disk image to a file of another format.
//!
//! A laid-out format takes one pass: the place of data follows from its order, and the tables are
//! written last. If the tables, which precede the data, turn out longer or shorter than predicted
//! from the image's map, the file is written again from the result of the pass.
//!
//! Compressed formats, pipes and devices take two passes. The first one reads the data in the
//! image's map, and finds the runs of bytes other than zero and the disk's digest; the second one
//! writes. All passes run on all threads. The file depends only on the disk and the format, not on
//! the source image, the number of threads, or the date.
//!
//! # Invariants
//!
//! 1. Holes stay holes, and blocks of zeros become holes.
//! 2. Memory grows with the number of data runs and pieces; each thread has a buffer of at most
//!    [`copy::PIECE_LEN`].
//!
//! # After a crash
//!
//! A [`NewFile`](crate::new_file::NewFile) has its name only when complete.

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

/// The destination of the file.
pub enum Output<'a> {
    /// An empty file.
    File(&'a File),
    /// A pipe, which takes bytes in order.
    Pipe(&'a mut (dyn Write + Send)),
    /// A block device, which also takes bytes in order.
    Device(&'a mut Device),
}

/// A pass, for progress displays.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pass {
    /// Reading the disk for its map and its digest.
    Survey,
    /// Writing the file; in a conversion of one pass, also reading the disk.
    Write,
}

/// A conversion to be run.
pub struct Convert<'a> {
    /// The disk.
    pub image: &'a dyn DiskImage,
    /// The format of the file.
    pub format: ExportFormat,
    /// The rounding of the disk's length, by zeros past its end.
    pub round: Round,
    /// The number of threads that read, hash and compress.
    pub threads: usize,
    /// A callback for the start of a pass, with its total number of bytes if known.
    pub begin: &'a (dyn Fn(Pass, Option<u64>) + Sync),
    /// A callback for progress, with the number of further bytes of data done.
    pub advance: &'a (dyn Fn(u64) + Sync),
}

/// The result of a conversion.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConvertReport {
    /// Length of the disk in bytes.
    pub disk_len: u64,
    /// The disk's digest, as printed by `b3sum` of the raw disk.
    pub content: ContentDigest,
    /// Length of the blocks that are not all zero, in bytes.
    pub data_len: u64,
    /// Length of the written file, in bytes.
    pub file_len: u64,
}

impl Convert<'_> {
    /// Writes the disk in the new format.
    ///
    /// # Errors
    /// Fails if the image cannot be read, does not fit the format, or the output cannot be written.
    /// The output is garbage then.
    pub fn run(&self, output: Output<'_>) -> Result<ConvertReport, ConvertError> {
        self.format.check_round(self.round)?;
        if let (true, Output::File(file)) = (self.format.is_laid_out(), &output) {
            return self.write_once(file);
        }
        self.check_output(&output)?;
        self.write(&self.survey()?, output)
    }

    /// Writes a disk with known digest and map, in one pass. `runs` are sorted, do not overlap, and
    /// cover every byte other than zero.
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

    /// Writes a laid-out file in one pass, or in two if the layout predicted from the image's map
    /// proves wrong.
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

    /// Returns the layout predicted from the image's map, as if all its data were other than zero.
    fn guess(&self) -> Result<Box<dyn Layout>, ConvertError> {
        let mut runs = Vec::new();
        // In the other formats, the start of the data does not depend on the runs.
        if self.format == ExportFormat::Qcow2 {
            let mut at = 0;
            while let Some(run) = self.image.next_data(at)? {
                at = run.end;
                survey::push(&mut runs, run, survey::GAP_MAX);
            }
        }
        // The guess is not written, so its identifiers do not matter.
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
