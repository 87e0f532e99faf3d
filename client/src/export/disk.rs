//! One disk, in any format, to a file or down a pipe.

use std::fmt;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use seawall_api::digest::ContentDigest;
use seawall_api::names::{ApplicationName, DiskName, MachineName};
use seawall_api::reference::Selector;
use seawall_api::release::{Disk, Release};
use seawall_api::units::HumanBytes;
use seawall_store::image::DiskImage;
use seawall_store::image::convert::{self, Convert, ConvertError, Device};
use seawall_store::image::layout::{ExportFormat, Round};
use seawall_store::new_file::{NewFile, Overwrite};
use serde::Serialize;

use super::ExportError;
use crate::convert::rounded;
use crate::host::HostState;
use crate::progress::{Progress, Stage};
use crate::registry::Registry;
use crate::remote::{RemoteDisk, RemoteRelease};
use crate::room::Room;

/// Where an export goes.
pub enum Output {
    /// A file that is not there yet.
    File(PathBuf),
    /// A pipe.
    Pipe(Box<dyn Write + Send>),
}

/// What to export, and with what.
pub struct Export {
    /// Where from.
    pub registry: Arc<dyn Registry>,
    /// The application.
    pub application: ApplicationName,
    /// Which of its releases.
    pub selector: Selector,
    /// The machine.
    pub machine: MachineName,
    /// Its disk.
    pub disk: DiskName,
    /// The format.
    pub format: ExportFormat,
    /// What the length of the disk is made to be.
    pub round: Round,
    /// Where to.
    pub output: Output,
    /// What this host remembers.
    pub state: HostState,
    /// Hears how far it is.
    pub progress: Arc<dyn Progress>,
    /// How many threads decode, hash and compress.
    pub threads: usize,
}

/// What an export did.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExportReport {
    /// The disk, as `application:version/machine/disk`.
    pub disk: String,
    /// Its identity.
    pub content: ContentDigest,
    /// Its length as the guest sees it.
    pub len: u64,
    /// The file that was made; `None` for a pipe.
    pub file: Option<PathBuf>,
    /// Its format.
    pub format: String,
    /// The length of what was written, holes of a file included.
    pub file_len: u64,
    /// The length that the disk was filled up to with zeros, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rounded_len: Option<u64>,
}

impl fmt::Display for ExportReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (disk, len, content) = (&self.disk, HumanBytes(self.len), self.content);
        writeln!(f, "{disk} is exported")?;
        writeln!(f, "  {len}  {content}")?;
        if let Some(len) = self.rounded_len {
            writeln!(f, "  then zeros up to {len} bytes")?;
        }
        let file = self.file.as_ref().map_or("the pipe".into(), |file| file.to_string_lossy());
        write!(f, "  {} of {} in {file}", HumanBytes(self.file_len), self.format)
    }
}

/// Exports a disk.
///
/// # Errors
/// When there is no such disk, the registry fails or lies, or the file cannot be written; then
/// there is no file.
pub async fn export(export: Export) -> Result<ExportReport, ExportError> {
    let Export { registry, application, selector, state, threads, .. } = export;
    export.format.check_round(export.round).map_err(ConvertError::from)?;
    let remote = RemoteRelease::open(registry, (&application, &selector), &state, threads).await?;
    let disk = find(remote.release(), &export.machine, &export.disk)?.clone();
    let title =
        format!("{application}:{}/{}/{}", remote.release().version(), export.machine, export.disk);
    let image = open(&remote, &export.machine, &disk).await?;
    let Export { format, round, output, progress, .. } = export;
    let total = image.data_runs().iter().map(|run| run.end - run.start).sum();
    progress.begin(Stage::Fetch, Some(total));
    let (content, heard) = (disk.content, Arc::clone(&progress));
    let writer = Writer { content, format, round, threads, progress: heard };
    let (image, outcome) = tokio::task::spawn_blocking(move || {
        let outcome = writer.write(&image, output);
        (image, outcome)
    })
    .await
    .map_err(|_| ExportError::Defect)?;
    let (file, file_len) = outcome.map_err(|error| explained(&image, error))?;
    progress.finish();
    let (content, len, format) = (disk.content, disk.len, format.to_string());
    let rounded_len = rounded(round, len);
    Ok(ExportReport { disk: title, content, len, file, format, file_len, rounded_len })
}

/// The failure of a read says what kind it is; what the formats make of it does not.
pub(super) fn explained(image: &RemoteDisk, error: ExportError) -> ExportError {
    image.failure().map_or(error, ExportError::Read)
}

/// Opens a disk of the release.
pub(super) async fn open(
    remote: &RemoteRelease,
    machine: &MachineName,
    disk: &Disk,
) -> Result<RemoteDisk, ExportError> {
    let image = remote.disk(machine, disk).await?;
    image.ok_or_else(|| ExportError::WrongIndex { disk: format!("{machine}/{}", disk.name) })
}

fn find<'a>(
    release: &'a Release,
    machine: &MachineName,
    disk: &DiskName,
) -> Result<&'a Disk, ExportError> {
    let title = || format!("{}:{}", release.application(), release.version());
    let list = |names: Vec<&str>| names.join(", ");
    let found = release.machine(machine).ok_or_else(|| ExportError::NoSuch {
        release: title(),
        what: format!("machine `{machine}`"),
        known: list(release.machines().iter().map(|machine| machine.name.as_str()).collect()),
    })?;
    found.disks.iter().find(|it| it.name == *disk).ok_or_else(|| ExportError::NoSuch {
        release: title(),
        what: format!("disk `{machine}/{disk}`"),
        known: list(found.disks.iter().map(|disk| disk.name.as_str()).collect()),
    })
}

/// Writes one disk; blocks.
pub(super) struct Writer {
    pub(super) content: ContentDigest,
    pub(super) format: ExportFormat,
    pub(super) round: Round,
    pub(super) threads: usize,
    pub(super) progress: Arc<dyn Progress>,
}

impl Writer {
    fn write(
        &self,
        image: &RemoteDisk,
        output: Output,
    ) -> Result<(Option<PathBuf>, u64), ExportError> {
        match output {
            Output::File(path) if Device::is_at(&path) => {
                let len = (self.format == ExportFormat::Raw).then(|| image.disk_len());
                let mut device = Device::open(&path, Overwrite::Refuse, len)?;
                let len = self.convert(image, convert::Output::Pipe(&mut device))?;
                Ok((Some(path), len))
            }
            Output::File(path) => {
                let new = NewFile::create(&path, Overwrite::Refuse)?;
                if self.format.is_laid_out() {
                    let data = image.data_runs().iter().map(|run| run.end - run.start).sum();
                    Room::of(new.folder(), data).check()?;
                }
                let len = self.convert(image, convert::Output::File(new.file()))?;
                new.commit()?;
                Ok((Some(path), len))
            }
            Output::Pipe(mut pipe) => {
                let len = self.convert(image, convert::Output::Pipe(pipe.as_mut()))?;
                pipe.flush().map_err(ConvertError::Write)?;
                Ok((None, len))
            }
        }
    }

    /// Writes the disk; returns the length of what was written.
    pub(super) fn convert(
        &self,
        image: &RemoteDisk,
        output: convert::Output<'_>,
    ) -> Result<u64, ConvertError> {
        let convert = Convert {
            image,
            format: self.format,
            round: self.round,
            threads: self.threads,
            begin: &|_, _| {},
            advance: &|len| self.progress.advance(len),
        };
        Ok(convert.run_known(self.content, image.data_runs().to_vec(), output)?.file_len)
    }
}
