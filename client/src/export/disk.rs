//! One disk, in any format, to a file or down a pipe.

use std::fmt;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use seawall_api::digest::ContentDigest;
use seawall_api::names::{ApplicationName, DiskName, MachineName};
use seawall_api::reference::Selector;
use seawall_api::release::{Disk, Release};
use seawall_api::units::HumanBytes;
use seawall_store::image::DiskImage;
use seawall_store::image::layout::{ExportFormat, Layout, Part, lay_out};
use seawall_store::image::stream::{self, Compression};
use serde::Serialize;

use super::ExportError;
use super::partial::Partial;
use crate::host::HostState;
use crate::progress::{Progress, Stage};
use crate::registry::Registry;
use crate::remote::{RemoteDisk, RemoteRelease};

/// Guest bytes written at once.
const STEP: u64 = 4 << 20;
/// Zeros written at once.
const ZEROS: [u8; 64 << 10] = [0; 64 << 10];

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
}

impl fmt::Display for ExportReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (disk, len, content) = (&self.disk, HumanBytes(self.len), self.content);
        writeln!(f, "{disk} is exported")?;
        writeln!(f, "  {len}  {content}")?;
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
    let remote = RemoteRelease::open(registry, (&application, &selector), &state, threads).await?;
    let disk = find(remote.release(), &export.machine, &export.disk)?.clone();
    let title = format!(
        "{application}:{}/{}/{}",
        remote.release().version(),
        export.machine,
        export.disk
    );
    let image = open(&remote, &export.machine, &disk).await?;
    let (format, output, progress) = (export.format, export.output, export.progress);
    let total = image.data_runs().iter().map(|run| run.end - run.start).sum();
    progress.begin(Stage::Fetch, Some(total));
    let writer = Writer { content: disk.content, format, threads, progress: Arc::clone(&progress) };
    let (image, outcome) = tokio::task::spawn_blocking(move || {
        let outcome = writer.write(&image, output);
        (image, outcome)
    })
    .await
    .map_err(|_| ExportError::Defect)?;
    let (file, file_len) = outcome.map_err(|error| explained(&image, error))?;
    progress.finish();
    let (content, len, format) = (disk.content, disk.len, format.to_string());
    Ok(ExportReport { disk: title, content, len, file, format, file_len })
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
struct Writer {
    content: ContentDigest,
    format: ExportFormat,
    threads: usize,
    progress: Arc<dyn Progress>,
}

impl Writer {
    fn write(
        &self,
        image: &RemoteDisk,
        output: Output,
    ) -> Result<(Option<PathBuf>, u64), ExportError> {
        match output {
            Output::File(path) => {
                let partial = Partial::create(&path)?;
                let len = self.write_file(image, &partial)?;
                Ok((Some(partial.commit()?), len))
            }
            Output::Pipe(mut pipe) => {
                let len = self.write_pipe(image, pipe.as_mut())?;
                pipe.flush().map_err(ExportError::Pipe)?;
                Ok((None, len))
            }
        }
    }

    fn stream<'a>(
        &'a self,
        image: &'a RemoteDisk,
        advance: &'a (dyn Fn(u64) + Sync),
    ) -> stream::Disk<'a> {
        let (content, data_runs) = (&self.content, image.data_runs());
        stream::Disk { image, content, data_runs, threads: self.threads, advance }
    }

    fn write_file(&self, image: &RemoteDisk, partial: &Partial) -> Result<u64, ExportError> {
        let advance = |len| self.progress.advance(len);
        let disk = self.stream(image, &advance);
        let compression = match self.format {
            ExportFormat::VmdkStream => {
                let mut out = io::BufWriter::new(partial.file());
                let len = stream::write_vmdk(&disk, &mut out)?;
                out.flush().map_err(|error| partial.error("write", error))?;
                return Ok(len);
            }
            ExportFormat::Qcow2Zstd => Compression::Zstd,
            ExportFormat::Qcow2Zlib => Compression::Zlib,
            _ => {
                let layout = self.layout(image)?;
                let file = partial.file();
                let failed = |error| ExportError::from(partial.error("write", error));
                file.set_len(layout.file_len()).map_err(failed)?;
                let mut at = 0;
                for part in layout.parts() {
                    let len = part.part_len();
                    // Zeros stay holes.
                    self.part(image, &part, &mut |bytes, skipped| {
                        let at = at + skipped;
                        bytes.map_or(Ok(()), |bytes| file.write_all_at(bytes, at)).map_err(failed)
                    })?;
                    at += len;
                }
                return Ok(layout.file_len());
            }
        };
        Ok(stream::write_qcow2(&disk, compression, partial.file())?)
    }

    fn write_pipe(&self, image: &RemoteDisk, pipe: &mut dyn Write) -> Result<u64, ExportError> {
        match self.format {
            ExportFormat::VmdkStream => {
                let advance = |len| self.progress.advance(len);
                Ok(stream::write_vmdk(&self.stream(image, &advance), pipe)?)
            }
            ExportFormat::Qcow2Zstd | ExportFormat::Qcow2Zlib => {
                Err(ExportError::NotAPipe { format: self.format.to_string() })
            }
            _ => {
                let layout = self.layout(image)?;
                for part in layout.parts() {
                    if let Part::Zeros(len) = part {
                        zeros(pipe, len).map_err(ExportError::Pipe)?;
                        continue;
                    }
                    self.part(image, &part, &mut |bytes, _| {
                        let write = |bytes| pipe.write_all(bytes).map_err(ExportError::Pipe);
                        bytes.map_or(Ok(()), write)
                    })?;
                }
                Ok(layout.file_len())
            }
        }
    }

    fn layout(&self, image: &RemoteDisk) -> Result<Box<dyn Layout>, ExportError> {
        let runs = image.data_runs().iter().cloned();
        Ok(lay_out(self.format, image.disk_len(), &self.content, runs)?)
    }

    /// Hands the bytes of a part to `put`, with how far into the part they are.
    fn part(
        &self,
        image: &RemoteDisk,
        part: &Part,
        put: &mut dyn FnMut(Option<&[u8]>, u64) -> Result<(), ExportError>,
    ) -> Result<(), ExportError> {
        match part {
            Part::Zeros(_) => put(None, 0),
            Part::Bytes(bytes) => put(Some(bytes), 0),
            Part::Guest(range) => {
                let mut buf = vec![0; usize::try_from(STEP).unwrap_or(0)];
                let mut offset = range.start;
                while offset < range.end {
                    let len = STEP.min(range.end - offset);
                    let bytes = &mut buf[..usize::try_from(len).unwrap_or(0)];
                    image.read_at(offset, bytes)?;
                    put(Some(bytes), offset - range.start)?;
                    self.progress.advance(len);
                    offset += len;
                }
                Ok(())
            }
        }
    }
}

fn zeros(pipe: &mut dyn Write, len: u64) -> io::Result<()> {
    let mut rest = len;
    while rest > 0 {
        let step = usize::try_from(rest).unwrap_or(usize::MAX).min(ZEROS.len());
        pipe.write_all(&ZEROS[..step])?;
        rest -= step as u64;
    }
    Ok(())
}
