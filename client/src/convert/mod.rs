//! Converts a disk image to a file or a stream of another format, without a registry.
//!
//! # After a crash
//!
//! A file gets its name only when complete. [`seawall_store::new_file`] describes the remains of an
//! unfinished file and their removal.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use seawall_api::digest::ContentDigest;
use seawall_api::units::HumanBytes;
use seawall_store::image::convert::{self as engine, ConvertError, Device, Output, Pass};
use seawall_store::image::layout::{ExportFormat, Round};
use seawall_store::image::{DiskImage, Format};
use seawall_store::new_file::{NewFile, NewFileError};
use serde::Serialize;

pub use seawall_store::new_file::Overwrite;

use crate::disk::{DiskAccess, DiskError, DiskSource};
use crate::error::{ErrorKind, Failure};
use crate::host::make_folder_of;
use crate::progress::{Progress, Stage};
use crate::room::{self, NoRoom, Room};

/// The destination of a new image.
pub enum Destination {
    /// A file or a block device.
    File {
        /// The path.
        path: PathBuf,
        /// The action if the path exists.
        overwrite: Overwrite,
    },
    /// A pipe.
    Pipe(Box<dyn Write + Send>),
}

/// A conversion to run.
pub struct Convert {
    /// The image's path.
    pub from: PathBuf,
    /// The image's format. If `None`, the format is detected from the content.
    pub from_format: Option<Format>,
    /// The permissions for opening disks.
    pub access: DiskAccess,
    /// The destination.
    pub to: Destination,
    /// The new format.
    pub format: ExportFormat,
    /// The rounding of the disk's length.
    pub round: Round,
    /// The number of threads that read, hash and compress.
    pub threads: usize,
    /// The receiver of progress reports.
    pub progress: Arc<dyn Progress>,
}

/// The result of a conversion.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConvertReport {
    /// The new format.
    pub format: String,
    /// The detected source, with every file that was read.
    pub source: DiskSource,
    /// The length of the disk in bytes.
    pub disk_len: u64,
    /// The total length of blocks that are not all zeros, in bytes.
    pub data_bytes: u64,
    /// The length of the output in bytes.
    pub file_len: u64,
    /// The length in bytes to which the disk was padded with zeros. `None` if no rounding was
    /// requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rounded_len: Option<u64>,
    /// The digest of the disk's content, which equals `b3sum` of the raw disk.
    pub content: ContentDigest,
}

impl std::fmt::Display for ConvertReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (disk, data) = (HumanBytes(self.disk_len), HumanBytes(self.data_bytes));
        let (format, file) = (&self.format, HumanBytes(self.file_len));
        writeln!(f, "{format}, {file}: a disk of {disk} with {data} of data")?;
        writeln!(f, "  read as {}", self.source)?;
        write!(f, "  {}", self.content)?;
        match self.rounded_len {
            Some(len) => write!(f, ", then zeros up to {len} bytes"),
            None => Ok(()),
        }
    }
}

impl Failure for ConvertError {
    fn kind(&self) -> ErrorKind {
        self.kind()
    }

    fn remedy(&self) -> Option<String> {
        self.remedy()
    }
}

/// The reason a conversion failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConvertFailure {
    /// The image cannot be opened.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The conversion engine failed.
    #[error(transparent)]
    Convert(#[from] ConvertError),
    /// The file system has too little free space for the new file.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// A thread ended unexpectedly.
    #[error("the conversion stopped unexpectedly; this is a defect of seawall")]
    Defect,
}

impl From<NewFileError> for ConvertFailure {
    fn from(error: NewFileError) -> Self {
        Self::Convert(error.into())
    }
}

impl Failure for ConvertFailure {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Disk(error) => error.kind(),
            Self::Convert(error) => error.kind(),
            Self::NoRoom(error) => error.kind(),
            Self::Defect => ErrorKind::Internal,
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::Disk(error) => error.remedy(),
            Self::Convert(error) => remedy_of(error),
            Self::NoRoom(error) => error.remedy(),
            Self::Defect => None,
        }
    }
}

/// Returns the next step after a failure of the engine.
pub(crate) fn remedy_of(error: &ConvertError) -> Option<String> {
    match error {
        ConvertError::Output { verb: "create", path, source }
            if source.kind() == std::io::ErrorKind::NotFound =>
        {
            make_folder_of(path)
        }
        error => error.remedy(),
    }
}

