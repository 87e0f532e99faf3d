//! Convert: a disk image becomes a file of another format, or a stream of one. No registry.
//!
//! # After a crash
//!
//! A file has its name only when it is whole ([`seawall_store::new_file`] says what stays until
//! then, and who removes it).

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
use crate::progress::{Progress, Stage};
use crate::room::{self, NoRoom, Room};

/// Where the new image goes.
pub enum Destination {
    /// A file.
    File {
        /// Its path.
        path: PathBuf,
        /// What to do when the name is taken.
        overwrite: Overwrite,
    },
    /// A pipe.
    Pipe(Box<dyn Write + Send>),
}

/// What to convert, and to what.
pub struct Convert {
    /// The image.
    pub from: PathBuf,
    /// Its format, where its content is not to be asked.
    pub from_format: Option<Format>,
    /// How it may be opened.
    pub access: DiskAccess,
    /// Where to.
    pub to: Destination,
    /// The new format.
    pub format: ExportFormat,
    /// What the length of the disk is made to be.
    pub round: Round,
    /// How many threads read, hash and compress.
    pub threads: usize,
    /// Hears how far it is.
    pub progress: Arc<dyn Progress>,
}

/// What was converted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConvertReport {
    /// The new format.
    pub format: String,
    /// What the image was taken for, and every file that was read.
    pub source: DiskSource,
    /// Length of the disk in bytes.
    pub disk_len: u64,
    /// Bytes in blocks that are not all zero.
    pub data_bytes: u64,
    /// Length of what was written, in bytes.
    pub file_len: u64,
    /// The length that the disk was filled up to with zeros, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rounded_len: Option<u64>,
    /// The disk's identity; `b3sum` of the raw disk prints it.
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

/// Why a conversion failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConvertFailure {
    /// The image cannot be opened.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The engine failed.
    #[error(transparent)]
    Convert(#[from] ConvertError),
    /// The new file does not fit where it is to go.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// A thread ended without a word.
    #[error("the conversion stopped for a reason it cannot name; this is a defect of seawall")]
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
            Self::Convert(error) => error.remedy(),
            Self::NoRoom(error) => error.remedy(),
            Self::Defect => None,
        }
    }
}

/// Converts an image.
///
/// # Errors
/// When the image cannot be read, does not fit the format, or the output cannot be written. There
/// is no file then; of a pipe's bytes nothing can be used.
pub async fn convert(order: Convert) -> Result<ConvertReport, ConvertFailure> {
    let Convert { from, from_format, access, to, format, round, threads, progress } = order;
    let heard = Arc::clone(&progress);
    let open = move || access.open(&from, from_format, heard.as_ref());
    let opened = tokio::task::spawn_blocking(open).await;
    let disk = opened.map_err(|_| ConvertFailure::Defect)??;
    let source = disk.source.clone();
    // Here and not in the thread: a name that is taken is said before anything is read.
    let (new, mut pipe) = match to {
        Destination::File { path, overwrite } if Device::is_at(&path) => {
            let len = (format == ExportFormat::Raw).then(|| disk.image.disk_len());
            let device = Device::open(&path, overwrite, len)?;
            (None, Some(Box::new(device) as Box<dyn Write + Send>))
        }
        Destination::File { path, overwrite } => (Some(NewFile::create(&path, overwrite)?), None),
        Destination::Pipe(pipe) => (None, Some(pipe)),
    };
    let new = new.map(Arc::new);
    let place = new.as_ref().map(|new| new.folder().to_owned()).filter(|_| format.is_laid_out());
    let (file, heard) = (new.clone(), Arc::clone(&progress));
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
        match (&file, &mut pipe) {
            (Some(file), _) => {
                let report = engine.run(Output::File(file.file()))?;
                file.commit()?;
                Ok(report)
            }
            (None, Some(pipe)) => Ok(engine.run(Output::Pipe(&mut **pipe))?),
            (None, None) => Ok(engine.run(Output::Pipe(&mut std::io::sink()))?),
        }
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

/// Fails if a file that is laid out does not fit into a folder. Where the image's map alone does
/// not say so, the disk is read for the bytes that are other than zero.
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

/// The length that a disk was filled up to; `None` where that was not asked for.
pub(crate) fn rounded(round: Round, disk_len: u64) -> Option<u64> {
    round.up(disk_len).filter(|_| round != Round::Exact)
}
