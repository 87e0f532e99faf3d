//! The export of one disk, in any format, to a file or a pipe.

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
use seawall_store::read::StoredDisk;
use serde::Serialize;

use super::ExportError;
use crate::convert::rounded;
use crate::disk::sectors;
use crate::host::HostState;
use crate::progress::{Progress, Stage};
use crate::registry::Reading;
use crate::remote::RemoteRelease;
use crate::resolve::{self, Resolved};
use crate::room::Room;

/// The destination of an export.
pub enum Output {
    /// A new file, or a block device.
    File(PathBuf),
    /// A pipe.
    Pipe(Box<dyn Write + Send>),
}

/// An export to run.
pub struct Export {
    /// The registry to export from.
    pub registry: Arc<dyn Reading>,
    /// The application.
    pub application: ApplicationName,
    /// The selector of one of the application's releases.
    pub selector: Selector,
    /// The machine.
    pub machine: MachineName,
    /// The disk's name.
    pub disk: DiskName,
    /// The format.
    pub format: ExportFormat,
    /// The rounding of the disk's length.
    pub round: Round,
    /// The destination.
    pub output: Output,
    /// This host's state directory.
    pub state: HostState,
    /// The receiver of progress reports.
    pub progress: Arc<dyn Progress>,
    /// The number of threads that decode, hash and compress.
    pub threads: usize,
}

/// The result of an export.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExportReport {
    /// The disk, as `application:version/machine/disk`.
    pub disk: String,
    /// The digest of the disk's content.
    pub content: ContentDigest,
    /// The length of the disk in the guest, in bytes.
    pub len: u64,
    /// The length of the logical sectors in bytes, if the release states one other than 512.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sector_len: Option<u64>,
    /// The written file or device. `None` for a pipe.
    pub file: Option<PathBuf>,
    /// The format of the output.
    pub format: String,
    /// The length of the output in bytes, including a file's holes.
    pub file_len: u64,
    /// The length in bytes to which the disk was padded with zeros. `None` if no rounding was
    /// requested.
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
        if let Some(len) = self.sector_len {
            writeln!(f, "  sectors of {len} bytes: {}", sectors::advice(len))?;
        }
        let file = self.file.as_ref().map_or("the pipe".into(), |file| file.to_string_lossy());
        write!(f, "  {} of {} in {file}", HumanBytes(self.file_len), self.format)
    }
}

/// Exports a disk.
///
/// # Errors
/// Fails if there is no such disk, if the registry fails or returns wrong data, or if the output
/// cannot be written. A failed export leaves no new file.
pub async fn export(export: Export) -> Result<ExportReport, ExportError> {
    export.format.check_round(export.round).map_err(ConvertError::from)?;
    let registry = Arc::clone(&export.registry);
    let (application, selector) = (export.application.clone(), export.selector.clone());
    resolve::held(&registry, &application, &selector, async |resolved| {
        export_resolved(export, resolved).await
    })
    .await
}

async fn export_resolved(export: Export, resolved: &Resolved) -> Result<ExportReport, ExportError> {
    let Export { application, machine, format, round, output, progress, threads, .. } = export;
    let release = resolved.release();
    let disk = find(release, &machine, &export.disk)?;
    let sector_len = release.machine(&machine).and_then(|it| sectors::len_of(it, &disk.name));
    let title = format!("{application}:{}/{machine}/{}", release.version(), disk.name);
    let remote = RemoteRelease::open(resolved, &export.state, threads)?;
    let image = remote.disk(&machine, &disk.name).await?;
    let total = image.data_runs().map(|run| run.end - run.start).sum();
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
    let disk = title;
    Ok(ExportReport { disk, content, len, sector_len, file, format, file_len, rounded_len })
}

/// Replaces the error by the cause of a failed read, because the formats' errors lose the cause's
/// kind.
pub(super) fn explained(image: &StoredDisk, error: ExportError) -> ExportError {
    image.failure().map_or(error, ExportError::Read)
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

/// A writer of one disk. Its methods block.
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
        image: &StoredDisk,
        output: Output,
    ) -> Result<(Option<PathBuf>, u64), ExportError> {
        match output {
            Output::File(path) if Device::is_at(&path) => {
                let len = (self.format == ExportFormat::Raw).then(|| image.disk_len());
                let mut device = Device::open(&path, Overwrite::Refuse, len)?;
                let len = self.convert(image, convert::Output::Device(&mut device))?;
                Ok((Some(path), len))
            }
            Output::File(path) => {
                let new = NewFile::create(&path, Overwrite::Refuse)?;
                if self.format.is_laid_out() {
                    let data = image.data_runs().map(|run| run.end - run.start).sum();
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

    /// Writes the disk and returns the length of the output in bytes.
    pub(super) fn convert(
        &self,
        image: &StoredDisk,
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
        Ok(convert.run_known(self.content, image.data_runs().collect(), output)?.file_len)
    }
}

#[cfg(test)]
mod tests;