/// Converts an image.
///
/// # Errors
/// Fails if the image cannot be read or does not fit the format, or if the output cannot be
/// written. A failure leaves no new file. Bytes already in a pipe are unusable.
pub async fn convert(order: Convert) -> Result<ConvertReport, ConvertFailure> {
    let Convert { from, from_format, access, to, format, round, threads, progress } = order;
    let heard = Arc::clone(&progress);
    let open = move || access.open(&from, from_format, heard.as_ref());
    let opened = tokio::task::spawn_blocking(open).await;
    let disk = opened.map_err(|_| ConvertFailure::Defect)??;
    let source = disk.source.clone();
    // Outside of the thread, so that a taken name fails before anything is read.
    let mut opened = Opened::new(to, format, disk.image.disk_len())?;
    let place = opened.folder().filter(|_| format.is_laid_out());
    let heard = Arc::clone(&progress);
    let work = move || -> Result<engine::ConvertReport, ConvertFailure> {
        let begin = |pass, total| {
            let stage = match pass {
                Pass::Survey => Stage::Scan,
                Pass::Write => Stage::Apply,
            };
            heard.begin(stage, total);
        };
        let advance = |bytes| heard.advance(bytes);
        let (begin, advance) = (&begin, &advance);
        if let Some(place) = place {
            check_room(
                &place,
                &*disk.image,
                threads,
                &|total| heard.begin(Stage::Scan, Some(total)),
                advance,
            )?;
        }
        let engine =
            engine::Convert { image: &*disk.image, format, round, threads, begin, advance };
        let report = engine.run(opened.output())?;
        opened.commit()?;
        Ok(report)
    };
    let outcome = tokio::task::spawn_blocking(work).await;
    progress.finish();
    let report: engine::ConvertReport = outcome.map_err(|_| ConvertFailure::Defect)??;
    Ok(ConvertReport {
        format: format.to_string(),
        source,
        disk_len: report.disk_len,
        data_bytes: report.data_len,
        file_len: report.file_len,
        content: report.content,
        rounded_len: rounded(round, report.disk_len),
    })
}

/// An open destination.
enum Opened {
    File(NewFile),
    Device(Device),
    Pipe(Box<dyn Write + Send>),
}

impl Opened {
    /// Opens a destination for a disk of `disk_len` bytes.
    fn new(to: Destination, format: ExportFormat, disk_len: u64) -> Result<Self, ConvertError> {
        Ok(match to {
            Destination::File { path, overwrite } if Device::is_at(&path) => {
                let len = (format == ExportFormat::Raw).then_some(disk_len);
                Self::Device(Device::open(&path, overwrite, len)?)
            }
            Destination::File { path, overwrite } => Self::File(NewFile::create(&path, overwrite)?),
            Destination::Pipe(pipe) => Self::Pipe(pipe),
        })
    }

    /// Returns the folder of a file.
    fn folder(&self) -> Option<PathBuf> {
        match self {
            Self::File(file) => Some(file.folder().to_owned()),
            Self::Device(_) | Self::Pipe(_) => None,
        }
    }

    fn output(&mut self) -> Output<'_> {
        match self {
            Self::File(file) => Output::File(file.file()),
            Self::Device(device) => Output::Device(device),
            Self::Pipe(pipe) => Output::Pipe(&mut **pipe),
        }
    }

    /// Gives a file its name.
    fn commit(&self) -> Result<(), NewFileError> {
        match self {
            Self::File(file) => file.commit(),
            Self::Device(_) | Self::Pipe(_) => Ok(()),
        }
    }
}

/// Fails if a laid-out file does not fit into a folder.
///
/// If the image's map alone does not prove that the file fits, the disk is read to count its
/// nonzero bytes.
fn check_room(
    folder: &Path,
    image: &dyn DiskImage,
    threads: usize,
    begin: &dyn Fn(u64),
    advance: &(dyn Fn(u64) + Sync),
) -> Result<(), ConvertFailure> {
    let allocated = room::allocated_bytes(image).map_err(ConvertError::from)?;
    if Room::of(folder, allocated).check().is_ok() {
        return Ok(());
    }
    begin(allocated);
    let (_, data_bytes) = engine::content_digest(image, threads, advance)?;
    Ok(Room::of(folder, data_bytes).check()?)
}

/// Returns the disk's length after rounding. `None` if no rounding was requested.
pub(crate) fn rounded(round: Round, disk_len: u64) -> Option<u64> {
    round.up(disk_len).filter(|_| round != Round::Exact)
}
